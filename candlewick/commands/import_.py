"""``candlewick import``: trades of files into Kafka, as a run."""

import asyncio
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from candlewick.common import NONE_GIVEN, Common, given_us, single_command
from market.decimals import parse_decimal
from market.errors import MalformedError
from market.timeframe import MINUTE_US
from market.trade import Proof
from market.utc import utc
from producers.archive.dump import DumpKind
from producers.archive.importing import Imported, ImportRequest, import_recordings, named
from producers.archive.plan import PlannedMinute
from producers.archive.proof import IdKind
from producers.archive.reading import Reading, Watch
from producers.archive.recording import Described, Format
from producers.archive.report import ReportedRange, hole_reason, ranges
from runtime.errors import UsageError
from runtime.figures import FigureName
from runtime.lifecycle import run
from runtime.settings import Settings
from runtime.telemetry import Meter, configure_logs


def _spelling(choice: str) -> str:
    """Binance's own spelling of a kind of dump: ``aggTrades``, not ``agg-trades``."""
    kind = DumpKind.__members__.get(choice)
    return choice if kind is None else kind.value


def import_(
    *files: Annotated[Path, Parameter(help="files with trades of one market")],
    format: Annotated[Format | None, Parameter(help="how the files hold trades; unset: told by the name")] = None,  # noqa: A002
    exchange: Annotated[str | None, Parameter(help="the exchange; unset: that of a dump, else what rows say")] = None,
    symbol: Annotated[
        str | None,
        Parameter(help="BASE-QUOTE; futures: BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD; unset: told by name or rows"),
    ] = None,
    kind: Annotated[
        DumpKind | None,
        Parameter(name_transform=_spelling, help="the rows of a dump; unset: told by name, header or columns"),
    ] = None,
    contract: Annotated[
        str | None, Parameter(help="the coins in one contract, for files that count in contracts (OKX's swaps): 0.01")
    ] = None,
    complete_from: Annotated[int | datetime | None, Parameter(help="the files have every trade from TIME on")] = None,
    complete_until: Annotated[int | datetime | None, Parameter(help="the files have every trade until TIME")] = None,
    ids: Annotated[
        IdKind | None,
        Parameter(help="contiguous: a missing number is a missing trade; others: it is not; unset: told by the ids"),
    ] = None,
    force: Annotated[
        bool, Parameter(negative="", help="publish again under a new run id; where contents differ, the file's count")
    ] = False,
    skip_bad: Annotated[
        bool, Parameter(negative="", help="skip rows that are no trades: they go to the dead letters")
    ] = False,
    common: Common = NONE_GIVEN,
) -> None:
    """Publish the trades of files, and say after each minute whether it is complete.

    Each file is read twice: nothing is published before all rows are checked. Files may come in any order, together or
    one by one: the candles become the same. Only minutes whose candle gets better are published, and an import that is
    finished is not published again.

    **Which minutes become candles?**

    - Of a Binance dump: all minutes of the day or month in its name.
    - Of any other file: the minutes between its first and its last trade, without the minutes of these two, because
      the file may begin or end within them.
    - With --complete-from TIME or --complete-until TIME: from or until that time. Say it where you know that the file
      has every trade there. TIME is 2019-10-11T00:01Z (ISO 8601, UTC) or epoch milliseconds.

    **Which of them are complete?** For each range of minutes one of these is printed:

    - *proved complete*: the trade ids before, in and after them leave none out.
    - *complete by the file's word*: ids cannot prove it, as at the beginning and the end of a file.
    - *marked hole*: trades are missing, and the reason is printed.

    A file that has trades of the log with other contents is refused (exit code 3), unless --force is given.

    ```
    candlewick import XRPETH-aggTrades-2019-10-11.zip
    candlewick import BTCUSDT-trades-2021-01-08.csv --complete-until 2021-01-08T00:01Z
    candlewick import trades.parquet --exchange binance --symbol BTC-USDT
    ```
    """
    settings = common.settings()
    request = ImportRequest(
        files=files,
        described=Described(
            format=format,
            exchange=exchange,
            symbol=_composed(symbol),
            kind=kind,
            contract=None if contract is None else _contract(contract),
        ),
        complete_from_us=_time_us("--complete-from", complete_from),
        complete_until_us=_time_us("--complete-until", complete_until),
        ids=ids,
        force=force,
        skip_bad=skip_bad,
    )
    if not files:
        raise UsageError("no file is named: candlewick import FILE…")
    run(lambda stop: _import(settings, request, stop))


app = single_command("import", import_)

MAX_RANGES = 20
"""At most so many are printed."""
_FIGURES: dict[Reading, FigureName] = {Reading.SURVEYING: "surveying_rows", Reading.PUBLISHING: "publishing_rows"}
_WORDS = {Proof.IDS: "proved complete", Proof.CONNECTION: "complete by the file's word", Proof.HOLE: "marked hole"}


def _contract(text: str) -> Decimal:
    try:
        coins = parse_decimal(text)
    except MalformedError as error:
        raise UsageError(f"--contract {text}: {error}") from error
    if not coins:
        raise UsageError(f"--contract {text}: it has to be greater than 0")
    return coins


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
    for file in imported:
        sys.stdout.write(_summary(file) + "\n")


@contextmanager
def _bars() -> Iterator[Watch]:
    """Two progress bars: the length of the second is known when the first is done."""
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
    """What became of a file: what was published and what not, then the minutes by range, then what stood out."""
    plan, what = imported.plan, f"{imported.path.name} as {imported.key} (run {imported.run})"
    if imported.finished_before:
        lines = [f"imported before: {what}; nothing was published"]
    elif plan.publishes:
        lines = [f"imported: {what}", *_published(imported)]
    else:
        lines = [f"nothing to improve: {what}; nothing was published"]
    if plan.left:
        lines.append(f"  {_count(plan.left, 'minute')} left as they are: their candles say as much already")
    if plan.unfinished:
        lines.append(_unfinished(imported))
    if plan.out_of_reach:
        lines.append(
            f"  {_count(len(plan.out_of_reach), 'minute')} from {utc(plan.out_of_reach[0])} to "
            f"{utc(plan.out_of_reach[-1])} left as they are: some of their trades are no longer in the log, "
            "and the file does not have them all"
        )
    return "\n".join(lines + _rows(imported))


def _published(imported: Imported) -> list[str]:
    plan, reported = imported.plan, ranges(imported.plan)
    back = f", {imported.read_back:,} of them read back from the log" if imported.read_back else ""
    lines = [f"  {_count(imported.trades, 'trade')} published{back}"]
    if plan.minutes:
        lines.append(f"  {_count(len(plan.minutes), 'minute')}: {_by_proof(plan.minutes, reported)}")
    lines += [f"    {_range(minutes)}" for minutes in reported[:MAX_RANGES]]
    if len(reported) > MAX_RANGES:
        lines.append(f"    … and {len(reported) - MAX_RANGES:,} more ranges")
    return lines


def _by_proof(minutes: Sequence[PlannedMinute], reported: Sequence[ReportedRange]) -> str:
    """Such as ``32 proved complete, 1,408 marked hole because line 51 was skipped``."""
    counts = Counter(minute.proof for minute in minutes)
    gaps = list(dict.fromkeys(gap for hole in reported for gap in hole.gaps))
    skipped = list(dict.fromkeys(rows for hole in reported for rows in hole.skipped))
    because = f" because {hole_reason(gaps, skipped)}" if counts[Proof.HOLE] else ""
    return ", ".join(f"{counts[proof]:,} {word}" for proof, word in _WORDS.items() if counts[proof]) + because


def _range(minutes: ReportedRange) -> str:
    span = minutes.span
    counts = f"{_count((span.until_us - span.from_us) // MINUTE_US, 'minute')}, {_count(minutes.trades, 'trade')}"
    because = f": {hole_reason(minutes.gaps, minutes.skipped)}" if minutes.proof is Proof.HOLE else ""
    return f"{utc(span.from_us)} until {utc(span.until_us)} {_WORDS[minutes.proof]}: {counts}{because}"


def _unfinished(imported: Imported) -> str:
    """The trades that came into no candle, and the flags that would bring them in."""
    span, traded = imported.span, imported.traded
    flags = []
    if traded.from_us < span.from_us:
        flags.append(f"--complete-from {utc(traded.from_us)}")
    if traded.until_us > span.until_us:
        flags.append(f"--complete-until {utc(traded.until_us)}")
    line = f"  {_count(imported.plan.unfinished, 'trade')} of unfinished minutes left out of candles (kept in the log)"
    return f"{line}; {' '.join(flags)} includes them, if the file has every trade there" if flags else line


def _rows(imported: Imported) -> list[str]:
    """What stood out among the rows of the file."""
    lines = []
    if imported.bad:
        lines.append(f"  skipped rows (no trades; they are in the dead letters): {imported.bad:,}")
    if imported.repeated:
        lines.append(f"  repeated rows (with the id of a row before them): {imported.repeated:,}")
    if imported.conflicts.count:
        lines.append(
            f"  ids with two contents (the first one counts): {imported.conflicts.count:,}: {named(imported.conflicts)}"
        )
    if imported.others:
        lines.append(f"  rows of other markets (left out): {imported.others:,}")
    if imported.checksum_verified:
        lines.append("  checksum: verified")
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _composed(symbol: str | None) -> str | None:
    """The symbol with composed letters (NFC): macOS writes an accent in a file's name as a letter of its own."""
    return None if symbol is None else unicodedata.normalize("NFC", symbol)


def _time_us(flag: str, time: int | datetime | None) -> int | None:
    return None if time is None else given_us(flag, time)
