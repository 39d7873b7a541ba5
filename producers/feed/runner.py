"""The feed: an exchange's live trades to Kafka, gaps filled, minutes marked.

It runs in sessions. A session starts from what was last acknowledged (each symbol's newest marker in Kafka) and lasts
until it is stopped or a send fails. Then publisher and state are discarded, and the next session starts the same way.
"""

import asyncio
import random
from collections.abc import Sequence

import aiohttp

from market.errors import MalformedError
from producers.exchange import Exchange
from producers.exchanges import EXCHANGES
from producers.feed.progress import STAGE
from producers.feed.rest import RateLimitedError, RefusedError, RestClient
from producers.feed.session import Session
from runtime.backoff import pause_s
from runtime.errors import UnavailableError, UsageError
from runtime.figures import FigureName
from runtime.kafka.admin import require_topics
from runtime.lifecycle import stopped_within
from runtime.settings import Settings
from runtime.telemetry import Meter, logger

FAILED_SESSIONS = 10
"""After so many sessions in a row without a round that reached Kafka, the feed ends with the error: some minutes."""
_LONGEST_PAUSE_S = 30.0
_LOOK_AGAIN_S = 10.0
"""While the exchange wants no requests, the metric of the wait is renewed once in this time."""


async def run_feed(settings: Settings, exchange_name: str, symbols: Sequence[str], stop: asyncio.Event) -> None:
    """Feed `symbols` (``BTC-USDT``, or as the exchange writes them) until `stop`.

    Raises `UsageError` (unknown exchange or symbol), or a group of `UnavailableError` after `FAILED_SESSIONS`.
    """
    if exchange_name not in EXCHANGES:
        raise UsageError(f"there is no exchange {exchange_name!r}: choose {' or '.join(sorted(EXCHANGES))}")
    exchange = EXCHANGES[exchange_name](settings)
    topics = settings.topics
    await require_topics(settings, {topics.trades, topics.dead_letters(topics.trades), topics.feeds, topics.progress})
    meter = Meter(STAGE)
    meter.fields |= dict.fromkeys(_FIGURES, 0)
    async with aiohttp.ClientSession() as http, meter.reporting():
        # One client for all sessions: if the exchange asks for a wait, all of them wait.
        rest = RestClient(http, exchange.rest_url, exchange.rest_limits)
        names = await find_symbols_patiently(rest, exchange, symbols, meter, stop)
        failures = 0
        while names is not None:
            session = Session(settings, exchange, http, rest, meter)
            failed: BaseExceptionGroup[UnavailableError] | None = None
            try:
                await session.run(names, stop)
            except* UnavailableError as group:
                failed = group
            if failed is None:
                return
            failures = 1 if session.published else failures + 1
            if failures == FAILED_SESSIONS or stop.is_set():
                raise failed
            await _pause(failures, failed, stop)


_FIGURES: tuple[FigureName, ...] = (
    "gaps_open", "gaps_filled", "holes", "taken_back", "resets", "reconnects", "refused", "conflicts", "clock_ignored",
    "clocks_away", "rest_weight", "rest_closed_s",
)  # fmt: skip


async def find_symbols_patiently(
    rest: RestClient, exchange: Exchange, symbols: Sequence[str], meter: Meter, stop: asyncio.Event
) -> dict[str, str] | None:
    """Call `find_symbols` as soon as the exchange takes requests; None: stopped meanwhile.

    A process that ended here would be started again, ask again, and be banned for longer.
    """
    while not stop.is_set():
        if not rest.closed_for_s:
            try:
                return await find_symbols(rest, exchange, symbols)
            except RateLimitedError as error:
                if not rest.closed_for_s:
                    raise
                logger(STAGE).error("waiting: no request before the exchange takes them again", error=str(error))
        meter.fields["rest_closed_s"] = round(rest.closed_for_s)
        await stopped_within(stop, min(rest.closed_for_s, _LOOK_AGAIN_S))
    return None


async def find_symbols(rest: RestClient, exchange: Exchange, symbols: Sequence[str]) -> dict[str, str]:
    """The symbols asked for, native name to ours. Raises `UsageError` (no such symbol) or `UnavailableError`."""
    wanted = {exchange.native(symbol): symbol for symbol in symbols}
    if not wanted:
        raise UsageError("no symbols: name at least one, as in candlewick produce binance BTC-USDT")
    try:
        body = await rest.get(exchange.instruments(list(wanted)))
        instruments = {market.native: market.symbol for market in exchange.read_instruments(body)}
    except RefusedError as error:
        raise UsageError(f"{exchange.name} does not have all of {', '.join(wanted.values())}: {error}") from error
    except MalformedError as error:
        raise UnavailableError(f"the answer of {exchange.name} cannot be read: {error}") from error
    for native, symbol in wanted.items():
        if native not in instruments or symbol.upper() not in (native, instruments[native]):
            example = next(iter(instruments.values()), "BTC-USDT")
            raise UsageError(f"{exchange.name} has no symbol {symbol}: symbols are written like {example}")
    return {native: instruments[native] for native in wanted}


async def _pause(failures: int, failed: BaseExceptionGroup[UnavailableError], stop: asyncio.Event) -> None:
    wait_s = pause_s(failures, longest_s=_LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)
    reason: BaseException = failed
    while isinstance(reason, BaseExceptionGroup):
        reason = reason.exceptions[0]
    logger(STAGE).error("session failed, going on from the newest markers", error=str(reason), in_s=round(wait_s, 1))
    await stopped_within(stop, wait_s)
