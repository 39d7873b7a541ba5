"""``candlewick status``: the lag of every stage, the markers and gaps of every symbol, and what is wrong."""

import asyncio
import sys
import time
from typing import Annotated

import orjson
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.health.gap_counts import Gaps
from candlewick.health.gaps import gaps_of
from candlewick.health.lag import stage_lags, stages_in_use
from candlewick.health.progress import newest_markers
from candlewick.health.trouble import held_back, stale_offsets
from candlewick.pipeline.words import duration
from candlewick.tables import print_table

_MAX_SYMBOLS = 50


async def status(
    *, json: Annotated[bool, Parameter(help="print it as JSON, every symbol")] = False, common: Common = NONE_GIVEN
) -> None:
    """Show the lag of every stage, up to when each symbol is complete, and what is wrong.

    A stage's lag is the number of records that it has not committed.

    ```
    candlewick status
    candlewick status --json
    ```
    """
    settings = common.settings()
    broken: list[str] = []
    lags = await stage_lags(settings, await stages_in_use(settings))
    markers = await newest_markers(settings, broken.append)
    gaps = await gaps_of(settings, broken.append)
    transactions, stale = await asyncio.gather(held_back(settings), stale_offsets(settings))
    trouble = [*transactions, *stale, *_in_short(broken)]
    if json:
        entry = {
            "trouble": trouble,
            "lag_records": lags,
            "complete_until_us": markers,
            "gaps": {
                key: {"open": symbol.open, "filled": symbol.filled, "holes": symbol.holes}
                for key, symbol in gaps.items()
            },
            "clock_away": sorted(key for key, symbol in gaps.items() if symbol.clock_away),
        }
        sys.stdout.write(orjson.dumps(entry).decode() + "\n")
        return
    print_table(_stage_table(lags))
    print_table(_symbol_table(markers, gaps))
    console = Console()
    for sentence in trouble:
        console.print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)


app = single_command("status", status)


def _stage_table(lags: dict[str, int]) -> Table:
    table = Table("stage", "records behind")
    for stage, lag in lags.items():
        table.add_row(stage, f"{lag:,}")
    return table


def _in_short(broken: list[str]) -> list[str]:
    return [f"{len(broken)} records can't be read and are not counted, the first: {broken[0]}"] if broken else []


def _symbol_table(markers: dict[str, int], gaps: dict[str, Gaps]) -> Table:
    table = Table("symbol", "complete until (UTC)", "ago", "gaps open", "filled", "holes")
    for key in sorted(markers)[:_MAX_SYMBOLS]:
        until_s, symbol = markers[key] / 1e6, gaps.get(key, Gaps())
        until = time.strftime("%Y-%m-%d %H:%M", time.gmtime(until_s))
        ago = duration(max(0.0, time.time() - until_s)) + (" (clock away)" if symbol.clock_away else "")
        table.add_row(key, until, ago, str(symbol.open), str(symbol.filled), str(symbol.holes))
    if len(markers) > _MAX_SYMBOLS:
        table.caption = f"and {len(markers) - _MAX_SYMBOLS} more: --json has all"
    return table
