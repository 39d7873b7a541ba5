"""``candlewick import``: recorded trades into Kafka, as a run."""

import asyncio
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from candlewick.common import NONE_GIVEN, Common, parse_time_us, single_command
from market.fields import MAX_TIME_US
from market.trade import Proof
from producers.archive.dump import Kind
from producers.archive.importing import Imported, Request, import_recordings
from producers.archive.reading import Reading, Watch
from producers.archive.recording import Described, Format
from runtime.errors import UsageError
from runtime.lifecycle import run
from runtime.settings import Settings
from runtime.telemetry import Meter, configure_logs


def import_(
    *files: Annotated[Path, Parameter(help="recordings of one market, oldest first")],
    format: Annotated[Format | None, Parameter(help="what they hold; else the file's suffix says it")] = None,  # noqa: A002
    exchange: Annotated[str | None, Parameter(help="the exchange; dumps: binance")] = None,
    symbol: Annotated[
        str | None, Parameter(help="BASE-QUOTE; futures: BASE-QUOTE-PERP or -YYMMDD; else the name says it")
    ] = None,
    kind: Annotated[
        Kind | None, Parameter(help="what a dump's rows are, where neither its name nor a header tells")
    ] = None,
    complete_from: Annotated[str | None, Parameter(help="the recording is complete from TIME on")] = None,
    complete_until: Annotated[str | None, Parameter(help="the recording is complete until TIME")] = None,
    force: Annotated[
        bool, Parameter(negative="", help="publish again what was imported before, whole, under a new run id")
    ] = False,
    skip_bad: Annotated[
        bool, Parameter(negative="", help="send rows that are no trades to the dead letters, and go on")
    ] = False,
    common: Common = NONE_GIVEN,
) -> None:
    """Read the files twice: first all rows are checked, then they are published with a marker for every minute.

    TIME is ISO 8601 in UTC (2019-10-11T00:01Z) or epoch milliseconds. By default a recording is complete from its
    first trade's minute, where that opens the day in its name, else from the minute after; and until the end of that
    day, else to the start of the last trade's minute. An import that is finished is not published again.

    ```
    candlewick import XRPETH-aggTrades-2019-10-11.zip
    candlewick import BTCUSDT-trades-2021-01-08.csv --complete-until 2021-01-08T00:01Z
    candlewick import trades.parquet --exchange binance --symbol BTC-USDT
    ```
    """
    settings = common.settings()
    request = Request(
        files=files,
        described=Described(format=format, exchange=exchange, symbol=_composed(symbol), kind=kind),
        complete_from_us=_time_us("--complete-from", complete_from),
        complete_until_us=_time_us("--complete-until", complete_until),
        force=force,
        skip_bad=skip_bad,
    )
    if not files:
        raise UsageError("no FILE is given: candlewick import FILE…")
    run(lambda stop: _import(settings, request, stop))


app = single_command("import", import_)


async def _import(settings: Settings, request: Request, stop: asyncio.Event) -> None:
    configure_logs(settings)
    if sys.stderr.isatty():
        with _bars() as watch:
            imported = await import_recordings(settings, request, watch, stop)
    else:
        meter = Meter("import")

        def watch(reading: Reading, rows: int) -> None:
            meter.add(f"{reading}_rows", rows)
            meter.count(rows)

        async with meter.reporting():
            imported = await import_recordings(settings, request, watch, stop)
    sys.stdout.write(_summary(imported) + "\n")


@contextmanager
def _bars() -> Iterator[Watch]:
    """Two bars: the length of the second is known when the first is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        surveying = progress.add_task(Reading.SURVEYING, total=None)
        publishing = progress.add_task(Reading.PUBLISHING, total=None, start=False)

        def watch(reading: Reading, rows: int) -> None:
            if reading is Reading.SURVEYING:
                progress.advance(surveying, rows)
                return
            if progress.tasks[publishing].total is None:
                total = progress.tasks[surveying].completed
                progress.update(surveying, total=total)
                progress.update(publishing, total=total)
                progress.start_task(publishing)
            progress.advance(publishing, rows)

        yield watch


def _summary(imported: Imported) -> str:
    what = f"{imported.key} from {_utc(imported.span.from_us)} until {_utc(imported.span.until_us)}, run {imported.run}"
    rows = f"{imported.outside} rows outside the range, {imported.repeated} repeated, {imported.bad} bad"
    if imported.others:
        rows += f", {imported.others} of other markets"
    if imported.finished_before:
        return f"imported before: {what}; nothing was published ({rows})"
    if not imported.minutes:
        return f"nothing to improve: {what}: all {imported.left} minutes have as good a candle; nothing was published"
    minutes = ", ".join(f"{imported.minutes[proof]} {proof}" for proof in Proof if proof in imported.minutes)
    left = f" ({imported.left} left alone, whose candles are as good)" if imported.left else ""
    total = sum(imported.minutes.values())
    return f"imported: {what}: {imported.trades} trades, {total} minutes: {minutes}{left}; {rows}"


def _composed(symbol: str | None) -> str | None:
    """As symbols are written: a name copied from a folder of macOS has its accents as characters of their own."""
    return None if symbol is None else unicodedata.normalize("NFC", symbol)


def _time_us(flag: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        time_us = int(text) * 1000 if text.isascii() and text.isdigit() else parse_time_us(text)
    except (ValueError, OverflowError):
        time_us = -1
    if not 0 <= time_us < MAX_TIME_US:
        raise UsageError(f"{flag} {text} is no time: write 2019-10-11T00:01Z or epoch milliseconds")
    return time_us


def _utc(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%MZ")
