"""The sliding 1 h and 24 h windows of one symbol, exact, out of the minutes of two days."""

from collections.abc import Mapping
from decimal import Decimal

from market.candle import Candle
from market.decimals import EXACT, ZERO
from market.key import MarketKey
from market.ticker import Ticker, Window
from market.timeframe import DAY_MS, HOUR_MS, MINUTE_MS
from processors.rolling.day import DAY_MINUTES, Day, Sum, joined, sum_of

WINDOWS = {"1h": HOUR_MS // MINUTE_MS, "24h": DAY_MS // MINUTE_MS}
"""Name → minutes."""
CHANGE_PERCENT_PLACES = 4
VWAP_PLACES = 18


def make_ticker(key: str, days: Mapping[int, Day], end_ms: int, live: Candle | None = None) -> Ticker:
    """The windows that end with the closed minute before `end_ms`, or with `live`, the open minute that begins there.

    `days`: day since 1970 → its minutes; one that is not in it has none. The newest minute of the windows is there.
    """
    exchange, symbol = MarketKey.parse(key)
    until = end_ms // MINUTE_MS
    shown = {
        name: _window_sum(days, until - length + (live is not None), until, live) for name, length in WINDOWS.items()
    }
    longest = shown["24h"]
    return Ticker(
        exchange=exchange,
        symbol=symbol,
        time_ms=end_ms + MINUTE_MS * (live is not None),
        last=longest.close,
        live=live is not None,
        revision=longest.revision,
        windows={name: _window(found) for name, found in shown.items()},
    )


def _window_sum(days: Mapping[int, Day], since: int, until: int, live: Candle | None) -> Sum:
    """The minutes from `since` to before `until`, by their number since 1970, and the open one behind them."""
    sums: list[Sum] = []
    for day in range(since // DAY_MINUTES, (until - 1) // DAY_MINUTES + 1):
        begin = day * DAY_MINUTES
        found = days[day].sum(max(since - begin, 0), min(until - begin, DAY_MINUTES)) if day in days else None
        if found is not None:
            sums.append(found)
    if live is not None:
        sums.append(sum_of(live))
    whole = joined(sums)
    assert whole is not None  # noqa: S101  # the newest minute is there
    return whole


def _window(found: Sum) -> Window:
    change = EXACT.subtract(found.close, found.open)
    return Window(
        minutes=found.minutes,
        open=found.open,
        high=found.high,
        low=found.low,
        close=found.close,
        change=change,
        change_percent=quotient(EXACT.scaleb(change, 2), found.open, CHANGE_PERCENT_PLACES) or ZERO,
        vwap=quotient(found.quote_volume, found.volume, VWAP_PLACES),
        volume=found.volume,
        quote_volume=found.quote_volume,
        taker_buy_volume=found.taker_buy_volume,
        trades=found.trades,
        status=found.status,
    )


def quotient(dividend: Decimal, divisor: Decimal, places: int) -> Decimal | None:
    """`dividend / divisor`, rounded half-even once, to that many places; None where the divisor is 0."""
    if not divisor:
        return None
    above, below = dividend.as_integer_ratio()
    times, by = divisor.as_integer_ratio()
    whole, rest = divmod(above * by * 10**places, below * times)
    twice = 2 * rest - below * times
    if twice > 0 or (twice == 0 and whole % 2):
        whole += 1
    return Decimal(whole).scaleb(-places, EXACT)
