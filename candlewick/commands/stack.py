"""``candlewick stack``: the local Kafka, Redis, ClickHouse engine, cold store, and PostgreSQL where asked for."""

import asyncio
import sys
from collections.abc import Collection
from typing import Annotated

import orjson
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from candlewick.common import NONE_GIVEN, Common
from candlewick.pipeline.supervise.lock import run_lock
from deploy.local import stack
from deploy.local.plan import Extra
from deploy.local.server import Progress
from deploy.local.status import ServerStatus, addresses, status
from runtime.errors import CandlewickError
from runtime.kafka.admin import apply_topics
from runtime.settings import Settings

app = App(name="stack", help="The local Kafka, Redis, ClickHouse engine and cold store.")

WITH = Parameter(name="--with", negative="", help="a server besides the usual ones: postgres")
"""The flag by which a command asks for more servers."""
_Port = Annotated[int | None, Parameter(help="its port; unset: the usual one or the next free one; 0: any free one")]


@app.command
def up(
    *,
    brokers: Annotated[int | None, Parameter(help="Kafka nodes, fixed until reset (default 1)")] = None,
    kafka_port: _Port = None,
    redis_port: _Port = None,
    clickhouse_port: _Port = None,
    postgres_port: _Port = None,
    with_: Annotated[tuple[Extra, ...], WITH] = (),
    common: Common = NONE_GIVEN,
) -> None:
    """Start what is not running, wait until all of it answers, and create the topics.

    ```
    candlewick stack up
    candlewick stack up --brokers 3 --home /tmp/three
    CANDLEWICK_REDIS=redis://10.0.0.5:6379 candlewick stack up
    candlewick stack up --with postgres
    ```

    A server whose address is set (CANDLEWICK_KAFKA, _REDIS, _CLICKHOUSE, _POSTGRES, _COLD) is not started. What was
    once asked for --with belongs to the stack until reset.
    """
    settings = common.settings(
        kafka_port=kafka_port, redis_port=redis_port, clickhouse_port=clickhouse_port, postgres_port=postgres_port
    )
    bring_up(settings, brokers=brokers, extras=with_)


@app.command
def down(*, common: Common = NONE_GIVEN) -> None:
    """Stop the servers; data stay. Refused while `candlewick run` uses them.

    ```
    candlewick stack down
    ```
    """
    settings = common.settings()
    if _is_there(settings):
        with run_lock(settings.home.absolute()):
            stack.down(settings, progress=_say)


@app.command(name="status")
def show(
    *, json: Annotated[bool, Parameter(help="print the addresses as JSON")] = False, common: Common = NONE_GIVEN
) -> int:
    """Ask each server whether it answers; exit code 1 where one does not.

    ```
    candlewick stack status
    candlewick stack status --json
    ```
    """
    settings = common.settings()
    servers = status(settings)
    if json:
        sys.stdout.write(orjson.dumps(addresses(settings)).decode() + "\n")
    else:
        Console().print(_table(servers))
    return 0 if all(server.up for server in servers) else CandlewickError.exit_code


@app.command
def reset(
    *,
    yes: Annotated[bool, Parameter(help="do not ask")] = False,
    common: Common = NONE_GIVEN,
) -> None:
    """Stop the servers and delete the stack's data; asks first on a terminal. Refused while `candlewick run` uses them.

    ```
    candlewick stack reset --yes
    ```
    """
    settings = common.settings()
    if not _is_there(settings):
        return
    with run_lock(settings.home.absolute()):
        if not yes and sys.stdin.isatty():
            sys.stdout.write(f"delete the stack and all its data in {settings.home}? [y/N] ")
            sys.stdout.flush()
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                raise CandlewickError("nothing was deleted")
        stack.reset(settings, progress=_say)


def _is_there(settings: Settings) -> bool:
    """Whether the data folder exists; says so where it does not."""
    if settings.home.exists():
        return True
    _say(f"there is nothing in {settings.home}")
    return False


def bring_up(
    settings: Settings,
    *,
    brokers: int | None = None,
    extras: Collection[Extra] = (),
    progress: Progress | None = None,
) -> None:
    """The stack up and its topics there: what `stack up` and `run` begin with; not to be called on an event loop."""
    progress = progress or _say
    where = stack.up(settings, brokers=brokers, extras=extras, progress=progress)
    if not settings.kafka and "replication" not in settings.model_fields_set:
        copies = min(3, len(where.kafka.split(",")))
        settings = settings.model_copy(update={"replication": copies})
    for difference in asyncio.run(apply_topics(settings)):
        progress(
            f"the topic {difference.topic} has {difference.what} = {difference.actual}, not {difference.wanted}: "
            "see candlewick topics diff"
        )
    progress("topics ready")


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def _table(servers: list[ServerStatus]) -> Table:
    table = Table("server", "state", "address", "pid", "memory")
    for server in servers:
        colour = "green" if server.up else "red"
        memory = f"{server.memory_bytes / 2**20:.0f} MB" if server.memory_bytes else ""
        table.add_row(server.name, f"[{colour}]{server.state}[/]", server.address, str(server.pid or ""), memory)
    return table
