"""Keys and channels of the hot store, how much each keeps, and for how long.

============================================  =========  ==============================================================
key                                           type       holds
============================================  =========  ==============================================================
``cw:trades:{exchange:SYMBOL}``               sorted     the latest trades: member an id with its order, score `time_us`
                                              set
``cw:trades:data:{exchange:SYMBOL}``          hash       member → the trade's JSON
``cw:candles:TF:{exchange:SYMBOL}``           sorted     recent candles: member the candle's JSON, score `open_time_ms`
                                              set
``cw:live:{exchange:SYMBOL}``                 string     the open 1m candle's JSON
``cw:ticker:{exchange:SYMBOL}``               string     the ticker's JSON
``cw:funding:{exchange:SYMBOL}``              hash       ``settled`` and ``expected`` → the newest funding rate's JSON
``cw:instruments:{exchange}``                 hash       symbol → the instrument's JSON
``cw:signals:{exchange:SYMBOL}``              sorted     recent signals: member the signal's JSON, score `time_ms`
                                              set
``cw:bars:KIND:THRESHOLD:{exchange:SYMBOL}``  sorted     recent live bars: member the bar's JSON, score `close_time_us`
                                              set
``cw:written:{…}``                            hash       for each tag above: what has been written of it
                                                         (`sinks.redis.positions`)
``cw:positions:{TOPIC/PARTITION}``            hash       where this sink goes on (the same)
``cw:allowance:{CALLER}``                     hash       what a caller of the API has asked for within a minute: time in
                                                         microseconds → weight
``cw:answer:{…}:NAME``                        hash       an answer of the API to a question about a market, or an
                                                         exchange, and up to which records it goes
``cw:answer:{…}:NAME:making``                 string     which process makes it anew
============================================  =========  ==============================================================

JSON is that of the topics. The braces are hash tags: the keys of one tag lie on one node of a cluster. In a tag ``}``
is written ``%7D``, and ``%`` is written ``%25``. All names begin with the pipeline's prefix.

Each change of a data key is told on the channel of the key's own name (for trades: of the sorted set's), in one message
a batch: ``{"skipped":N,"records":[…]}``. These are the records that changed, oldest first; so many more are not told,
because newer ones have taken their place already.
"""

from decimal import Decimal
from functools import lru_cache

from market.decimals import plain
from market.key import MarketKey
from market.timeframe import DAY_MS, Timeframe

_ESCAPED = str.maketrans({"%": "%25", "}": "%7D"})
_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S
TRADES_KEPT = 500
TRADES_TTL_S = _DAY_S
LIVE_TTL_S = _HOUR_S
TICKER_TTL_S = 2 * _DAY_S
FUNDING_TTL_S = 7 * _DAY_S
INSTRUMENTS_TTL_S = 90 * _DAY_S
"""An exchange's list may stay as it is for long."""
SIGNALS_KEPT = 100
SIGNALS_TTL_S = 7 * _DAY_S
BARS_KEPT = 500
BARS_TTL_S = 7 * _DAY_S
POSITIONS_TTL_S = 7 * _DAY_S
"""No longer than for any candle: a position must not outlive the data that was written before it."""
WRITTEN_TTL_S = POSITIONS_TTL_S + _HOUR_S
"""Longer than a partition's own record of the same counts: what is missing then was lost, and has not expired."""


def candles_kept(timeframe: Timeframe) -> int:
    """How many recent candles of a market are kept."""
    return 1500 if timeframe is Timeframe.M1 else 500


def candles_ttl_s(timeframe: Timeframe) -> int:
    """How long candles are kept: a week, or the time of three candles if that is longer."""
    return max(POSITIONS_TTL_S, 3 * (timeframe.end_ms(0) + DAY_MS) // 1000)


def trades_key(prefix: str, key: str) -> str:
    """The latest trades' ids; `key` is ``exchange:SYMBOL``."""
    return f"{prefix}cw:trades:{_tag(key)}"


def trades_data_key(prefix: str, key: str) -> str:
    """The latest trades' JSON."""
    return f"{prefix}cw:trades:data:{_tag(key)}"


def candles_key(prefix: str, key: str, timeframe: str) -> str:
    """Recent candles."""
    return f"{prefix}cw:candles:{timeframe}:{_tag(key)}"


def markets_pattern(prefix: str) -> str:
    """The glob of the 1m candles' keys of all markets."""
    return f"{prefix}cw:candles:{Timeframe.M1}:{{*}}"


def market_of(name: bytes) -> MarketKey | None:
    """The market of a key of this store; None if the key is no text or names no market."""
    _, _, rest = name.decode(errors="replace").partition("{")
    market = MarketKey.parse(rest.removesuffix("}").replace("%7D", "}").replace("%25", "%"))
    return market if all(market) else None


def live_key(prefix: str, key: str) -> str:
    """The open candle."""
    return f"{prefix}cw:live:{_tag(key)}"


def ticker_key(prefix: str, key: str) -> str:
    """The ticker."""
    return f"{prefix}cw:ticker:{_tag(key)}"


def funding_key(prefix: str, key: str) -> str:
    """The newest funding rates."""
    return f"{prefix}cw:funding:{_tag(key)}"


def instruments_key(prefix: str, exchange: str) -> str:
    """What an exchange trades."""
    return f"{prefix}cw:instruments:{_tag(exchange)}"


def signals_key(prefix: str, key: str) -> str:
    """Recent signals."""
    return f"{prefix}cw:signals:{_tag(key)}"


def bars_key(prefix: str, key: str, kind: str, threshold: Decimal) -> str:
    """Recent live bars of one kind and threshold."""
    return f"{prefix}cw:bars:{kind}:{plain(threshold)}:{_tag(key)}"


def written_key(prefix: str, tag: str) -> str:
    """How far the data of a hash tag (a market, for instruments an exchange) is written."""
    return f"{prefix}cw:written:{_tag(tag)}"


def positions_key(prefix: str, partition: str) -> str:
    """Where the sink goes on in ``topic/partition``."""
    return f"{prefix}cw:positions:{_tag(partition)}"


def allowance_key(prefix: str, caller: str) -> str:
    """What a caller of the API has asked for."""
    return f"{prefix}cw:allowance:{_tag(caller)}"


def answer_key(prefix: str, tag: str, name: str) -> str:
    """An answer of the API; the tag is a market or an exchange."""
    return f"{prefix}cw:answer:{_tag(tag)}:{name}"


@lru_cache(maxsize=16_384)
def _tag(name: str) -> str:
    """Redis ends a tag at the first closing brace: were it the first sign, the keys of a market would part."""
    return f"{{{name.translate(_ESCAPED)}}}"
