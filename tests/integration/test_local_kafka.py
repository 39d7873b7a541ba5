"""The local stack's Kafka: what the tool that formats its folder takes."""

from pathlib import Path

from deploy.local.kafka import Node, kafka_servers
from deploy.local.ports import any_free_port
from runtime.settings import Settings


def test_a_clusters_id_may_begin_with_a_dash(stack: Settings, tmp_path: Path) -> None:
    cluster_id = "-" + 21 * "A"  # one in 64 does
    node = Node(id=1, port=any_free_port(), controller_port=any_free_port())
    (part,) = kafka_servers(tmp_path, stack.cache.expanduser(), cluster_id, [node])
    part.prepare(print)
    assert f"cluster.id={cluster_id}" in (tmp_path / "kafka-1" / "data" / "meta.properties").read_text()
