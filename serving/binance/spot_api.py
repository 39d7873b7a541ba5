"""What each path of Binance's spot API answers, out of our tiers; reading of parameters and form of rows are pure."""

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from market.decimals import plain
from market.instrument import Instrument
from market.key import MarketKey
from market.ticker import Ticker
from market.trade import Trade
from serving.binance.klines import coverage_headers, kline_row, klines_question, source_headers
from serving.binance.parameters import SpotApiError, SpotParameters, array_of_texts, invalid, invalid_symbol
from serving.binance.tickers import STATUSES, is_mini, spot_name, symbol_object, ticker_object
from serving.binance.trade_pages import first_aggregates, first_trades, pages_between, pages_from_id
from serving.binance.trades import aggregate_row, aggregates_of, id_of, trade_row
from serving.errors import NoTierError
from serving.held import HeldSpans
from serving.instrument_lists import AGAIN_S, KEPT_S, InstrumentLists
from serving.instruments import is_spot
from serving.planner import Tier
from serving.reader import read_tickers, read_trades
from serving.tiers import AwayError, Tiers
from serving.walk import read_present

MOST_NAMES = 100
_PERMISSION = "SPOT"


class SpotAnswer(NamedTuple):
    """What is sent as JSON, and headers that say where it comes from."""

    body: Any
    headers: dict[str, str]


class SpotApi:
    """All methods raise `SpotApiError`, `NoTierError`, `TooMuchError` and `TooSparseError`."""

    def __init__(self, tiers: Tiers, held: HeldSpans, lists: InstrumentLists) -> None:
        self._tiers = tiers
        self._held = held
        self._lists = lists

    async def ping(self, exchange: str, given: SpotParameters) -> SpotAnswer:  # noqa: ARG002  # as the others
        """That somebody answers."""
        return SpotAnswer({}, {})

    async def time(self, exchange: str, given: SpotParameters) -> SpotAnswer:  # noqa: ARG002  # as the others
        """The server's clock."""
        return SpotAnswer({"serverTime": _now(given)}, {})

    async def exchange_info(self, exchange: str, given: SpotParameters) -> SpotAnswer:
        """The markets of an exchange that are bought and sold themselves."""
        names = given.names()
        if names is not None and ("permissions" in given or "symbolStatus" in given):
            raise SpotApiError(-1128, "Combination of optional parameters invalid: send symbols or what filters them.")
        instruments = await self._named(exchange, names) if names is not None else await self._all(exchange)
        if _PERMISSION not in _permissions(given):
            instruments = []
        symbols = [symbol_object(instrument) for instrument in _with_status(instruments, given)]
        info = {
            "timezone": "UTC",
            "serverTime": _now(given),
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": symbols,
        }
        return SpotAnswer(info, {})

    async def klines(self, exchange: str, given: SpotParameters) -> SpotAnswer:
        """Candles that there are, and the open one."""
        question = klines_question(await self._market(exchange, given), given)
        present = await read_present(self._tiers, self._held, question, now_ms=time.time_ns() // 1_000_000)
        rows = [kline_row(sourced.candle, is_micro=given.is_micro) for sourced in present.candles.values()]
        return SpotAnswer(rows, coverage_headers(present))

    async def trades(self, exchange: str, given: SpotParameters) -> SpotAnswer:
        """The latest trades, oldest first."""
        trades, headers = await self._latest(await self._market(exchange, given), given.limit)
        return SpotAnswer([trade_row(trade, is_micro=given.is_micro) for trade in trades], headers)

    async def historical_trades(self, exchange: str, given: SpotParameters) -> SpotAnswer:
        """Trades from an id on; without it the latest."""
        from_id = given.number("fromId")
        if from_id is None:
            return await self.trades(exchange, given)
        market = await self._market(exchange, given)
        trades = await first_trades(pages_from_id(self._tiers.warm, market, from_id), given.limit)
        if not trades:
            await self._require_numbers(market)
        return SpotAnswer(
            [trade_row(trade, is_micro=given.is_micro) for trade in trades], source_headers([Tier.WARM], [])
        )

    async def aggregate_trades(self, exchange: str, given: SpotParameters) -> SpotAnswer:
        """Aggregates from an id or a time on; without these the latest."""
        from_id, start_ms, end_ms = given.number("fromId"), given.time_ms("startTime"), given.time_ms("endTime")
        if end_ms is not None and start_ms is None:
            raise SpotApiError(-1128, "Combination of optional parameters invalid: endTime needs startTime.")
        if from_id is not None and start_ms is not None:
            raise SpotApiError(-1128, "Combination of optional parameters invalid: send fromId or startTime.")
        market, headers = await self._market(exchange, given), source_headers([Tier.WARM], [])
        if from_id is not None:
            pages = pages_from_id(self._tiers.warm, market, from_id)
            aggregates = await first_aggregates(pages, given.limit)
            if not aggregates:
                await self._require_numbers(market)
        elif start_ms is not None:
            pages = pages_between(self._tiers.warm, market, start_ms, None if end_ms is None else end_ms + 1)
            aggregates = await first_aggregates(pages, given.limit)
        else:
            count = 2 * given.limit
            trades, headers = await self._latest(market, count)
            aggregates = aggregates_of(trades)
            if len(trades) == count:
                del aggregates[0]  # a trade before these may belong to it
            aggregates = aggregates[-given.limit :]
        return SpotAnswer([aggregate_row(each, is_micro=given.is_micro) for each in aggregates], headers)

    async def ticker(self, exchange: str, given: SpotParameters) -> SpotAnswer:
        """The rolling day of a market, of several, or of all that hot has."""
        names, mini = given.names(), is_mini(given)
        tickers, headers = await self._tickers(exchange, names, given)
        objects = [ticker_object(name, ticker, is_mini=mini, is_micro=given.is_micro) for name, ticker in tickers]
        return SpotAnswer(_object_or_all(given, [each for each in objects if each is not None]), headers)

    async def price(self, exchange: str, given: SpotParameters) -> SpotAnswer:
        """The price of the latest trade: by tickers for all markets, which hot has."""
        names = given.names()
        if names is None:
            tickers, headers = await self._tickers(exchange, None, given)
            return SpotAnswer([{"symbol": name, "price": plain(ticker.last)} for name, ticker in tickers], headers)
        prices: list[dict[str, Any]] = []
        tiers: set[Tier] = set()
        away: set[Tier] = set()
        for instrument in _with_status(await self._named(exchange, names), given):
            answer = await read_trades(self._tiers, instrument.market, limit=1)
            tiers |= {sourced.tier for sourced in answer.trades}
            away |= set(answer.away)
            prices += (
                {"symbol": spot_name(instrument), "price": plain(sourced.trade.price)} for sourced in answer.trades
            )
        return SpotAnswer(_object_or_all(given, prices), source_headers(tiers, away))

    async def _tickers(
        self, exchange: str, names: list[str] | None, given: SpotParameters
    ) -> tuple[list[tuple[str, Ticker]], dict[str, str]]:
        """The name and the ticker of each market that has one."""
        if names is None:
            instruments = _with_status(await self._all(exchange), given)
            try:
                held = [(spot_name(each), await self._tiers.hot.ticker(each.market)) for each in instruments]
            except AwayError as error:
                raise NoTierError([Tier.HOT]) from error
            return [(name, ticker) for name, ticker in held if ticker is not None], source_headers([Tier.HOT], [])
        instruments = _with_status(await self._named(exchange, names), given)
        answer = await read_tickers(self._tiers, [instrument.market for instrument in instruments])
        sourced = [(spot_name(each), answer.tickers[each.symbol]) for each in instruments]
        there = [(name, ticker) for name, ticker in sourced if ticker is not None]
        headers = source_headers([tier for _, (_, tier) in there], answer.away)
        return [(name, ticker) for name, (ticker, _) in there], headers

    async def _latest(self, market: MarketKey, count: int) -> tuple[list[Trade], dict[str, str]]:
        answer = await read_trades(self._tiers, market, limit=count)
        headers = source_headers([sourced.tier for sourced in answer.trades], answer.away)
        return [sourced.trade for sourced in reversed(answer.trades)], headers

    async def _require_numbers(self, market: MarketKey) -> None:
        """Raise `SpotApiError` where the ids of a market are no numbers: then no id is at or after another."""
        trades, _ = await self._latest(market, 1)
        for trade in trades:
            id_of(trade)

    async def _market(self, exchange: str, given: SpotParameters) -> MarketKey:
        [instrument] = await self._named(exchange, [given.text("symbol")])
        return instrument.market

    async def _named(self, exchange: str, names: list[str]) -> list[Instrument]:
        """The instruments of these names, each of which has to be there."""
        if len(names) > MOST_NAMES:
            raise invalid("symbols", f"at most {MOST_NAMES} at a time")
        for kept_s in (KEPT_S, AGAIN_S):
            instruments = by_name(await self._lists.of(exchange, kept_s=kept_s))
            if instruments.keys() >= set(names):
                return [instruments[name] for name in names]
        raise invalid_symbol()

    async def _all(self, exchange: str) -> list[Instrument]:
        return list(by_name(await self._lists.of(exchange)).values())


def by_name(instruments: Iterable[Instrument]) -> dict[str, Instrument]:
    """Name → instrument, of those that are bought and sold themselves. Names that two of them share are left out."""
    named: dict[str, list[Instrument]] = {}
    for instrument in instruments:
        if is_spot(instrument):
            named.setdefault(spot_name(instrument), []).append(instrument)
    return {name: sharing[0] for name, sharing in named.items() if len(sharing) == 1}


def _with_status(instruments: list[Instrument], given: SpotParameters) -> list[Instrument]:
    """Those with the status asked for."""
    status = given.optional("symbolStatus")
    if not status:
        return instruments
    if status not in STATUSES.values():
        raise SpotApiError(-1122, "Invalid symbolStatus.")
    having = [instrument for instrument in instruments if STATUSES[instrument.status] == status]
    if "symbol" in given and not having:
        raise SpotApiError(-1220, "The symbol's status does not match the requested symbolStatus.")
    return having


def _permissions(given: SpotParameters) -> list[str]:
    text = given.optional("permissions", _PERMISSION)
    return array_of_texts("permissions", text) if text.startswith("[") else [text]


def _object_or_all(given: SpotParameters, objects: list[dict[str, Any]]) -> Any:
    """The object itself where one market was named."""
    if "symbol" not in given:
        return objects
    if not objects:
        raise SpotApiError(-1000, f"There is nothing of {given.text('symbol')} yet.")
    return objects[0]


def _now(given: SpotParameters) -> int:
    return time.time_ns() // (1_000 if given.is_micro else 1_000_000)
