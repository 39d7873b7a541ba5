"""The tickers of one market: its sliding windows as texts."""

from typing import NamedTuple

from market.key import MarketKey
from market.texts import TickerTexts, WindowTexts, encode_texts
from market.timeframe import MINUTE_MS
from processors.rolling.amounts import Scale, price_text, quotient, texts_at
from processors.rolling.day import DAY_HOURS, HOUR_MINUTES
from processors.rolling.sliding import RETURN_PLACES, Part, PlacesOf, Sliding, both, volatility
from processors.rolling.sums import STATUSES, Sum

CHANGE_PERCENT_PLACES = 4
VWAP_PLACES = 18
SHARE_PLACES = 6
_PERCENT = 10 ** (2 + CHANGE_PERCENT_PLACES)
_SHARE = 10**SHARE_PLACES
_percent_text = texts_at(CHANGE_PERCENT_PLACES)
_vwap_text = texts_at(VWAP_PLACES)
_share_text = texts_at(SHARE_PLACES)
_volatility_text = texts_at(RETURN_PLACES // 2)


class MinuteWindow(NamedTuple):
    """A window to the minute: how many minutes, and how many from one close to the next whose return counts."""

    length: int
    step: int


class HourWindow(NamedTuple):
    """A window of whole hours and the minutes of the running one: how many hours, this one counted."""

    length: int


WINDOWS: dict[str, MinuteWindow | HourWindow] = {
    "1h": MinuteWindow(60, step=1),
    "24h": MinuteWindow(24 * 60, step=5),
    "7d": HourWindow(7 * 24),
}
"""A new window is a line here."""


_RUNNING_HOUR = MinuteWindow(HOUR_MINUTES, step=1)


class TickerMaker:
    """All windows of one market, whose sums have this scale.

    `minutes_of` has the minutes of an hour since 1970, `hours_of` the hours of a day.
    """

    __slots__ = ("_exchange", "_hours_of", "_minutes_of", "_slidings", "_symbol", "_texts_of", "_vwap", "scale")

    def __init__(self, key: str, scale: Scale, minutes_of: PlacesOf, hours_of: PlacesOf) -> None:
        self._exchange, self._symbol = MarketKey.parse(key)
        self.scale = scale
        self._texts_of = texts_at(scale.price), texts_at(scale.volume), texts_at(scale.quote)
        places = VWAP_PLACES + scale.volume - scale.quote
        self._vwap = 10 ** max(0, places), 10 ** max(0, -places)
        self._minutes_of = minutes_of
        self._hours_of = hours_of
        self._slidings = {window: _sliding(window) for window in (_RUNNING_HOUR, *WINDOWS.values())}

    def forget(self, minute: int) -> None:
        """Note that a minute (since 1970) was changed."""
        for window, sliding in self._slidings.items():
            sliding.forget(minute if isinstance(window, MinuteWindow) else minute // HOUR_MINUTES)

    def ticker(self, minute: int, live: Sum | None = None) -> bytes:
        """The ticker at the end of a closed minute (since 1970), or with `live`, which is that minute while it is open.

        Minutes never go back.
        """
        slidings, minutes_of = self._slidings, self._minutes_of
        running = slidings[_RUNNING_HOUR]
        of_last_hour = running.until(minute, minutes_of, live)
        windows: dict[str, WindowTexts] = {}
        revision = last = 0
        for name, window in WINDOWS.items():
            sliding = slidings[window]
            if isinstance(window, MinuteWindow):
                part = of_last_hour if sliding is running else sliding.until(minute, minutes_of, live)
                minutes = part.count if part else 0
                since, end = minute - window.length + 1, minute + 1
            else:
                hour = minute // HOUR_MINUTES
                hours, of_hour = sliding.until(hour - 1, self._hours_of), running.newest_block(live)
                part = both(hours, of_hour)
                minutes = HOUR_MINUTES * (hours.count if hours else 0) + (of_hour.count if of_hour else 0)
                since, end = (hour - window.length + 1) * HOUR_MINUTES, minute + 1
            assert part is not None  # noqa: S101  # the newest minute is there
            windows[name] = self._texts(part, minutes, since * MINUTE_MS, end - since - minutes)
            revision, last = max(revision, part.revision), part.close
        end_ms = (minute + 1) * MINUTE_MS
        last_text = price_text(last, self.scale.price)
        return encode_texts(
            TickerTexts(self._exchange, self._symbol, end_ms, last_text, live is not None, revision, windows)
        )

    def _texts(self, part: Part, minutes: int, since_ms: int, missing: int) -> WindowTexts:
        change, volume = part.close - part.open, part.volume
        quote_volume, taker_buy_volume = part.quote_volume, part.taker_buy_volume
        price_places = self.scale.price
        change_text, volume_text, quote_text = self._texts_of
        times, by = self._vwap
        varied = volatility(part)
        return WindowTexts(
            minutes,
            price_text(part.open, price_places),
            price_text(part.high, price_places),
            price_text(part.low, price_places),
            price_text(part.close, price_places),
            change_text(change),
            _percent_text(quotient(change * _PERCENT, part.open)),
            _vwap_text(quotient(quote_volume * times, volume * by)) if volume else None,
            volume_text(volume),
            quote_text(quote_volume),
            volume_text(taker_buy_volume),
            part.trades,
            STATUSES[part.rank],
            since_ms,
            missing,
            _share_text(quotient(taker_buy_volume * _SHARE, volume)) if volume else None,
            None if varied is None else _volatility_text(varied),
        )


def _sliding(window: MinuteWindow | HourWindow) -> Sliding:
    if isinstance(window, MinuteWindow):
        return Sliding(window.length, HOUR_MINUTES, window.step)
    return Sliding(window.length - 1, DAY_HOURS, 1)  # the running hour is added minute by minute
