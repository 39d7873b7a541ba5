"""Candles as columns of bars, and what is incomplete in them as marks. Pure.

Source: TradingView's charting library documentation, "UDF". Times are Unix seconds, `nextTime` too, as in TradingView's
own sample server (`tradingview/yahoo_datafeed`; an example in the documentation has milliseconds). Prices are numbers
by the protocol: the only place where a price of ours becomes a float.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from market.candle import Status
from serving.encoded import EncodedCandle
from serving.lengths import CandleLength

MOST_MARKS = 500
_COLUMNS = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
_RED, _ORANGE, _GREY, _WHITE = "#d32f2f", "#f57c00", "#616161", "#ffffff"


class Mark(NamedTuple):
    """A sign at a bar."""

    time_ms: int
    label: str
    """One letter."""
    color: str
    text: str


def history(candles: Iterable[EncodedCandle]) -> dict[str, Any]:
    """Bars, oldest first."""
    values = [orjson.loads(candle.value) for candle in candles]
    columns = {column: [float(value[name]) for value in values] for column, name in _COLUMNS.items()}
    return {"s": "ok", "t": [value["open_time_ms"] // 1000 for value in values], **columns}


def no_data(previous_ms: int | None) -> dict[str, Any]:
    """That there are no bars in a time, and when the last one before it was."""
    return {"s": "no_data"} | ({} if previous_ms is None else {"nextTime": previous_ms // 1000})


def marks_of(length: CandleLength, candles: Sequence[EncodedCandle]) -> list[Mark]:
    """What is known to be incomplete in candles that are in order: the latest `MOST_MARKS`, in order.

    Missing candles have no bar: the chart shows their mark at the bar before or behind.
    """
    marks = [mark for candle in candles if (mark := _mark(length, candle)) is not None]
    for before, behind in pairwise(candle.open_ms for candle in candles):
        if count := length.windows_in(length.end_ms(before), behind):
            marks.append(Mark(length.end_ms(before), "M", _GREY, f"{count} candles are missing"))
    return sorted(marks)[-MOST_MARKS:]


def _mark(length: CandleLength, candle: EncodedCandle) -> Mark | None:
    if candle.status is Status.OPEN:
        return None
    lacking = length.minutes(candle.open_ms) - candle.minutes
    if candle.status is Status.HOLE:
        return Mark(candle.open_ms, "H", _RED, "hole: trades are missing for good")
    if lacking:
        return Mark(candle.open_ms, "I", _ORANGE, f"incomplete: {lacking} of its minutes are missing")
    if candle.status is Status.KLINE:
        return Mark(candle.open_ms, "K", _ORANGE, "the exchange's own kline: trades are missing")
    return None


def marks_table(marks: Sequence[Mark]) -> dict[str, Any]:
    """The marks as columns; an id is the time and the letter."""
    return {
        "id": [f"{mark.time_ms}{mark.label}" for mark in marks],
        "time": [mark.time_ms // 1000 for mark in marks],
        "color": [mark.color for mark in marks],
        "text": [mark.text for mark in marks],
        "label": [mark.label for mark in marks],
        "labelFontColor": [_WHITE] * len(marks),
        "minSize": [14] * len(marks),
    }
