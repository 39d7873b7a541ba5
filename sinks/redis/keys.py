"""Keys and channels of the hot store, how much each keeps, and for how long.

======================================  =========  ==============================================================
key                                     type       holds
======================================  =========  ==============================================================
``cw:trades:{exchange:SYMBOL}``         sorted     the latest trades: member an id with its order, score `time_us`
                                        set
``cw:trades:data:{exchange:SYMBOL}``    hash       member → the trade's JSON
``cw:candles:TF:{exchange:SYMBOL}``     sorted     recent candles: member the candle's JSON, score `open_time_ms`
                                        set
``cw:live:{exchange:SYMBOL}``           string     the open 1m candle's JSON
``cw:ticker:{exchange:SYMBOL}``         string     the ticker's JSON
``cw:positions``                        hash       ``topic/partition`` → ``OFFSET@TOPIC-ID``: where this
                                                   sink goes on, and in which topic
======================================  =========  ==============================================================

JSON is that of the topics. Each change of a data key is published on the channel of the key's own name (for trades:
of the sorted set's). All names begin with the pipeline's prefix. The braces are hash tags. But one script writes the
keys of all symbols of a partition, so this needs one primary, not a sharded cluster.
"""

from market.key import MarketKey
from market.timeframe import DAY_MS, Timeframe

_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S
TRADES_KEPT = 500
TRADES_TTL_S = _DAY_S
LIVE_TTL_S = _HOUR_S
TICKER_TTL_S = 2 * _DAY_S
POSITIONS_TTL_S = 7 * _DAY_S
"""No longer than for any candle: a position must not outlive the data that was written before it."""


def candles_kept(timeframe: Timeframe) -> int:
    """How many recent candles of a market are kept."""
    return 1500 if timeframe is Timeframe.M1 else 500


def candles_ttl_s(timeframe: Timeframe) -> int:
    """How long candles are kept: a week, or the time of three candles if that is longer."""
    return max(POSITIONS_TTL_S, 3 * (timeframe.end_ms(0) + DAY_MS) // 1000)


def trades_key(prefix: str, key: str) -> str:
    """The latest trades' ids; `key` is ``exchange:SYMBOL``."""
    return f"{prefix}cw:trades:{{{key}}}"


def trades_data_key(prefix: str, key: str) -> str:
    """The latest trades' JSON."""
    return f"{prefix}cw:trades:data:{{{key}}}"


def candles_key(prefix: str, key: str, timeframe: str) -> str:
    """Recent candles."""
    return f"{prefix}cw:candles:{timeframe}:{{{key}}}"


def markets_pattern(prefix: str) -> str:
    """The glob of the 1m candles' keys of all markets."""
    return candles_key(prefix, "*", Timeframe.M1)


def market_of(name: bytes) -> MarketKey | None:
    """The market of a key of this store; None if the key is no text or names no market."""
    _, _, rest = name.decode(errors="replace").partition("{")
    market = MarketKey.parse(rest.removesuffix("}"))
    return market if all(market) else None


def live_key(prefix: str, key: str) -> str:
    """The open candle."""
    return f"{prefix}cw:live:{{{key}}}"


def ticker_key(prefix: str, key: str) -> str:
    """The ticker."""
    return f"{prefix}cw:ticker:{{{key}}}"


def positions_key(prefix: str) -> str:
    """Where the sink goes on."""
    return f"{prefix}cw:positions"
