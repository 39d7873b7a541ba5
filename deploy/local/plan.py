"""Which servers a stack has, and on which ports."""

from collections.abc import Collection
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from deploy.local import clickhouse, kafka, postgres, redis
from deploy.local.layout import Layout
from deploy.local.ports import choose_port
from deploy.local.server import Server, process_of
from runtime.errors import UsageError
from runtime.settings import Settings


class Extra(StrEnum):
    """A server that a stack has only where it was asked for; from then on it belongs to the stack."""

    POSTGRES = "postgres"


def controller(node: int) -> str:
    """The name under which the port of a Kafka node's controller is remembered."""
    return f"kafka-{node}-controller"


def servers(home: Path, settings: Settings, layout: Layout) -> list[Server]:
    """The servers that are started here, on the ports of `layout`; those set by a setting are not among them."""
    ports = layout.ports
    started_here: list[Server] = []
    if not settings.kafka and "kafka-1" in ports:
        nodes = [
            kafka.Node(id=node, port=ports[f"kafka-{node}"], controller_port=ports[controller(node)])
            for node in range(1, layout.brokers + 1)
        ]
        started_here += kafka.kafka_servers(home, settings.cache.expanduser(), layout.cluster_id, nodes)
    if not settings.redis and "redis" in ports:
        started_here.append(redis.redis_server(home, ports["redis"]))
    if not settings.clickhouse and "clickhouse" in ports:
        started_here.append(clickhouse.clickhouse_server(home, ports["clickhouse"]))
    if not settings.postgres and Extra.POSTGRES in ports:
        started_here.append(postgres.postgres_server(home, ports[Extra.POSTGRES], layout.postgres_password))
    return started_here


def require_installed(settings: Settings, extras: Collection[Extra] = ()) -> None:
    """Raise `CandlewickError` where the program of a server that is to be started is not installed."""
    if not settings.kafka:
        kafka.require_installed(settings.cache.expanduser())
    if not settings.redis:
        redis.require_installed()
    if not settings.clickhouse:
        clickhouse.require_installed()
    if not settings.postgres and Extra.POSTGRES in extras:
        postgres.require_installed()


def choose_ports(home: Path, settings: Settings, layout: Layout, extras: Collection[Extra] = ()) -> Layout:
    """`layout` with a port for everything that is to be started; a server that runs keeps its own.

    `extras` are servers that are asked for now; those of earlier times have a port in `layout`.
    """
    chosen: dict[str, int] = {}

    def choose(name: str, server: str, given: int | None, default: int) -> None:
        remembered = layout.ports.get(name)
        if remembered and process_of(home, name.removesuffix("-controller")).alive():
            if given not in (None, 0, remembered):
                raise UsageError(f"{server} already runs on port {remembered}: run candlewick stack down first")
            chosen[name] = remembered
        else:
            taken = set(chosen.values())
            chosen[name] = choose_port(server, given=given, remembered=remembered, default=default, taken=taken)

    if not settings.kafka:
        for node in range(1, layout.brokers + 1):
            given = settings.kafka_port if node == 1 or settings.kafka_port == 0 else None
            choose(f"kafka-{node}", "kafka", given, kafka.DEFAULT_PORT)
            choose(controller(node), "kafka", 0 if given == 0 else None, kafka.DEFAULT_CONTROLLER_PORT)
    if not settings.redis:
        choose("redis", "redis", settings.redis_port, redis.DEFAULT_PORT)
    if not settings.clickhouse:
        choose("clickhouse", "clickhouse", settings.clickhouse_port, clickhouse.DEFAULT_PORT)
    if not settings.postgres and Extra.POSTGRES in {*extras, *layout.ports}:
        choose(Extra.POSTGRES, "postgres", settings.postgres_port, postgres.DEFAULT_PORT)
    return replace(layout, ports=layout.ports | chosen)
