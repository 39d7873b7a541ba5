"""``candlewick verify``: the data of a simulated run, held against the simulator's record."""

import asyncio

from candlewick.commands.run import report
from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.pipeline.verification import verify_again
from runtime import lifecycle


def verify(*, common: Common = NONE_GIVEN) -> int:
    """Hold Kafka, ClickHouse, Parquet and Redis against the record of the simulator that the data came from.

    The simulator is started for it with the seed that the data folder remembers; nothing else is. The sinks must have
    caught up, and Parquet must be cut (as after `candlewick run`, or `candlewick sink parquet --once`). Exit code 3
    where something differs.

    ```
    candlewick verify
    ```
    """
    settings = common.settings()

    async def part(_: asyncio.Event) -> int:
        return report(await verify_again(settings))

    return lifecycle.run(part, grace_s=1.0)


app = single_command("verify", verify)
