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

    `days`: day since 1970 → its minutes; a day that is left out has none. The windows' newest minute must be in it.
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
        windows={name: _window(window_sum) for name, window_sum in shown.items()},
    )


def _window_sum(days: Mapping[int, Day], since: int, until: int, live: Candle | None) -> Sum:
    """The sum of the minutes from `since` to before `until` (numbers since 1970) and of the open one after them."""
    sums: list[Sum] = []
    for day in range(since // DAY_MINUTES, (until - 1) // DAY_MINUTES + 1):
        begin = day * DAY_MINUTES
        of_day = days[day].sum(max(since - begin, 0), min(until - begin, DAY_MINUTES)) if day in days else None
        if of_day is not None:
            sums.append(of_day)
    if live is not None:
        sums.append(sum_of(live))
    whole = joined(sums)
    assert whole is not None  # noqa: S101  # the newest minute is there
    return whole


def _window(whole: Sum) -> Window:
    change = EXACT.subtract(whole.close, whole.open)
    return Window(
        minutes=whole.minutes,
        open=whole.open,
        high=whole.high,
        low=whole.low,
        close=whole.close,
        change=change,
        change_percent=quotient(EXACT.scaleb(change, 2), whole.open, CHANGE_PERCENT_PLACES) or ZERO,
        vwap=quotient(whole.quote_volume, whole.volume, VWAP_PLACES),
        volume=whole.volume,
        quote_volume=whole.quote_volume,
        taker_buy_volume=whole.taker_buy_volume,
        trades=whole.trades,
        status=whole.status,
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
