"""``candlewick gaps``: what feeds missed, day by day, what became of it, and the gap rate."""

import sys
from typing import Annotated

import orjson
from cyclopts import Parameter
from rich.table import Table

from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.gap_rate.read import read_gaps
from candlewick.gap_rate.report import HEADINGS, GapReport, as_json, hole_rows, notes, table_rows
from candlewick.reading import watching
from candlewick.tables import print_table
from runtime import lifecycle
from runtime.errors import UsageError
from runtime.settings import Settings
from runtime.telemetry import configure_logs

MAX_ROWS = 200
"""At most so many days of symbols are printed, and so many holes; JSON has all."""
MOST_DAYS = 3_650


def gaps(
    exchange: Annotated[str, Parameter(help="the exchange, such as binance")],
    /,
    *symbols: Annotated[str, Parameter(help="such as BTC-USDT, or as the exchange writes it: BTCUSDT; none: all")],
    days: Annotated[int, Parameter(help="so many UTC days, today among them")] = 7,
    json: Annotated[bool, Parameter(negative="", help="print all of it as JSON")] = False,
    common: Common = NONE_GIVEN,
) -> None:
    """Count what feeds missed, by UTC day and symbol: from md.feeds.v1, and from the 1m candles of md.candles.1m.v1.

    - *gaps*: trades that did not come by themselves, and how each gap ended: filled over REST, in a hole (all of it or
      a part), or open (nothing more was told). Missing are the ids from the first to the last missing one.
    - *holes*: trades that are missing for good, the minutes and the time in which they are missing. Repaired: a later
      run or another producer has brought them, and the candles have them.
    - *gap rate*: trades lost / trades published. Lost are the ids of holes that no candle has; published is the sum of
      `trades` over the newest revisions of all 1m candles.

    Gaps that are told again after a restart, or by a second producer, count once.

    ```
    candlewick gaps binance
    candlewick gaps binance BTC-USDT ETH-USDT --days 30
    candlewick gaps binance --json
    ```
    """
    if not 1 <= days <= MOST_DAYS:
        raise UsageError(f"--days is {days}: give 1 to {MOST_DAYS}")
    settings = common.settings()
    lifecycle.run(lambda _: _gaps(settings, exchange, symbols, days, json=json), grace_s=1.0)


app = single_command("gaps", gaps)


async def _gaps(settings: Settings, exchange: str, symbols: tuple[str, ...], days: int, *, json: bool) -> None:
    configure_logs(settings)
    with watching("gaps", settings) as watch:
        report = await read_gaps(settings, exchange, symbols, days, watch)
    if json:
        sys.stdout.write(orjson.dumps(as_json(report)).decode() + "\n")
    else:
        _print(report)


def _print(report: GapReport) -> None:
    *rows, whole = table_rows(report)
    table = Table(*HEADINGS)
    for row in (*rows[-MAX_ROWS:], whole):
        table.add_row(*row)
    if len(rows) > MAX_ROWS:
        table.caption = "the last days; --json has all"
    print_table(table)
    holes = list(hole_rows(report))
    if holes:
        table = Table("symbol", "hole (UTC)", "ids", "became", "reason")
        for row in holes[-MAX_ROWS:]:
            table.add_row(*row)
        print_table(table)
    sys.stdout.write("".join(f"{sentence}\n" for sentence in notes(report)))
