"""``candlewick verify``: the data of a simulated run, or a recomputation, held against what they must equal."""

import sys
from typing import Annotated

from cyclopts import Parameter

from candlewick.commands.run import report
from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.pipeline.verification import verify_again
from candlewick.recompute.comparison import compare_recomputation
from runtime import lifecycle
from runtime.errors import WrongDataError
from runtime.settings import Settings


def verify(
    *,
    replay: Annotated[
        str | None, Parameter(help="hold the live 1m candles against those that candles --into NAME recomputed")
    ] = None,
    common: Common = NONE_GIVEN,
) -> int:
    """Hold Kafka, ClickHouse, Parquet and Redis against the record of the simulator that the data came from.

    Only the simulator is started for it, with the seed that the data folder remembers. The sinks must have caught up,
    and Parquet's open files must have ended, as after `candlewick run` or `candlewick sink parquet --once`. Exit code 3
    where something differs.

    With --replay the recomputed candles of a range are held against the live ones instead, on any data: key, value
    and headers of every revision, byte for byte.

    ```
    candlewick verify
    candlewick verify --replay fix1
    ```
    """
    settings = common.settings()
    return lifecycle.run(lambda _: _verify(settings, replay), grace_s=1.0)


app = single_command("verify", verify)


async def _verify(settings: Settings, replay: str | None) -> int:
    if replay is None:
        return report(await verify_again(settings))
    comparison = await compare_recomputation(settings, replay)
    sys.stdout.write("".join(f"{line}\n" for line in comparison.lines()))
    return 0 if comparison.right else WrongDataError.exit_code
