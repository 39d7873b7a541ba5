"""The messages of Binance's spot streams and REST, field by field in its order.

Sources: `web-socket-streams.md` and `rest-api.md` of Binance's spot documentation; known answers in the tests.
Times are milliseconds times `unit` (1, or 1,000 where the client asked for microseconds).
"""

from typing import Any

from producers.simulator.archive import Aggregate
from producers.simulator.history import Match
from producers.simulator.instruments import SimulatedInstrument
from producers.simulator.klines import Kline

_BOOL = ("false", "true")


def trade_event(market: SimulatedInstrument, match: Match, clock_ms: int, unit: int) -> str:
    """An event of ``<symbol>@trade``; ``m`` is true where the taker sold."""
    return (
        f'{{"e":"trade","E":{clock_ms * unit},"s":"{market.symbol}","t":{match.trade_id},'
        f'"p":"{market.price(match.ticks)}","q":"{market.qty(match.lots)}","T":{match.time_ms * unit},'
        f'"m":{_BOOL[match.buyer_is_maker]},"M":true}}'
    )


def aggregate_event(market: SimulatedInstrument, row: Aggregate, clock_ms: int, unit: int) -> str:
    """An event of ``<symbol>@aggTrade``."""
    return (
        f'{{"e":"aggTrade","E":{clock_ms * unit},"s":"{market.symbol}","a":{row.aggregate_id},'
        f'"p":"{market.price(row.ticks)}","q":"{market.qty(row.lots)}","f":{row.first_id},"l":{row.last_id},'
        f'"T":{row.time_ms * unit},"m":{_BOOL[row.buyer_is_maker]},"M":true}}'
    )


def kline_event(market: SimulatedInstrument, kline: Kline, interval: str, clock_ms: int, unit: int) -> str:
    """An event of ``<symbol>@kline_<interval>``, sent as the kline closes."""
    end = kline.end_ms * unit
    return (
        f'{{"e":"kline","E":{clock_ms * unit},"s":"{market.symbol}","k":{{"t":{kline.open_ms * unit},"T":{end - 1},'
        f'"s":"{market.symbol}","i":"{interval}","f":{kline.first_id},"L":{kline.last_id},'
        f'"o":"{market.price(kline.open)}","c":"{market.price(kline.close)}","h":"{market.price(kline.high)}",'
        f'"l":"{market.price(kline.low)}","v":"{market.qty(kline.lots)}","n":{kline.trades},"x":true,'
        f'"q":"{market.quote_qty(kline.quote)}","V":"{market.qty(kline.taker_buy_lots)}",'
        f'"Q":"{market.quote_qty(kline.taker_buy_quote)}","B":"0"}}}}'
    )


def shutdown_event(now_ms: int, unit: int) -> str:
    """The event that goes before a shutdown."""
    return f'{{"e":"serverShutdown","E":{now_ms * unit}}}'


def combined(stream: str, payload: str) -> str:
    """A payload as a combined connection carries it."""
    return f'{{"stream":"{stream}","data":{payload}}}'


def trade_row(market: SimulatedInstrument, match: Match, unit: int) -> str:
    """A row of ``/api/v3/trades`` and ``/api/v3/historicalTrades``."""
    return (
        f'{{"id":{match.trade_id},"price":"{market.price(match.ticks)}","qty":"{market.qty(match.lots)}",'
        f'"quoteQty":"{market.quote_qty(match.ticks * match.lots)}","time":{match.time_ms * unit},'
        f'"isBuyerMaker":{_BOOL[match.buyer_is_maker]},"isBestMatch":true}}'
    )


def aggregate_row(market: SimulatedInstrument, row: Aggregate, unit: int) -> str:
    """A row of ``/api/v3/aggTrades``."""
    return (
        f'{{"a":{row.aggregate_id},"p":"{market.price(row.ticks)}","q":"{market.qty(row.lots)}","f":{row.first_id},'
        f'"l":{row.last_id},"T":{row.time_ms * unit},"m":{_BOOL[row.buyer_is_maker]},"M":true}}'
    )


def kline_row(market: SimulatedInstrument, kline: Kline, unit: int) -> list[int | str]:
    """The twelve values of a row of ``/api/v3/klines``."""
    return [
        kline.open_ms * unit,
        market.price(kline.open),
        market.price(kline.high),
        market.price(kline.low),
        market.price(kline.close),
        market.qty(kline.lots),
        kline.end_ms * unit - 1,
        market.quote_qty(kline.quote),
        kline.trades,
        market.qty(kline.taker_buy_lots),
        market.quote_qty(kline.taker_buy_quote),
        "0",
    ]


def symbol_info(market: SimulatedInstrument) -> dict[str, Any]:
    """A market in ``/api/v3/exchangeInfo``."""
    tick, lot = market.price(1), market.qty(1)
    return {
        "symbol": market.symbol,
        "status": "TRADING",
        "baseAsset": market.base,
        "baseAssetPrecision": 8,
        "quoteAsset": market.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT"],
        "icebergAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "10000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000000000.00000000", "stepSize": lot},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }
