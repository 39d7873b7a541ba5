"""Which questions have answers that are kept, and which records these are made of. Pure.

Trades of the past are not among them: they change with every trade of their market.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

from market.key import MarketKey
from market.partition import partition_of
from market.timeframe import Timeframe
from market.topics import Topics
from serving.lengths import CandleLength
from serving.media_types import AnswerForm, accepted_form

MOST_QUERY_BYTES = 512
_NAME_BYTES = 16

Given = Mapping[str, str]


class KeptQuestion(NamedTuple):
    """A question, however its parameters are put in order."""

    name: str
    """A hash of path and parameters."""
    tag: str
    """The market, or the exchange, of whose records the answer is made."""
    partitions: tuple[tuple[str, int], ...]
    """Topics and partitions where these records are."""


class _KeptPath(NamedTuple):
    parameters: Collection[str]
    topics: Callable[[Topics, Given], Collection[str]]


_MARKET = ("exchange", "symbol")
_TIMES = ("from_ms", "until_ms")
_PAGES = ("limit", "cursor")


def _candle_topics(topics: Topics, given: Given) -> Collection[str]:
    """Those of the minutes; and of the timeframe itself, which hot has as it stands. None where it is none."""
    try:
        timeframe = CandleLength.parse(given.get("timeframe", Timeframe.M1)).timeframe
    except ValueError:
        return ()
    return {topics.candles(), topics.candles(timeframe or Timeframe.M1)}


_PATHS = {
    "/v1/candles": _KeptPath((*_MARKET, *_TIMES, "timeframe", "limit", "revision"), _candle_topics),
    "/v1/coverage": _KeptPath((*_MARKET, *_TIMES), lambda topics, _: (topics.candles(),)),
    "/v1/signals": _KeptPath((*_MARKET, *_TIMES, *_PAGES), lambda topics, _: (topics.signals,)),
    "/v1/funding": _KeptPath((*_MARKET, *_TIMES, *_PAGES), lambda topics, _: (topics.funding,)),
    "/v1/bars": _KeptPath((*_MARKET, *_TIMES, *_PAGES, "kind", "threshold"), lambda topics, _: (topics.bars,)),
    "/v1/instruments": _KeptPath(("exchange", *_PAGES), lambda topics, _: (topics.instruments,)),
}


def read_kept(path: str, query: bytes, accept: bytes | None, topics: Topics) -> KeptQuestion | None:
    """The question; None where its answer is not kept, or the interface has to say what is wrong with it.

    `accept` is the header: only who asks for JSON, or does not say, is given what is kept.
    """
    kept = _PATHS.get(path)
    if kept is None or len(query) > MOST_QUERY_BYTES or _form(accept) is not AnswerForm.JSON:
        return None
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    given = dict(pairs)
    if len(given) < len(pairs) or not given.keys() <= set(kept.parameters) or "exchange" not in given:
        return None
    market = MarketKey(given["exchange"], given["symbol"]) if "symbol" in given else None
    if market is None and "symbol" in kept.parameters:
        return None
    name = hashlib.blake2b(repr((path, sorted(pairs))).encode(), digest_size=_NAME_BYTES).hexdigest()
    names = sorted(kept.topics(topics, given))
    if not names:
        return None
    if market is None:  # an exchange's records stand wherever their symbols do
        partitions = tuple((topic, partition) for topic in names for partition in range(topics.partitions))
        return KeptQuestion(name, given["exchange"], partitions)
    partition = partition_of(str(market).encode(), topics.partitions)
    return KeptQuestion(name, str(market), tuple((topic, partition) for topic in names))


def _form(accept: bytes | None) -> AnswerForm:
    return accepted_form((accept or b"").decode("latin-1"))
