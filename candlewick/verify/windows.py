"""What longer candles and tickers must be: computed from a market's 1m candles alone, in whole numbers. Pure."""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from candlewick.verify.amounts import SCALE, parse_amount, plain_amount
from candlewick.verify.expected import ANY_STATUS, Fields

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
TIMEFRAMES = {
    "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "12h": 720, "1d": 1440,
    "1w": None, "1M": None,
}  # fmt: skip
"""In minutes; weeks begin on Monday, months on the first, all in UTC."""
WEEK_HOURS = 7 * 24
_STATUSES = (*ANY_STATUS, "open")
"""From best to worst; a live candle is open."""
_QUOTE_SCALE = 2 * SCALE
_SUMS = {
    "volume": SCALE,
    "quote_volume": _QUOTE_SCALE,
    "taker_buy_volume": SCALE,
    "taker_buy_quote_volume": _QUOTE_SCALE,
}


class MinuteFold(NamedTuple):
    """Consecutive minutes of a market, folded: amounts as whole numbers, `sums` in the order of `_SUMS`."""

    minutes: int
    open: int
    high: int
    low: int
    close: int
    sums: tuple[int, ...]
    trades: int
    first_trade_id: str | None
    last_trade_id: str | None
    revision: int
    rank: int
    """Of the worst status."""


def fold_of(candle: Fields) -> MinuteFold:
    """A 1m candle. Raises `ValueError` and `KeyError` if it is none."""
    return MinuteFold(
        1,
        parse_amount(candle["open"]),
        parse_amount(candle["high"]),
        parse_amount(candle["low"]),
        parse_amount(candle["close"]),
        tuple(parse_amount(candle[name], scale) for name, scale in _SUMS.items()),
        candle["trades"],
        candle["first_trade_id"],
        candle["last_trade_id"],
        candle["revision"],
        _STATUSES.index(candle["status"]),
    )


def folded(parts: Iterable[MinuteFold]) -> MinuteFold | None:
    """All of these, in order of time; None of none."""
    held = list(parts)
    if not held:
        return None
    traded = [part for part in held if part.first_trade_id is not None]
    return MinuteFold(
        sum(part.minutes for part in held),
        held[0].open,
        max(part.high for part in held),
        min(part.low for part in held),
        held[-1].close,
        tuple(map(sum, zip(*(part.sums for part in held), strict=True))),
        sum(part.trades for part in held),
        traded[0].first_trade_id if traded else None,
        traded[-1].last_trade_id if traded else None,
        max(part.revision for part in held),
        max(part.rank for part in held),
    )


class MarketMinutes:
    """The newest revision of each minute of one market, whoever wrote it."""

    def __init__(self, key: str) -> None:
        self._exchange, _, self._symbol = key.partition(":")
        self._minutes: dict[int, MinuteFold] = {}
        self._hours: dict[int, MinuteFold | None] = {}
        """By open time; what the minutes of an hour give, until one of them changes."""

    def put(self, candle: Fields) -> None:
        """Take in a 1m candle; of one minute the highest revision counts, of one revision the later record."""
        open_ms, part = candle["open_time_ms"], fold_of(candle)
        known = self._minutes.get(open_ms)
        if known is None or known.revision <= part.revision:
            self._minutes[open_ms] = part
            self._hours.pop(open_ms - open_ms % HOUR_MS, None)

    @property
    def first_ms(self) -> int | None:
        """Where the earliest minute opens; None without any."""
        return min(self._minutes, default=None)

    def candles(self) -> Iterator[Fields]:
        """The candle of every whole window of every timeframe."""
        for timeframe in TIMEFRAMES:
            windows: dict[int, list[MinuteFold]] = {}
            for open_ms in sorted(self._minutes):
                windows.setdefault(window_begin(timeframe, open_ms), []).append(self._minutes[open_ms])
            for open_ms, parts in windows.items():
                end_ms = window_end(timeframe, open_ms)
                whole = folded(parts) if len(parts) * MINUTE_MS == end_ms - open_ms else None
                if whole is not None:
                    yield self._candle(timeframe, open_ms, end_ms, whole)

    def ticker(self, open_ms: int, live: Fields | None = None) -> Fields:
        """The ticker at the end of the minute that opens then, which has to be there, without those behind it.

        `live` is that minute while it is open. `realised_volatility` is a float here.
        """
        if live is not None:
            return self._live_ticker(open_ms, fold_of(live))
        hour_ms = open_ms - open_ms % HOUR_MS
        week_ms = hour_ms - (WEEK_HOURS - 1) * HOUR_MS
        hours = {at_ms: self._whole_hour(at_ms) for at_ms in range(week_ms, hour_ms, HOUR_MS)}
        running = self._fold(hour_ms, open_ms)
        week = folded(part for part in (*hours.values(), running) if part is not None)
        closes_of_hours = [None if part is None else part.close for part in hours.values()]
        windows = {
            "1h": (open_ms - HOUR_MS + MINUTE_MS, self._fold(open_ms - HOUR_MS + MINUTE_MS, open_ms), 1),
            "24h": (open_ms - DAY_MS + MINUTE_MS, self._fold(open_ms - DAY_MS + MINUTE_MS, open_ms), 5),
        }
        shown = {
            name: _window(since_ms, open_ms, whole, volatility(self._closes(since_ms, open_ms, step)))
            for name, (since_ms, whole, step) in windows.items()
            if whole is not None
        }
        held = [whole for _, whole, _ in windows.values() if whole is not None]
        if week is not None:
            shown["7d"] = _window(week_ms, open_ms, week, volatility(closes_of_hours))
            held.append(week)
        return {
            "exchange": self._exchange,
            "symbol": self._symbol,
            "time_ms": open_ms + MINUTE_MS,
            "last": plain_amount(self._minutes[open_ms].close),
            "live": False,
            "revision": max(whole.revision for whole in held),
            "windows": shown,
        }

    def _live_ticker(self, open_ms: int, live: MinuteFold) -> Fields:
        hour_ms = open_ms - open_ms % HOUR_MS
        known = self._minutes.get(open_ms)
        self._minutes[open_ms] = live
        self._hours.pop(hour_ms, None)
        ticker = self.ticker(open_ms)
        self._hours.pop(hour_ms, None)
        if known is None:
            del self._minutes[open_ms]
        else:
            self._minutes[open_ms] = known
        return {**ticker, "live": True}

    def _fold(self, from_ms: int, last_ms: int) -> MinuteFold | None:
        """The minutes from one to another, both with it; whole hours at once."""
        parts: list[MinuteFold | None] = []
        at_ms = from_ms
        while at_ms <= last_ms:
            if at_ms % HOUR_MS == 0 and at_ms + HOUR_MS <= last_ms + MINUTE_MS:
                parts.append(self._hour(at_ms))
                at_ms += HOUR_MS
            else:
                parts.append(self._minutes.get(at_ms))
                at_ms += MINUTE_MS
        return folded(part for part in parts if part is not None)

    def _hour(self, hour_ms: int) -> MinuteFold | None:
        if hour_ms not in self._hours:
            opens = range(hour_ms, hour_ms + HOUR_MS, MINUTE_MS)
            self._hours[hour_ms] = folded(self._minutes[at_ms] for at_ms in opens if at_ms in self._minutes)
        return self._hours[hour_ms]

    def _whole_hour(self, hour_ms: int) -> MinuteFold | None:
        part = self._hour(hour_ms)
        return part if part is not None and part.minutes * MINUTE_MS == HOUR_MS else None

    def _closes(self, since_ms: int, last_ms: int, step: int) -> list[int | None]:
        """The closes at the ends of steps of so many minutes; None where that minute is not there."""
        step_ms = step * MINUTE_MS
        first_end_ms = since_ms - since_ms % step_ms + step_ms
        held = (
            self._minutes.get(end_ms - MINUTE_MS) for end_ms in range(first_end_ms, last_ms + MINUTE_MS + 1, step_ms)
        )
        return [None if part is None else part.close for part in held]

    def _candle(self, timeframe: str, open_ms: int, end_ms: int, whole: MinuteFold) -> Fields:
        return {
            "exchange": self._exchange,
            "symbol": self._symbol,
            "timeframe": timeframe,
            "open_time_ms": open_ms,
            "close_time_ms": end_ms - 1,
            **{name: plain_amount(getattr(whole, name)) for name in ("open", "high", "low", "close")},
            **_sums(whole),
            "trades": whole.trades,
            "first_trade_id": whole.first_trade_id,
            "last_trade_id": whole.last_trade_id,
            "revision": whole.revision,
            "status": _STATUSES[whole.rank],
        }


def window_begin(timeframe: str, time_ms: int) -> int:
    """Open time of the window that holds `time_ms`."""
    length = TIMEFRAMES[timeframe]
    if length is not None:
        return time_ms - time_ms % (length * MINUTE_MS)
    day = datetime.fromtimestamp(time_ms // 1000, UTC).replace(hour=0, minute=0, second=0)
    first = day - timedelta(days=day.weekday()) if timeframe == "1w" else day.replace(day=1)
    return int(first.timestamp()) * 1000


def window_end(timeframe: str, open_ms: int) -> int:
    """The first millisecond behind the window that opens then."""
    length = TIMEFRAMES[timeframe]
    if length is not None:
        return open_ms + length * MINUTE_MS
    return open_ms + 7 * DAY_MS if timeframe == "1w" else window_begin("1M", open_ms + 31 * DAY_MS)


def volatility(closes: Iterable[int | None]) -> float | None:
    """The root of the sum of the squared logarithmic returns; None where fewer than two have both their closes."""
    squares = [
        math.log1p((after - before) / before) ** 2
        for before, after in pairwise(closes)
        if before is not None and after is not None
    ]
    return math.sqrt(math.fsum(squares)) if len(squares) > 1 else None


def _sums(whole: MinuteFold) -> dict[str, str]:
    texts = (plain_amount(number, scale) for number, scale in zip(whole.sums, _SUMS.values(), strict=True))
    return dict(zip(_SUMS, texts, strict=True))


def _window(since_ms: int, last_ms: int, whole: MinuteFold, varied: float | None) -> Fields:
    volume, quote, bought, _ = whole.sums
    change = whole.close - whole.open
    return {
        "minutes": whole.minutes,
        **{name: plain_amount(getattr(whole, name)) for name in ("open", "high", "low", "close")},
        "change": plain_amount(change),
        "change_percent": _quotient(Fraction(100 * change, whole.open), 4),
        "vwap": _quotient(Fraction(quote, volume * 10 ** (_QUOTE_SCALE - SCALE)), SCALE) if volume else None,
        "volume": plain_amount(volume),
        "quote_volume": plain_amount(quote, _QUOTE_SCALE),
        "taker_buy_volume": plain_amount(bought),
        "trades": whole.trades,
        "status": _STATUSES[whole.rank],
        "since_ms": since_ms,
        "missing": (last_ms + MINUTE_MS - since_ms) // MINUTE_MS - whole.minutes,
        "taker_buy_share": _quotient(Fraction(bought, volume), 6) if volume else None,
        "realised_volatility": varied,
    }


def _quotient(value: Fraction, places: int) -> str:
    return plain_amount(round(value * 10**places), places)  # `round` goes half to even
