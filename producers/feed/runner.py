"""The feed: an exchange's live trades to Kafka, gaps filled, minutes marked.

It runs in sessions. A session starts from what was last acknowledged (each symbol's newest marker in Kafka) and lasts
until it is stopped or a send fails. Then publisher and state are discarded, and the next session starts the same way.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping

import aiohttp

from market.errors import MalformedError
from market.instrument import Instrument, InstrumentStatus
from producers.capture.recorder import CaptureSettings, recording
from producers.exchange import Exchange
from producers.exchanges import exchange_named
from producers.exchanges.funding import FUNDING
from producers.feed.funding import publish_funding
from producers.feed.instruments import publish_instruments
from producers.feed.progress import STAGE
from producers.feed.rest import RateLimitedError, RefusedError, RestClient
from producers.feed.selection import Selection, select
from producers.feed.session import Session
from runtime.backoff import pause_s
from runtime.errors import CandlewickError, UnavailableError, UsageError
from runtime.figures import FigureName
from runtime.kafka.admin import require_topics
from runtime.lifecycle import stopped_within
from runtime.settings import Settings
from runtime.telemetry import Meter, logger

FAILED_SESSIONS = 10
"""After so many sessions in a row without a round that reached Kafka, the feed ends with the error: some minutes."""
_LONGEST_PAUSE_S = 30.0
_MAX_SHOWN = 10
_LOOK_AGAIN_S = 10.0
"""While the exchange wants no requests, the metric of the wait is renewed once in this time."""


LISTINGS_EVERY_S = 600.0
"""Where whole markets are fed, listings and delistings are looked for once in this time."""
REFUSED_AGAIN_S = 60.0
"""Symbols that the exchange refused are looked up in its list once in this time."""


async def run_feed(
    settings: Settings,
    exchange_name: str,
    selection: Selection,
    stop: asyncio.Event,
    *,
    capture: CaptureSettings | None = None,
    beside: "Callable[[Session], Coroutine[None, None, None]] | None" = None,
) -> None:
    """Feed the selected symbols until `stop`; raw frames are kept by `capture`, and `beside` is run with each session.

    Raises `UsageError` (unknown exchange or symbol), or a group of `UnavailableError` after `FAILED_SESSIONS`.
    """
    exchange = exchange_named(exchange_name, settings)
    topics = settings.topics
    needed = {topics.trades, topics.feeds, topics.progress, topics.instruments, topics.funding}
    await require_topics(settings, needed | {topics.dead_letters(topics.trades)})
    meter = Meter(STAGE)
    meter.fields |= dict.fromkeys(_FIGURES, 0)
    async with (
        aiohttp.ClientSession() as http,
        meter.reporting(),
        recording(capture, exchange_name, meter) as recorder,
    ):
        # One client for all sessions: if the exchange asks for a wait, all of them wait.
        rest = RestClient(http, exchange.rest_url, exchange.rest_limits)
        chosen = await find_patiently(rest, exchange, selection, meter, stop)
        failures = 0
        while chosen is not None:
            session = Session(settings, exchange, http, rest, meter, recorder=recorder)
            failed: BaseExceptionGroup[UnavailableError] | None = None
            jobs = (
                _follow_listings(rest, exchange, selection, chosen, session),
                _subscribe_again(rest, exchange, session),
                publish_instruments(settings, exchange, rest, chosen),
                publish_funding(settings, exchange, FUNDING.get(exchange_name), rest, chosen),
            )
            try:
                async with asyncio.TaskGroup() as tasks:
                    aside = [tasks.create_task(job) for job in jobs]
                    if beside is not None:
                        aside.append(tasks.create_task(beside(session)))
                    try:
                        await session.run(dict(chosen), stop)
                    finally:
                        for task in aside:
                            task.cancel()
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
    "clocks_away", "rest_weight", "rest_closed_s", "messages", "waiting", "missing_trades", "fill_behind_s",
)  # fmt: skip


async def find_patiently(
    rest: RestClient, exchange: Exchange, selection: Selection, meter: Meter, stop: asyncio.Event
) -> dict[str, Instrument] | None:
    """Call `find` as soon as the exchange takes requests; None: stopped meanwhile.

    A process that ended here would be started again, ask again, and be banned for longer.
    """
    while not stop.is_set():
        if not rest.closed_for_s:
            try:
                chosen = await find(rest, exchange, selection)
            except RateLimitedError as error:
                if not rest.closed_for_s:
                    raise
                logger(STAGE).error("waiting: no request before the exchange takes them again", error=str(error))
            else:
                _tell(exchange, selection, chosen)
                return chosen
        meter.fields["rest_closed_s"] = round(rest.closed_for_s)
        await stopped_within(stop, min(rest.closed_for_s, _LOOK_AGAIN_S))
    return None


async def find(rest: RestClient, exchange: Exchange, selection: Selection) -> dict[str, Instrument]:
    """What to feed, by native name. Raises `UsageError` (no such symbol, nothing to feed) or `UnavailableError`."""
    wanted = [] if selection.whole_market else [exchange.native(symbol) for symbol in selection.symbols]
    if not wanted and not selection.whole_market:
        raise UsageError("no symbols: name at least one, as in candlewick produce binance BTC-USDT, or --all")
    try:
        body = await rest.get(exchange.instruments(wanted))
        instruments = exchange.read_instruments(body)
    except RefusedError as error:
        raise UsageError(f"{exchange.name} does not have all of {', '.join(selection.symbols)}: {error}") from error
    except MalformedError as error:
        raise UnavailableError(f"the answer of {exchange.name} cannot be read: {error}") from error
    return select(selection, instruments, exchange.name)


def _tell(exchange: Exchange, selection: Selection, chosen: Mapping[str, Instrument]) -> None:
    if not chosen:
        shard, quotes = selection.shard, " or ".join(sorted(selection.quotes)) or "anything"
        if shard.total == 1:
            raise UsageError(f"{exchange.name} trades nothing against {quotes} now")
        logger(STAGE).warning("this shard has no symbols", shard=f"{shard.number}/{shard.total}")
    shown = [each.symbol for each in list(chosen.values())[:_MAX_SHOWN]]
    logger(STAGE).info("feeding", exchange=exchange.name, symbols=len(chosen), such_as=shown)


async def _follow_listings(
    rest: RestClient, exchange: Exchange, selection: Selection, chosen: dict[str, Instrument], session: Session
) -> None:
    """Follow the exchange's list while whole markets are fed; `chosen` is what is fed, and is kept up to date."""
    while selection.whole_market:
        await asyncio.sleep(LISTINGS_EVERY_S)
        try:
            listed = await find(rest, exchange, selection)
        except CandlewickError as error:  # the list is looked at again; nothing depends on it now
            logger(STAGE).warning("the list of instruments cannot be had", error=str(error))
            continue
        new = {native: each for native, each in listed.items() if native not in chosen}
        gone = [native for native in chosen if native not in listed]
        if new:
            logger(STAGE).info("listed", symbols=[each.symbol for each in new.values()])
            session.add(new)
        if gone:
            logger(STAGE).warning("not traded any more", symbols=[chosen[native].symbol for native in gone])
            session.retire(gone)
        for native in gone:
            del chosen[native]
        chosen |= new


async def _subscribe_again(rest: RestClient, exchange: Exchange, session: Session) -> None:
    """Subscribe again to symbols that were left out, once the exchange's list shows them trading."""
    while True:
        await asyncio.sleep(REFUSED_AGAIN_S)
        if not session.left_out:
            continue
        try:
            listed = exchange.read_instruments(await rest.get(exchange.instruments(list(session.left_out))))
        except (CandlewickError, MalformedError) as error:  # it is asked again
            logger(STAGE).warning("symbols that are left out cannot be looked up", error=str(error))
            continue
        session.try_again(each.native for each in listed if each.status is InstrumentStatus.TRADING)


async def _pause(failures: int, failed: BaseExceptionGroup[UnavailableError], stop: asyncio.Event) -> None:
    wait_s = pause_s(failures, longest_s=_LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)
    reason: BaseException = failed
    while isinstance(reason, BaseExceptionGroup):
        reason = reason.exceptions[0]
    logger(STAGE).error("session failed, going on from the newest markers", error=str(reason), in_s=round(wait_s, 1))
    await stopped_within(stop, wait_s)
