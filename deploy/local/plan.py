"""Which parts a stack has, and on which ports."""

from pathlib import Path

from deploy.local import clickhouse, kafka, redis
from deploy.local.layout import Layout
from deploy.local.part import Server, process
from deploy.local.ports import choose_port
from runtime.errors import UsageError
from runtime.settings import Settings


def controller(node: int) -> str:
    """The name under which the port of a Kafka node's controller is remembered."""
    return f"kafka-{node}-controller"


def parts(home: Path, settings: Settings, layout: Layout) -> list[Server]:
    """The parts that are started here, on the ports of `layout`; those set by a setting are not among them."""
    ports = layout.ports
    found: list[Server] = []
    if not settings.kafka and "kafka-1" in ports:
        nodes = [
            kafka.Node(id=node, port=ports[f"kafka-{node}"], controller_port=ports[controller(node)])
            for node in range(1, layout.brokers + 1)
        ]
        found += kafka.kafka_parts(home, settings.cache.expanduser(), layout.cluster_id, nodes)
    if not settings.redis and "redis" in ports:
        found.append(redis.redis_part(home, ports["redis"]))
    if not settings.clickhouse and "clickhouse" in ports:
        found.append(clickhouse.clickhouse_part(home, ports["clickhouse"]))
    return found


def choose_ports(home: Path, settings: Settings, layout: Layout) -> Layout:
    """`layout` with a port for everything that is to be started; a part that runs keeps its own."""
    chosen: dict[str, int] = {}

    def choose(name: str, part: str, given: int | None, default: int) -> None:
        remembered = layout.ports.get(name)
        if remembered and process(home, name.removesuffix("-controller")).alive():
            if given not in (None, 0, remembered):
                raise UsageError(f"{part} already runs on port {remembered}: run candlewick stack down first")
            chosen[name] = remembered
        else:
            taken = set(chosen.values())
            chosen[name] = choose_port(part, given=given, remembered=remembered, default=default, taken=taken)

    if not settings.kafka:
        for node in range(1, layout.brokers + 1):
            given = settings.kafka_port if node == 1 or settings.kafka_port == 0 else None
            choose(f"kafka-{node}", "kafka", given, kafka.DEFAULT_PORT)
            choose(controller(node), "kafka", 0 if given == 0 else None, kafka.DEFAULT_CONTROLLER_PORT)
    if not settings.redis:
        choose("redis", "redis", settings.redis_port, redis.DEFAULT_PORT)
    if not settings.clickhouse:
        choose("clickhouse", "clickhouse", settings.clickhouse_port, clickhouse.DEFAULT_PORT)
    return Layout(brokers=layout.brokers, cluster_id=layout.cluster_id, ports=layout.ports | chosen)
