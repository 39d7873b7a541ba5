"""``candlewick status``: how far every group is, and how far every symbol."""

import asyncio
import sys
import time
from typing import Annotated

import orjson
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.health.gaps import Gaps, gaps_of
from candlewick.health.lag import inputs, stage_lags
from candlewick.health.progress import newest_markers
from candlewick.health.trouble import held_back, stale_offsets
from candlewick.pipeline.words import duration

_MAX_SYMBOLS = 50


async def status(
    *, json: Annotated[bool, Parameter(help="print it as JSON, every symbol")] = False, common: Common = NONE_GIVEN
) -> None:
    """Show the lag of every stage by committed offsets, up to when each symbol is complete, and what is in the way.

    ```
    candlewick status
    candlewick status --json
    ```
    """
    settings = common.settings()
    broken: list[str] = []
    lags = await stage_lags(settings, inputs(settings.topics))
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
                key: {"open": found.open, "filled": found.filled, "holes": found.holes} for key, found in gaps.items()
            },
            "clock_away": sorted(key for key, found in gaps.items() if found.clock_away),
        }
        sys.stdout.write(orjson.dumps(entry).decode() + "\n")
        return
    console = Console()
    console.print(_stage_table(lags))
    console.print(_symbol_table(markers, gaps))
    for sentence in trouble:
        console.print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)


app = single_command("status", status)


def _stage_table(lags: dict[str, int]) -> Table:
    table = Table("stage", "records behind")
    for stage, lag in lags.items():
        table.add_row(stage, f"{lag:,}")
    return table


def _in_short(broken: list[str]) -> list[str]:
    """The first of the records that cannot be read, and how many there are."""
    return [f"records that cannot be read and count for nothing: {len(broken)}, first {broken[0]}"] if broken else []


def _symbol_table(markers: dict[str, int], gaps: dict[str, Gaps]) -> Table:
    table = Table("symbol", "complete until (UTC)", "ago", "gaps open", "filled", "holes")
    for key in sorted(markers)[:_MAX_SYMBOLS]:
        until_s, found = markers[key] / 1e6, gaps.get(key, Gaps())
        at = time.strftime("%Y-%m-%d %H:%M", time.gmtime(until_s))
        ago = duration(max(0.0, time.time() - until_s)) + (" (clock away)" if found.clock_away else "")
        table.add_row(key, at, ago, str(found.open), str(found.filled), str(found.holes))
    if len(markers) > _MAX_SYMBOLS:
        table.caption = f"and {len(markers) - _MAX_SYMBOLS} more: --json has all"
    return table
