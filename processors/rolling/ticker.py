"""The sliding 1 h and 24 h windows of one symbol, exact, out of a day's minutes held in columns."""

from array import array
from bisect import bisect_left
from decimal import Decimal

from market.candle import Candle, Status
from market.decimals import EXACT, ZERO
from market.ticker import Ticker, Window
from market.timeframe import DAY_MS, HOUR_MS, MINUTE_MS
from processors.rolling.column import Column

WINDOWS_MS = {"1h": HOUR_MS, "24h": DAY_MS}
LONGEST_MS = max(WINDOWS_MS.values())
CHANGE_PERCENT_PLACES = 4
VWAP_PLACES = 18
_DROP_AT = 64  # minutes let go at once: a column moves when its front goes
_STATUSES = tuple(Status)  # by rank
_COLUMNS = ("open", "high", "low", "volume", "quote_volume", "taker_buy_volume")


class Minutes:
    """The newest 24 h of a key's 1m candles, some eighty bytes each; a higher or equal revision replaces."""

    __slots__ = ("_columns", "_last", "_opens_ms", "_ranks", "_revisions", "_trades")

    def __init__(self) -> None:
        self._opens_ms = array("q")
        self._columns = {name: Column() for name in _COLUMNS}
        self._trades = array("q")
        self._revisions = array("q")
        self._ranks = array("B")
        self._last = ZERO

    @property
    def newest_ms(self) -> int | None:
        """Open time of the newest minute."""
        return self._opens_ms[-1] if self._opens_ms else None

    def put(self, candle: Candle) -> None:
        """Take in a minute; one behind the windows, or of a lower revision than the one held, changes nothing."""
        opens_ms, open_ms = self._opens_ms, candle.open_time_ms
        if opens_ms and open_ms <= opens_ms[-1] - LONGEST_MS:
            return
        at = bisect_left(opens_ms, open_ms)
        if at == len(opens_ms) or opens_ms[at] != open_ms:
            self._insert(at, candle)
        elif candle.revision >= self._revisions[at]:  # of one revision the later in the log counts
            self._replace(at, candle)
        else:
            return
        if at == len(opens_ms) - 1:
            self._last = candle.close
        if opens_ms[0] <= opens_ms[-1] - LONGEST_MS - _DROP_AT * MINUTE_MS:
            self._drop(bisect_left(opens_ms, opens_ms[-1] - LONGEST_MS + MINUTE_MS))

    def ticker(self, exchange: str, symbol: str, live: Candle | None = None) -> Ticker:
        """The windows that end with the newest minute, or with `live`, the open one; a minute must be there."""
        end_ms = (live.open_time_ms if live else self._opens_ms[-1]) + MINUTE_MS
        windows = {name: self._window(end_ms - length_ms, live) for name, length_ms in WINDOWS_MS.items()}
        longest = bisect_left(self._opens_ms, end_ms - LONGEST_MS)
        revisions = [*self._revisions[longest:], *([live.revision] if live else [])]
        return Ticker(
            exchange=exchange,
            symbol=symbol,
            time_ms=end_ms,
            last=live.close if live else self._last,
            live=live is not None,
            revision=max(revisions),
            windows=windows,
        )

    def _window(self, since_ms: int, live: Candle | None) -> Window:
        at = bisect_left(self._opens_ms, since_ms)
        minutes = len(self._opens_ms) - at
        held = self._columns
        sums = {name: held[name].total(at) for name in ("volume", "quote_volume", "taker_buy_volume")}
        trades, rank = sum(self._trades[at:]), max(self._ranks[at:], default=0)
        prices = [] if live is None else [live]
        highs = [candle.high for candle in prices]
        lows = [candle.low for candle in prices]
        if minutes:
            highs.append(held["high"].greatest(at))
            lows.append(held["low"].least(at))
        if live:
            sums = {name: EXACT.add(total, getattr(live, name)) for name, total in sums.items()}
            trades, rank, minutes = trades + live.trades, max(rank, live.status.rank), minutes + 1
        opened = held["open"][at] if at < len(self._opens_ms) else prices[0].open
        close = live.close if live else self._last
        change = EXACT.subtract(close, opened)
        return Window(
            minutes=minutes,
            open=opened,
            high=max(highs),
            low=min(lows),
            close=close,
            change=change,
            change_percent=quotient(EXACT.scaleb(change, 2), opened, CHANGE_PERCENT_PLACES) or ZERO,
            vwap=quotient(sums["quote_volume"], sums["volume"], VWAP_PLACES),
            trades=trades,
            status=_STATUSES[rank],
            **sums,
        )

    def _insert(self, at: int, candle: Candle) -> None:
        self._opens_ms.insert(at, candle.open_time_ms)
        for name, column in self._columns.items():
            column.insert(at, getattr(candle, name))
        self._trades.insert(at, candle.trades)
        self._revisions.insert(at, candle.revision)
        self._ranks.insert(at, candle.status.rank)

    def _replace(self, at: int, candle: Candle) -> None:
        for name, column in self._columns.items():
            column.replace(at, getattr(candle, name))
        self._trades[at] = candle.trades
        self._revisions[at] = candle.revision
        self._ranks[at] = candle.status.rank

    def _drop(self, count: int) -> None:
        for column in self._columns.values():
            column.drop(count)
        for values in (self._opens_ms, self._trades, self._revisions, self._ranks):
            del values[:count]


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
