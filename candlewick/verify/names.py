"""Records in words, as findings name them. Pure."""

from candlewick.verify.amounts import clock
from candlewick.verify.expected import Fields
from candlewick.verify.logged import DataKey, KeptKind


def candle_name(key: str, timeframe: str, open_ms: int, place: str = "Kafka") -> str:
    """A longer candle."""
    return f"the {timeframe} candle of {key} at {clock(open_ms * 1000)} in {place}"


def ticker_name(key: str, time_ms: int, place: str = "Kafka") -> str:
    """A ticker."""
    return f"the ticker of {key} at {clock(time_ms * 1000)} in {place}"


def bar_name(key: str, bar: Fields, place: str = "Kafka") -> str:
    """A bar."""
    size = f"{bar['kind']} {bar['threshold']}"
    return f"bar {bar['number']} of {size} of {key} since {clock(bar['series_begin_us'])} in {place}"


def record_name(kind: KeptKind, key: str, name: DataKey, place: str) -> str:
    """A record of a store, by its data key."""
    if kind is KeptKind.CANDLE:
        timeframe, open_ms = name
        return candle_name(key, timeframe, open_ms, place)
    if kind is KeptKind.TICKER:
        window, time_ms = name
        return f"the window {window} of {ticker_name(key, time_ms, place)}"
    if kind is KeptKind.BAR:
        run, size_kind, threshold, begin_us, number = name
        bar = {"kind": size_kind, "threshold": threshold, "series_begin_us": begin_us, "number": number}
        return f"{bar_name(key, bar, place)}{f' (run {run})' if run else ''}"
    signal_kind, other, window_minutes, time_ms = name
    markets = f"{key} and {other}" if other else key
    return f"the signal {signal_kind} ({window_minutes} minutes) of {markets} at {clock(time_ms * 1000)} in {place}"
