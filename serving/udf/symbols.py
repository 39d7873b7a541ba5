"""Instruments as TradingView's symbols: ``binance:BTC-USDT``. Pure.

Source: TradingView's charting library documentation, "UDF" and "Symbology".
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from market.decimals import EXACT, plain
from market.instrument import Instrument
from serving.instruments import is_spot
from serving.udf.resolutions import INTRADAY, SUPPORTED

_DECIMALS = 8
"""Of prices and volumes whose step is not told."""
TYPES = ("crypto", "futures")
_punctuation = re.compile(r"[^0-9A-Z]+")


def type_of(instrument: Instrument) -> str:
    """One of `TYPES`."""
    return TYPES[0] if is_spot(instrument) else TYPES[1]


def symbol_info(instrument: Instrument) -> dict[str, Any]:
    """A symbol as the library wants it: ``minmov / pricescale`` is the tick."""
    decimals = _decimals(instrument.tick)
    return {
        "name": instrument.symbol,
        "ticker": instrument.key,
        "full_name": instrument.key,
        "description": f"{instrument.base} / {instrument.quote}, {instrument.exchange}",
        "type": type_of(instrument),
        "exchange": instrument.exchange,
        "listed_exchange": instrument.exchange,
        "session": "24x7",
        "timezone": "Etc/UTC",
        "format": "price",
        "minmov": 1 if instrument.tick is None else int(EXACT.scaleb(instrument.tick, decimals)),
        "pricescale": 10**decimals,
        "has_intraday": True,
        "intraday_multipliers": list(INTRADAY),
        "has_daily": True,
        "daily_multipliers": ["1", "3"],
        "has_weekly_and_monthly": True,
        "weekly_multipliers": ["1"],
        "monthly_multipliers": ["1"],
        "supported_resolutions": list(SUPPORTED),
        "volume_precision": _decimals(instrument.lot),
        "data_status": "streaming",
    }


def search_result(instrument: Instrument) -> dict[str, Any]:
    """A line in the list of symbols."""
    info = symbol_info(instrument)
    shown = ("full_name", "description", "exchange", "ticker", "type")
    return {"symbol": info["name"], **{name: info[name] for name in shown}}


def searched(instruments: Iterable[Instrument], text: str, kind: str, limit: int) -> list[Instrument]:
    """Those with the text in their names, whatever its case and punctuation; first those whose names begin with it."""
    text = plain_name(text)
    ranked = [
        (plain_name(instrument.symbol).find(text), instrument.key, instrument)
        for instrument in instruments
        if text in plain_name(instrument.key) and kind in ("", type_of(instrument))
    ]
    ranked.sort(key=lambda each: (each[0] < 0, each[:2]))
    return [instrument for *_, instrument in ranked[:limit]]


def resolved(instruments: Iterable[Instrument], symbol: str) -> Instrument | None:
    """The one with that symbol, else with the only one like it but for case and punctuation (``BTCUSDT``)."""
    like = []
    for instrument in instruments:
        if instrument.symbol == symbol:
            return instrument
        if plain_name(instrument.symbol) == plain_name(symbol):
            like.append(instrument)
    return like[0] if len(like) == 1 else None


def plain_name(name: str) -> str:
    """Without case and punctuation."""
    return _punctuation.sub("", name.upper())


def _decimals(step: Decimal | None) -> int:
    """Digits behind the point."""
    return _DECIMALS if step is None else len(plain(step).partition(".")[2])
