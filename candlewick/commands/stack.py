"""``candlewick stack``: the local Kafka, Redis, ClickHouse engine and cold store."""

import asyncio
import sys
from typing import Annotated

import orjson
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from candlewick.common import NONE_GIVEN, Common
from deploy.local import stack
from deploy.local.part import Progress
from deploy.local.status import PartStatus, addresses, status
from runtime.errors import CandlewickError
from runtime.kafka.admin import apply_topics
from runtime.settings import Settings

app = App(name="stack", help="The local Kafka, Redis, ClickHouse engine and cold store.")

_Port = Annotated[int | None, Parameter(help="its port; unset: the usual one or the next free one; 0: any free one")]


@app.command
def up(
    *,
    brokers: Annotated[int | None, Parameter(help="Kafka nodes, fixed until reset (default 1)")] = None,
    kafka_port: _Port = None,
    redis_port: _Port = None,
    clickhouse_port: _Port = None,
    common: Common = NONE_GIVEN,
) -> None:
    """Start what is not running, wait until all of it answers, and create the topics.

    ```
    candlewick stack up
    candlewick stack up --brokers 3 --home /tmp/three
    CANDLEWICK_REDIS=redis://10.0.0.5:6379 candlewick stack up
    ```

    A part whose address is set (CANDLEWICK_KAFKA, _REDIS, _CLICKHOUSE, _COLD) is not started.
    """
    settings = common.settings(kafka_port=kafka_port, redis_port=redis_port, clickhouse_port=clickhouse_port)
    bring_up(settings, brokers=brokers)


@app.command
def down(*, common: Common = NONE_GIVEN) -> None:
    """Stop the parts in order; data stay.

    ```
    candlewick stack down
    ```
    """
    stack.down(common.settings(), progress=_say)


@app.command(name="status")
def show(
    *, json: Annotated[bool, Parameter(help="print the addresses as JSON")] = False, common: Common = NONE_GIVEN
) -> int:
    """Ask each part whether it is there; exit code 1 where one is not.

    ```
    candlewick stack status
    candlewick stack status --json
    ```
    """
    settings = common.settings()
    parts = status(settings)
    if json:
        sys.stdout.write(orjson.dumps(addresses(settings)).decode() + "\n")
    else:
        Console().print(_table(parts))
    return 0 if all(part.up for part in parts) else CandlewickError.exit_code


@app.command
def reset(
    *,
    yes: Annotated[bool, Parameter(help="do not ask")] = False,
    common: Common = NONE_GIVEN,
) -> None:
    """Stop the parts and delete the stack's data; asks first on a terminal.

    ```
    candlewick stack reset --yes
    ```
    """
    settings = common.settings()
    if not yes and sys.stdin.isatty():
        sys.stdout.write(f"delete the stack and all its data in {settings.home}? [y/N] ")
        sys.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise CandlewickError("nothing was deleted")
    stack.reset(settings, progress=_say)


def bring_up(settings: Settings, *, brokers: int | None = None, progress: Progress | None = None) -> None:
    """The stack up and its topics there: what `stack up` and `run` begin with; not to be called on an event loop."""
    progress = progress or _say
    where = stack.up(settings, brokers=brokers, progress=progress)
    if not settings.kafka and "replication" not in settings.model_fields_set:
        copies = min(3, len(where.kafka.split(",")))
        settings = settings.model_copy(update={"replication": copies})
    different = asyncio.run(apply_topics(settings))
    for one in different:
        progress(f"the topic {one.topic} has {one.what} = {one.actual}, not {one.wanted}: see candlewick topics diff")
    progress("topics ready")


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def _table(parts: list[PartStatus]) -> Table:
    table = Table("part", "state", "address", "pid", "memory")
    for part in parts:
        colour = "green" if part.up else "red"
        memory = f"{part.memory_bytes / 2**20:.0f} MB" if part.memory_bytes else ""
        table.add_row(part.name, f"[{colour}]{part.state}[/]", part.address, str(part.pid or ""), memory)
    return table
