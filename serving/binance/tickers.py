"""Tickers and instruments as Binance's objects. Pure.

What we do not know is null: there is no order book here, so no bid and no ask; and of a window's trades only sums.
"""

from typing import Any

from market.decimals import plain
from market.instrument import Instrument, InstrumentStatus
from market.ticker import Ticker
from serving.binance.parameters import SpotApiError, SpotParameters

_DAY = "24h"
_TYPES = ("FULL", "MINI")
_PRECISION = 8
"""Digits that Binance tells of every asset."""
STATUSES = {
    InstrumentStatus.TRADING: "TRADING",
    InstrumentStatus.HALTED: "HALT",
    InstrumentStatus.DELISTED: "BREAK",
}


def spot_name(instrument: Instrument) -> str:
    """``BTC-USDT`` is ``BTCUSDT``, on every exchange."""
    return f"{instrument.base}{instrument.quote}"


def is_mini(given: SpotParameters) -> bool:
    """Whether the short form is asked for. Raises `SpotApiError`."""
    kind = given.optional("type", _TYPES[0])
    if kind not in _TYPES:
        raise SpotApiError(-1139, "Invalid ticker type.")
    return kind == _TYPES[1]


def ticker_object(name: str, ticker: Ticker, *, is_mini: bool, is_micro: bool) -> dict[str, Any] | None:
    """An object of ``ticker/24hr``; None where the ticker has no such window."""
    window = ticker.windows.get(_DAY)
    if window is None:
        return None
    unit = 1_000 if is_micro else 1
    change = {
        "priceChange": plain(window.change),
        "priceChangePercent": plain(window.change_percent),
        "weightedAvgPrice": None if window.vwap is None else plain(window.vwap),
        "prevClosePrice": None,
    }
    book = dict.fromkeys(("lastQty", "bidPrice", "bidQty", "askPrice", "askQty"))
    return {
        "symbol": name,
        **({} if is_mini else change),
        "openPrice": plain(window.open),
        "highPrice": plain(window.high),
        "lowPrice": plain(window.low),
        "lastPrice": plain(ticker.last),
        **({} if is_mini else book),
        "volume": plain(window.volume),
        "quoteVolume": plain(window.quote_volume),
        "openTime": None if window.since_ms is None else window.since_ms * unit,
        "closeTime": ticker.time_ms * unit - 1,
        "firstId": None,
        "lastId": None,
        "count": window.trades,
    }


def symbol_object(instrument: Instrument) -> dict[str, Any]:
    """An instrument in ``exchangeInfo``. There are no order types, for nothing can be ordered here.

    A bound of 0 is none in a filter of prices (`filters.md`); one of sizes has only what is known.
    """
    filters: list[dict[str, Any]] = []
    if instrument.tick is not None:
        tick = plain(instrument.tick)
        filters.append({"filterType": "PRICE_FILTER", "minPrice": "0", "maxPrice": "0", "tickSize": tick})
    if instrument.lot is not None:
        lot = plain(instrument.lot)
        filters.append({"filterType": "LOT_SIZE", "minQty": lot, "stepSize": lot})
    return {
        "symbol": spot_name(instrument),
        "status": STATUSES[instrument.status],
        "baseAsset": instrument.base,
        "baseAssetPrecision": _PRECISION,
        "quoteAsset": instrument.quote,
        "quotePrecision": _PRECISION,
        "quoteAssetPrecision": _PRECISION,
        "baseCommissionPrecision": _PRECISION,
        "quoteCommissionPrecision": _PRECISION,
        "orderTypes": [],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": False,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters,
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }
