"""``candlewick backfill``: history over REST into Kafka, as runs."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from candlewick.common import NONE_GIVEN, Common, given_us, single_command
from market.timeframe import MINUTE_US
from market.trade import Proof
from market.utc import utc
from producers.archive.dump import DumpPeriod
from producers.archive.report import hole_reason
from producers.backfill.asking import STAGE
from producers.backfill.backfill import BackfillRequest, Watch, whole_minutes
from producers.backfill.backfill import backfill as run_backfill
from producers.backfill.funding import backfill_funding
from producers.backfill.symbol import Backfilled
from runtime.errors import UsageError
from runtime.lifecycle import run
from runtime.settings import Settings
from runtime.telemetry import Meter, configure_logs


def backfill(
    exchange: Annotated[str, Parameter(help="the exchange, such as binance")],
    /,
    *symbols: Annotated[str, Parameter(help="such as BTC-USDT, or as the exchange writes it: BTCUSDT")],
    from_: Annotated[int | datetime, Parameter(name="--from", help="the first minute")],
    to: Annotated[
        int | datetime | None,
        Parameter(help="the end of the last minute; unset: as far as may be, 15 minutes behind live data"),
    ] = None,
    klines: Annotated[
        bool, Parameter(negative="", help="the exchange's own klines, for minutes whose trades can't be had")
    ] = False,
    force: Annotated[
        bool,
        Parameter(
            negative="", help="ask for minutes that are complete too; where contents differ, the exchange's count"
        ),
    ] = False,
    funding: Annotated[
        bool, Parameter(negative="", help="the settled funding rates of perpetuals, instead of trades")
    ] = False,
    common: Common = NONE_GIVEN,
) -> None:
    """Fetch the trades of past minutes, and publish them as runs, as an import does with a file.

    The log says which minutes of the range are proved complete: they are not asked for. The others are fetched in
    chunks, and each chunk is published when it is whole. So after an interruption the same command goes on where it
    stopped. All symbols share the exchange's limits; four are fetched at a time. If the exchange wants no requests, or
    is away, it is waited for.

    A minute is *proved complete* where trade ids before, in and after it leave none out. *marked hole*: the exchange
    left ids out.

    With --klines no trades are asked for: minutes without a candle, and holes, get the exchange's own candle (status
    `kline`).

    With --funding the settled funding rates of the range go to `md.funding.v1`, as far back as the exchange has them:
    those that the log has are not published again, and where it has all of them, they are not asked for.

    TIME is 2026-01-31T12:00Z (ISO 8601, UTC) or epoch milliseconds.

    ```
    candlewick backfill binance BTC-USDT ETH-USDT --from 2026-01-31 --to 2026-02-01
    candlewick backfill binance BTC-USDT --from 2026-01-31T12:00Z
    candlewick backfill binance BTC-USDT --from 2026-01-31 --to 2026-02-01 --klines
    candlewick backfill binance-usdm BTC-USDT-PERP --from 2025-01-01 --funding
    ```
    """
    settings = common.settings()
    if funding:
        if klines or force:
            raise UsageError("--funding is of funding rates alone: leave --klines and --force out")
        span = whole_minutes(given_us("--from", from_), None if to is None else given_us("--to", to))
        run(lambda stop: _backfill_funding(settings, exchange, symbols, span, stop))
        return
    request = BackfillRequest(
        exchange=exchange,
        symbols=symbols,
        from_us=given_us("--from", from_),
        until_us=None if to is None else given_us("--to", to),
        klines=klines,
        force=force,
    )
    run(lambda stop: _backfill(settings, request, stop))


app = single_command("backfill", backfill)

_WORDS = {
    Proof.IDS: "proved complete",
    Proof.CONNECTION: "complete by the exchange's word",
    Proof.KLINE: "of the exchange's klines",
    Proof.HOLE: "marked hole",
}


async def _backfill(settings: Settings, request: BackfillRequest, stop: asyncio.Event) -> None:
    configure_logs(settings)
    async with _watching() as watch:
        await run_backfill(settings, request, watch, _tell, stop)


async def _backfill_funding(
    settings: Settings, exchange: str, symbols: Sequence[str], span: DumpPeriod, stop: asyncio.Event
) -> None:
    configure_logs(settings)
    if not symbols:
        raise UsageError("no symbols: name at least one, as in candlewick backfill okx-swap BTC-USDT-PERP --funding")
    async with _watching() as watch:
        async for result in backfill_funding(settings, exchange, symbols, span, watch=watch, stop=stop):
            sys.stdout.write(
                f"{result.key}: {_count(result.published, 'funding rate')} published, {result.known:,} in the log "
                f"already; {_count(result.requests, 'request')}\n"
            )
            sys.stdout.flush()


@asynccontextmanager
async def _watching() -> AsyncIterator[Watch]:
    """Shows how far the symbols are: as bars on a terminal, else in the log."""
    if sys.stderr.isatty():
        with _bars() as watch:
            yield watch
        return
    meter, symbols = Meter(STAGE), dict[str, tuple[int, int]]()

    def count(symbol: str, done: int, in_all: int) -> None:
        symbols[symbol] = done, in_all
        meter.fields["minutes_done"] = sum(done for done, _ in symbols.values())
        meter.fields["minutes_left"] = sum(in_all - done for done, in_all in symbols.values())

    async with meter.reporting():
        yield count


@contextmanager
def _bars() -> Iterator[Watch]:
    """A bar for each symbol at work, in minutes of market time."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def watch(symbol: str, done: int, in_all: int) -> None:
            if symbol not in tasks:
                tasks[symbol] = progress.add_task(symbol, total=in_all)
            progress.update(tasks[symbol], completed=done, total=in_all, visible=done < in_all)

        yield watch


def _tell(result: Backfilled) -> None:
    sys.stdout.write(_summary(result) + "\n")
    sys.stdout.flush()


def _summary(result: Backfilled) -> str:
    """What became of a symbol: what was published, what could not be reached, and the ranges that lack trades."""
    span, minutes = result.span, (result.span.until_us - result.span.from_us) // MINUTE_US
    lines = [f"{result.key}: {utc(span.from_us)} until {utc(span.until_us)}, {_count(minutes, 'minute')}"]
    if minutes and not result.wanted:
        lines.append("  nothing to ask for: the log has all of them as well already")
    elif minutes:
        proofs = ", ".join(
            f"{result.minutes[proof]:,} {word}" for proof, word in _WORDS.items() if result.minutes[proof]
        )
        lines.append(
            f"  {_count(result.wanted, 'minute')} asked for with {_count(result.requests, 'request')}; "
            f"{_count(result.trades, 'trade')} published in {_count(result.runs, 'run')}"
        )
        lines += [f"  published: {proofs}"] if proofs else []
    for hole in result.holes:
        reason = hole_reason(hole.gaps, hole.skipped)
        lines.append(f"    {utc(hole.span.from_us)} until {utc(hole.span.until_us)} marked hole: {reason}")
    if result.begins_us is not None:
        lines.append(
            f"  the exchange's trades begin at {utc(result.begins_us)}: the first whole minute is the one after"
        )
    if result.out_of_reach:
        lines.append(
            f"  {_count(result.out_of_reach, 'minute')} left as they are: some of their trades are no longer in the "
            "log, and the exchange did not give them"
        )
    if result.bad:
        lines.append(f"  rows that are no trades (they are in the dead letters): {result.bad:,}")
    if span.until_us < result.asked.until_us:
        lines.append(
            f"  not until {utc(result.asked.until_us)}: live data are less than 15 minutes before, or the exchange has "
            "shown no trade as late"
        )
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
