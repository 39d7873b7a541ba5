"""The tickers of one partition: by columns, or one by one where numbers are too great for that."""

from collections.abc import Iterable, Sequence

import numpy as np

from market.timeframe import MINUTE_MS
from processors.rolling.state import RollingState
from processors.rolling.sums import Sum
from processors.rolling.ticker import WINDOWS, TickerMaker
from processors.rolling.ticker_columns import DueTicker, TickerColumns
from processors.rolling.ticker_table import encode_tickers
from processors.rolling.ticker_texts import encode_ticker

_NAMES = tuple(WINDOWS)


class Tickers:
    """All markets. The minutes of a market's tickers never go back."""

    def __init__(self, state: RollingState) -> None:
        self._state = state
        self._columns = TickerColumns(state.minute_numbers, state.hour_numbers)
        self._makers: dict[str, TickerMaker] = {}

    def change(self, key: str, minute: int, value: Sum) -> None:
        """Note that a minute (since 1970) of a market was put in, or replaced."""
        self._columns.change(key, minute, value)
        if (maker := self._makers.get(key)) is not None:
            maker.forget(minute)

    def forget(self, key: str) -> None:
        """Note that a market has another scale."""
        self._columns.forget(key)
        self._makers.pop(key, None)

    def prepare(self, newest: Iterable[tuple[str, int]]) -> None:
        """Look far back for the next tickers of these keys, each with its newest minute: later it would take time."""
        self._columns.prepare(newest)

    def make(self, due: Sequence[DueTicker]) -> list[bytes]:
        """The records of tickers, in this order."""
        if not due:
            return []
        rows, columns = self._columns.numbers(due)
        keys, scales = [due[row].key for row in rows], self._state.scales
        heads = [(*scales[due[row].key], (due[row].minute + 1) * MINUTE_MS, due[row].live is not None) for row in rows]
        table = np.concatenate((np.array(heads, np.int64).reshape(-1, 5).T, columns))
        values = dict(zip(rows, encode_tickers(keys, table, _NAMES), strict=True))
        return [values.get(row) or self._one(ticker) for row, ticker in enumerate(due)]

    def _one(self, due: DueTicker) -> bytes:
        maker = self._makers.get(due.key)
        if maker is None:
            state = self._state
            minutes_of = lambda hour: state.minutes(due.key, hour)  # noqa: E731
            hours_of = lambda day: state.hours(due.key, day)  # noqa: E731
            maker = self._makers[due.key] = TickerMaker(due.key, state.scales[due.key], minutes_of, hours_of)
        return encode_ticker(maker.ticker(due.minute, due.live), _NAMES)
