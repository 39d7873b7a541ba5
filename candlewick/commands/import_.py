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

from candlewick.common import NONE_GIVEN, Common, single_command, utc_us
from market.fields import MAX_TIME_US
from market.timeframe import MINUTE_US
from market.trade import Proof
from producers.archive.dump import DumpKind
from producers.archive.importing import Imported, ImportRequest, import_recordings, named
from producers.archive.proof import IdKind
from producers.archive.reading import Reading, Watch
from producers.archive.recording import Described, Format
from producers.archive.report import ReportedRange, ranges
from runtime.errors import UsageError
from runtime.figures import FigureName
from runtime.lifecycle import run
from runtime.settings import Settings
from runtime.telemetry import Meter, configure_logs


def import_(
    *files: Annotated[Path, Parameter(help="recordings of one market")],
    format: Annotated[Format | None, Parameter(help="what they hold; else the file's suffix says it")] = None,  # noqa: A002
    exchange: Annotated[str | None, Parameter(help="the exchange; dumps: binance")] = None,
    symbol: Annotated[
        str | None, Parameter(help="BASE-QUOTE; futures: BASE-QUOTE-PERP or -YYMMDD; else the name says it")
    ] = None,
    kind: Annotated[
        DumpKind | None, Parameter(help="what a dump's rows are, where neither its name nor a header tells")
    ] = None,
    complete_from: Annotated[int | datetime | None, Parameter(help="the recording is complete from TIME on")] = None,
    complete_until: Annotated[int | datetime | None, Parameter(help="the recording is complete until TIME")] = None,
    ids: Annotated[
        IdKind | None,
        Parameter(help="whether a missing number is a missing trade (contiguous) or not; unset: found by looking"),
    ] = None,
    force: Annotated[
        bool,
        Parameter(
            negative="", help="publish again, whole, under a new run id; where contents differ, the file's count"
        ),
    ] = False,
    skip_bad: Annotated[
        bool, Parameter(negative="", help="send rows that are no trades to the dead letters, and go on")
    ] = False,
    common: Common = NONE_GIVEN,
) -> None:
    """Read each file twice: first all rows are checked, then they are published with a marker for every minute.

    Files are imported one after the other, in any order: the candles end as if the best of all were imported at once.
    Only minutes that say more than the candles there are are published. Printed is, by range, what ids prove, what the
    file only claims (its own beginning and end, and ids that leave numbers out), and where trades are missing.

    A dump claims the day or month in its name; another file the whole minutes between its first and its last trade.
    --complete-from and --complete-until say otherwise. TIME is ISO 8601 in UTC (2019-10-11T00:01Z) or epoch
    milliseconds. An import that is finished is not published again. A file that tells ids with other contents than the
    log is refused with exit code 3, until --force.

    ```
    candlewick import XRPETH-aggTrades-2019-10-11.zip
    candlewick import BTCUSDT-trades-2021-01-08.csv --complete-until 2021-01-08T00:01Z
    candlewick import trades.parquet --exchange binance --symbol BTC-USDT
    ```
    """
    settings = common.settings()
    request = ImportRequest(
        files=files,
        described=Described(format=format, exchange=exchange, symbol=_composed(symbol), kind=kind),
        complete_from_us=_time_us("--complete-from", complete_from),
        complete_until_us=_time_us("--complete-until", complete_until),
        ids=ids,
        force=force,
        skip_bad=skip_bad,
    )
    if not files:
        raise UsageError("no FILE is given: candlewick import FILE…")
    run(lambda stop: _import(settings, request, stop))


app = single_command("import", import_)

MAX_RANGES = 20
"""So many are printed."""
_FIGURES: dict[Reading, FigureName] = {Reading.SURVEYING: "surveying_rows", Reading.PUBLISHING: "publishing_rows"}
_WORDS = {Proof.IDS: "proved by ids", Proof.CONNECTION: "only claimed", Proof.HOLE: "trades missing"}


async def _import(settings: Settings, request: ImportRequest, stop: asyncio.Event) -> None:
    configure_logs(settings)
    if sys.stderr.isatty():
        with _bars() as watch:
            imported = await import_recordings(settings, request, watch, stop)
    else:
        meter = Meter("import")

        def watch(reading: Reading, rows: int) -> None:
            meter.add(_FIGURES[reading], rows)
            meter.count(rows)

        async with meter.reporting():
            imported = await import_recordings(settings, request, watch, stop)
    for one in imported:
        sys.stdout.write(_summary(one) + "\n")


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
    """What became of a file: the counts, then what is proved, what is only claimed and what is missing, by range."""
    plan = imported.plan
    what = f"{imported.path.name}: {imported.key}, run {imported.run}"
    rows = f"{imported.repeated} rows repeated, {imported.bad} bad"
    if imported.others:
        rows += f", {imported.others} of other markets"
    if imported.checksum_verified:
        rows += ", checksum verified"
    if imported.finished_before:
        return f"imported before: {what}; nothing was published ({rows})"
    found = ranges(plan)
    lines = [f"{_published(imported, what)} ({rows})", *map(_range_line, found[:MAX_RANGES])]
    if len(found) > MAX_RANGES:
        lines.append(f"  … and {len(found) - MAX_RANGES:,} more ranges")
    if plan.kept:
        lines.append(
            f"  {plan.kept:,} trades of unfinished minutes are kept in the log: a later import may make them whole, "
            "--complete-from and --complete-until say that they are"
        )
    if plan.out_of_reach:
        first, last = plan.out_of_reach[0], plan.out_of_reach[-1]
        lines.append(
            f"  left as they are: {len(plan.out_of_reach):,} minutes from {_utc(first)} to {_utc(last)}; some of their "
            "trades are no longer in the log, and the file does not have them all"
        )
    if imported.conflicts.count:
        lines.append(
            f"  the file tells {imported.conflicts.count:,} ids twice, with two contents; the first counts: "
            f"{named(imported.conflicts)}"
        )
    return "\n".join(lines)


def _published(imported: Imported, what: str) -> str:
    plan = imported.plan
    if not plan.publishes:
        return f"nothing to improve: {what}: all {plan.left:,} minutes say as much already; nothing was published"
    left = f"; {plan.left:,} minutes say as much already" if plan.left else ""
    back = f", {imported.read_back:,} of them read back from the log" if imported.read_back else ""
    return f"imported: {what}: {imported.trades:,} trades{back}, {len(plan.minutes):,} minutes{left}"


def _range_line(found: ReportedRange) -> str:
    span = f"{_utc(found.span.from_us)} until {_utc(found.span.until_us)}"
    minutes = (found.span.until_us - found.span.from_us) // MINUTE_US
    line = f"  {_WORDS[found.proof]:<14} {span}: {minutes:,} minutes, {found.trades:,} trades"
    if found.gaps:
        ids = f"{found.gaps[0].first} to {found.gaps[-1].last}"
        line += f"; {found.missing:,} ids are missing ({ids}{', with others between' if len(found.gaps) > 1 else ''})"
    elif found.proof is Proof.HOLE:
        line += "; rows were passed over that may be trades"
    return line


def _composed(symbol: str | None) -> str | None:
    """As symbols are written: a name copied from a folder of macOS has its accents as characters of their own."""
    return None if symbol is None else unicodedata.normalize("NFC", symbol)


def _time_us(flag: str, time: int | datetime | None) -> int | None:
    """A moment, or epoch milliseconds, in microseconds."""
    if not isinstance(time, int):
        return None if time is None else utc_us(time)
    if not 0 <= time < MAX_TIME_US // 1000:
        raise UsageError(f"{flag} {time} is no time: give epoch milliseconds or a time such as 2019-10-11T00:01Z")
    return time * 1000


def _utc(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%MZ")
