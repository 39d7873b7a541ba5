"""24 h tickers held against a batch computation over the same candles: polars, in whole numbers."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from market.timeframe import MINUTE_MS
from runtime.kafka import read_to_end
from runtime.settings import Settings

WINDOW_MINUTES = 1_440
PLACES = {
    "open": 2, "high": 2, "low": 2, "close": 2, "volume": 5, "quote_volume": 7, "taker_buy_volume": 5, "trades": 0,
}  # fmt: skip
"""So many places after the point the bench's candles have at most."""

TickerSums = dict[tuple[str, int], tuple[int, ...]]
"""By key and end: how many minutes, then the figures of `PLACES` in that order, each a whole number at its places."""


class WrongTickersError(Exception):
    """What came out is not what the candles say."""


async def computed(settings: Settings) -> TickerSums:
    """The ticker at the end of each candle of the 1m topic; the candles of a market have to follow each other."""
    rows = []
    async for records in read_to_end(settings, settings.topics.candles()):
        for record in records:
            candle = json.loads(record.value or b"")
            rows.append((_key(candle), candle["open_time_ms"] + MINUTE_MS, *_whole_numbers(candle)))
    frame = pl.DataFrame(rows, schema=["key", "end_ms", *PLACES], orient="row").sort("key", "end_ms")
    gaps = frame.select(pl.col("end_ms").diff().over("key").drop_nulls().unique())["end_ms"].to_list()
    assert gaps == [MINUTE_MS], gaps
    windows = frame.select(
        "key",
        "end_ms",
        pl.int_range(1, pl.len() + 1).over("key").clip(upper_bound=WINDOW_MINUTES),
        pl.col("open").shift(WINDOW_MINUTES - 1).fill_null(pl.col("open").first()).over("key"),
        pl.col("high").rolling_max(WINDOW_MINUTES, min_samples=1).over("key"),
        pl.col("low").rolling_min(WINDOW_MINUTES, min_samples=1).over("key"),
        pl.col("close"),
        *(pl.col(name).rolling_sum(WINDOW_MINUTES, min_samples=1).over("key") for name in list(PLACES)[4:]),
    )
    return {(key, end_ms): tuple(figures) for key, end_ms, *figures in windows.rows()}


async def check_tickers(settings: Settings, topic: str, right: TickerSums, *, last_is_open: bool) -> int:
    """Each came once, and equal; returns how many came. With `last_is_open` the market's last minute may lack."""
    ends_ms = [end_ms for _, end_ms in right]
    needed = {place for place in right if not last_is_open or place[1] < max(ends_ms)}
    seen: TickerSums = {}
    async for records in read_to_end(settings, topic):
        for record in records:
            ticker = json.loads(record.value or b"")
            place = _key(ticker), ticker["time_ms"]
            demand(place not in seen, f"{place} came twice")
            demand(place in right, f"{place} is of no candle")
            # Ours has several windows, the others' record is one.
            seen[place] = figures_of(ticker["windows"]["24h"] if "windows" in ticker else ticker)
            demand(seen[place] == right[place], f"{place}: {seen[place]} should be {right[place]}")
    missing = sorted(needed - seen.keys())
    demand(not missing, f"{len(missing)} of {len(needed)} tickers are missing, as {missing[:1]}")
    return len(seen)


def figures_of(window: Mapping[str, Any]) -> tuple[int, ...]:
    """Of a window as a mapping."""
    return window["minutes"], *_whole_numbers(window)


def demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001
    """`WrongTickersError` if it does not hold."""
    if not holds:
        raise WrongTickersError(otherwise)


def _key(fields: Mapping[str, Any]) -> str:
    return f"{fields['exchange']}:{fields['symbol']}"


def _whole_numbers(fields: Mapping[str, Any]) -> tuple[int, ...]:
    scaled = (Decimal(fields[name]).scaleb(places) for name, places in PLACES.items())
    numbers = tuple((int(number), number) for number in scaled)
    assert all(whole == number for whole, number in numbers), fields
    return tuple(whole for whole, _ in numbers)
