"""``candlewick replay``: shows what moving a group would do, then moves it."""

import sys
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.replay import Move, Place, apply_moves, plan_moves, stage_of
from candlewick.tables import print_table


async def replay(
    group: Annotated[
        str, Parameter(help="candles, bars, rolling, signals, or sink.redis, .clickhouse, .parquet, .postgres")
    ],
    *,
    to: Annotated[Place | int | datetime, Parameter(help="a place, an offset, or a time of the log clock")],
    execute: Annotated[bool, Parameter(negative="", help="do it; without it nothing is changed")] = False,
    common: Common = NONE_GIVEN,
) -> None:
    """Show the group's offsets now and after the move, and how many records it would read; with --execute move it.

    The group must have no members: stop its processes first. A replay writes the same bytes for every minute that it
    emits. The Redis sink goes on from its own position if that is earlier. `--to current` leaves the offsets as they
    are, and accepts a topic or store that was deleted and made anew.

    ```
    candlewick replay candles --to earliest
    candlewick replay sink.clickhouse --to 2026-01-31T12:00Z --execute
    ```
    """
    settings = common.settings()
    stage = stage_of(settings, group)
    moves = await plan_moves(settings, stage, to)
    if execute:
        await apply_moves(settings, stage, moves)
    print_table(_table(moves))
    sys.stdout.write(
        f"{settings.topics.group(stage)} was moved\n" if execute else "nothing was changed: add --execute to move it\n"
    )


def _table(moves: list[Move]) -> Table:
    table = Table("topic", "partition", "now", "to", "records to read", "against now", "live candles from")
    for move in moves:
        now = "-" if move.now is None else f"{move.now:,}"
        again = f"{move.again:,} again" if move.again > 0 else f"{-move.again:,} skipped" if move.again else ""
        first = (
            ""
            if move.candles_from_us is None
            else f"{datetime.fromtimestamp(move.candles_from_us // 10**6, UTC):%Y-%m-%d %H:%M}Z"
        )
        table.add_row(move.topic, str(move.partition), now, f"{move.to:,}", f"{move.end - move.to:,}", again, first)
    return table


app = single_command("replay", replay)
