"""Candles in a topic held against the generator's whole numbers."""

import json
from decimal import Decimal
from typing import Any

from trades import ENDING, Candles, Figures, Market

from runtime.kafka import read_to_end
from runtime.settings import Settings


class WrongCandlesError(Exception):
    """What came out is not what the trades say."""


PRICES = ("open", "high", "low", "close")


async def check(settings: Settings, topic: str, market: Market, candles: Candles) -> int:
    """Every minute with trades came out equal, and no other did; returns how many records said so.

    A minute may come again only under a higher `revision` (late trades correct it), and the highest counts. Engines
    without revisions must give each minute once.
    """
    digits = dict(zip(market.keys(), map(market.digits, range(market.symbols)), strict=True))
    newest: dict[tuple[str, int], dict[str, Any]] = {}
    count = 0
    async for records in read_to_end(settings, topic):
        for record in records:
            candle = json.loads(record.value or b"")
            if not candle["trades"] or candle["symbol"].startswith(ENDING):
                continue
            count += 1
            minute = (f"{candle['exchange']}:{candle['symbol']}", candle["open_time_ms"])
            known = newest.get(minute)
            if known is not None:
                _demand(known.get("revision", 0) < candle.get("revision", 0), f"{minute} came twice")
            newest[minute] = candle
    missing, extra = sorted(candles.keys() - newest.keys()), sorted(newest.keys() - candles.keys())
    _demand(not missing, f"{len(missing)} of {len(candles)} candles are missing, as {missing[:1]}")
    _demand(not extra, f"{len(extra)} candles are of no trade, as {extra[:1]}")
    for minute, candle in newest.items():
        _equal(candle, candles[minute], *digits[minute[0]])
    return count


def _equal(candle: dict[str, Any], want: Figures, price_digits: int, qty_digits: int) -> None:
    price, qty = Decimal(10) ** price_digits, Decimal(10) ** qty_digits
    got = [Decimal(candle[name]) * price for name in PRICES]
    got += [Decimal(candle[name]) * qty for name in ("volume", "taker_buy_volume")]
    got += [Decimal(candle[name]) * price * qty for name in ("quote_volume", "taker_buy_quote_volume")]
    wanted = [want.open, want.high, want.low, want.close, want.volume, want.taker, want.quote, want.taker_quote]
    _demand(got == wanted, f"{candle} should be {wanted}")
    _demand(candle["trades"] == want.trades, f"{candle} should have {want.trades} trades")


def _demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001
    if not holds:
        raise WrongCandlesError(otherwise)
