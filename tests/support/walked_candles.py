"""Candles of a made walk of a price, as the analysis reads them."""

import random
from decimal import Decimal

from serving.analysis.figures import CandleFigures

MINUTE = 60_000


def candle(minute: int, close: str, *, volume: str = "1") -> CandleFigures:
    return CandleFigures(
        open_time_ms=minute * MINUTE, close_time_ms=(minute + 1) * MINUTE - 1, open=Decimal("100.5"),
        high=Decimal(close) + 1, low=Decimal(close) - 1, close=Decimal(close), volume=Decimal(volume),
        quote_volume=Decimal(volume) * Decimal(close), taker_buy_volume=Decimal(volume) / 4, trades=3,
    )  # fmt: skip


def walk(seed: int, count: int) -> list[CandleFigures]:
    at, price, made = random.Random(seed), 100_00, []
    for minute in range(count):
        price = max(50_00, price + at.randint(-99, 101))
        made.append(candle(minute, f"{price / 100:.2f}", volume=f"{at.randint(1, 10**12)}.{at.randint(1, 10**18)}"))
    return made
