"""A backfill from the exchange's history to finished runs: several symbols side by side, chunk by chunk.

All symbols share one client, and so the exchange's limits. A symbol that fails does not end the others.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from market.key import MarketKey
from market.timeframe import minute_us, next_minute_us
from market.utc import utc
from producers.archive.dump import DumpPeriod
from producers.archive.importing import InterruptedImportError, topics_of_runs
from producers.backfill.asking import STAGE, InterruptedBackfillError, PatientClient
from producers.backfill.symbol import Backfilled, MarketTime, SymbolBackfill
from producers.exchange import Exchange, contracts_of
from producers.exchanges import exchange_named
from producers.feed.rest import RestClient
from producers.feed.runner import find
from producers.feed.selection import Selection
from runtime.errors import CandlewickError, UsageError
from runtime.kafka.admin import require_topics
from runtime.settings import Settings
from runtime.telemetry import logger

SIDE_BY_SIDE = 4
"""So many symbols are worked on at a time: more would only wait for the same limits."""


@dataclass(frozen=True, kw_only=True)
class BackfillRequest:
    """What to backfill. Times are UTC microseconds; no `until_us`: as far as runs may go."""

    exchange: str
    symbols: Sequence[str]
    from_us: int
    until_us: int | None = None
    klines: bool = False
    """The exchange's own klines instead of trades."""
    force: bool = False
    """Ask for what the log has too, and let the exchange's contents count."""


class FailedBackfillError(CandlewickError):
    """Some symbols failed; the exit code is the greatest of theirs."""

    def __init__(self, failures: dict[str, CandlewickError], symbols: int) -> None:
        self.exit_code = max(error.exit_code for error in failures.values())
        told = "; ".join(f"{symbol}: {error}" for symbol, error in failures.items())
        super().__init__(told if symbols == 1 else f"{len(failures)} of {symbols} symbols failed: {told}")


Watch = Callable[[str, int, int], None]
"""Called with a symbol, how many of its minutes are done, and how many there are to do."""
Report = Callable[[Backfilled], None]
"""Called with the result of a symbol, once it is done."""


async def backfill(
    settings: Settings, request: BackfillRequest, watch: Watch, report: Report, stop: asyncio.Event
) -> None:
    """Fetch the minutes that the log lacks, and publish them as runs. After an error it can be repeated.

    Raises `UsageError` (unknown exchange or symbol, or a range without minutes), `InterruptedBackfillError` (`stop` was
    set), or `FailedBackfillError` at the end, if symbols failed.
    """
    span = whole_minutes(request.from_us, request.until_us)
    exchange = exchange_named(request.exchange, settings)
    if not request.symbols:
        raise UsageError("no symbols: name at least one, as in candlewick backfill binance BTC-USDT --from 2026-01-31")
    if not exchange.ids_prove and not request.klines:
        raise UsageError(
            f"{exchange.name} gives only its newest trades, and their ids prove nothing: import its archive files, "
            "or say --klines"
        )
    await require_topics(settings, topics_of_runs(settings.topics))
    async with aiohttp.ClientSession() as http:
        rest = RestClient(http, exchange.rest_url, exchange.rest_limits, stage=STAGE)
        chosen = await find(rest, exchange, Selection(request.symbols))
        exchange = exchange.knowing(contracts_of(chosen))
        names = {native: instrument.symbol for native, instrument in chosen.items()}
        with tempfile.TemporaryDirectory(prefix="candlewick-backfill-") as folder:
            shared = _Shared(settings, request, exchange, rest, folder=Path(folder), span=span)
            await shared.run(names, watch, report, stop)


class _Shared:
    """What the symbols of one backfill share."""

    def __init__(
        self,
        settings: Settings,
        request: BackfillRequest,
        exchange: Exchange,
        rest: RestClient,
        *,
        folder: Path,
        span: DumpPeriod,
    ) -> None:
        self._settings = settings
        self._request = request
        self._exchange = exchange
        self._rest = rest
        self._folder = folder
        self._span = span
        self._market_time = MarketTime()
        self._failures: dict[str, CandlewickError] = {}

    async def run(self, names: dict[str, str], watch: Watch, report: Report, stop: asyncio.Event) -> None:
        places = asyncio.Semaphore(SIDE_BY_SIDE)

        async def work(native: str, symbol: str) -> None:
            async with places:
                if not stop.is_set():
                    await self._guard(symbol, self._backfill(native, symbol, watch, report, stop))

        async with asyncio.TaskGroup() as tasks:
            for native, symbol in names.items():
                tasks.create_task(work(native, symbol))
        if stop.is_set():
            raise InterruptedBackfillError
        if self._failures:
            raise FailedBackfillError(self._failures, len(names))

    async def _guard(self, symbol: str, work: Coroutine[Any, Any, None]) -> None:
        """Note the error of one symbol: the others go on."""
        try:
            await work
        except (InterruptedBackfillError, InterruptedImportError):
            return
        except CandlewickError as error:
            logger(STAGE).error("failed", symbol=symbol, error=str(error))
            self._failures[symbol] = error

    async def _backfill(self, native: str, symbol: str, watch: Watch, report: Report, stop: asyncio.Event) -> None:
        work = SymbolBackfill(
            self._settings,
            self._exchange,
            PatientClient(self._rest, stop),
            MarketKey(self._exchange.name, symbol),
            native,
            folder=self._folder,
            market_time=self._market_time,
            force=self._request.force,
            watch=lambda done, in_all: watch(symbol, done, in_all),
            stop=stop,
        )
        report(await (work.klines(self._span) if self._request.klines else work.trades(self._span)))


def whole_minutes(asked_from_us: int, asked_until_us: int | None) -> DumpPeriod:
    """The whole minutes that are asked for, none of them in the future. `UsageError`: there is none."""
    now_us = time.time_ns() // 1000
    until_us = minute_us(now_us if asked_until_us is None else min(asked_until_us, now_us))
    from_us = next_minute_us(asked_from_us)
    if from_us >= until_us:
        raise UsageError(
            f"there is no whole minute from {utc(asked_from_us)} until {utc(until_us)}: --from has to be earlier"
        )
    return DumpPeriod(from_us, until_us)
