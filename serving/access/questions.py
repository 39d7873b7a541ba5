"""What a request asks for: which data of which exchanges, and its weight. Pure.

Every path of the interface is in `ENDPOINTS`. One that is not cannot be asked with a key that is limited to some data:
it might give others.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl

from serving.access.callers import Caller
from serving.access.keys import ApiDataset
from serving.access.refusal import Reason, RequestRefusedError
from serving.bounds import DEFAULT_CANDLES, DEFAULT_RECORDS, DEFAULT_TRADES, MAX_RECORDS, MAX_SYMBOLS
from serving.media_types import AnswerForm, accepted_form
from serving.planner import MAX_CANDLES
from serving.trades import MAX_TRADES

CANDLES_A_WEIGHT = 500
TRADES_A_WEIGHT = 250
TICKERS_A_WEIGHT = 10
RECORDS_A_WEIGHT = 500
PAST_WEIGHT = 4
"""More for candles by time: they are asked of stores that read files."""
ANALYSIS_WEIGHT = 20
"""Up to ten markets are read, and a model is asked."""
STREAM_WEIGHT = 50
"""Of an answer that is a stream, whatever its length: the data go by as they are read."""
_REMEMBERED = 4_096
"""Questions that were read, and are not read again."""
_SHORT_BYTES = 512
"""Longer ones are not remembered."""

Parameters = Mapping[str, str]


class ApiEndpoint(NamedTuple):
    """A path of the interface. What is open needs no key, costs nothing, and is answered first: it is for watchdogs."""

    dataset: ApiDataset | None = None
    weigh: Callable[[Parameters], int] = lambda _: 1
    is_open: bool = False
    has_streams: bool = False
    """Whether its answer may be a stream."""
    dataset_of: Callable[[Parameters], ApiDataset | None] | None = None
    """Where the parameters say which dataset it is."""


class Question(NamedTuple):
    """What is asked."""

    path: str | None
    """None: the interface has no such path."""
    endpoint: ApiEndpoint
    exchanges: frozenset[str]
    """All that are named: which of several counts is for the interface to say."""
    weight: int


def _weigh_candles(given: Parameters) -> int:
    past = PAST_WEIGHT if "from_ms" in given or "until_ms" in given else 0
    return 1 + _count(given.get("limit"), DEFAULT_CANDLES, MAX_CANDLES) // CANDLES_A_WEIGHT + past


def _estimated_dataset(given: Parameters) -> ApiDataset | None:
    """Of the question that is estimated."""
    return ENDPOINTS.get(f"/v1/{given.get('of')}", ApiEndpoint()).dataset


def _weigh_trades(given: Parameters) -> int:
    return 1 + _count(given.get("limit"), DEFAULT_TRADES, MAX_TRADES) // TRADES_A_WEIGHT


def _weigh_tickers(given: Parameters) -> int:
    return 1 + min(given.get("symbols", "").count(","), MAX_SYMBOLS) // TICKERS_A_WEIGHT


def _weigh_records(given: Parameters) -> int:
    return 1 + PAST_WEIGHT + _count(given.get("limit"), DEFAULT_RECORDS, MAX_RECORDS) // RECORDS_A_WEIGHT


ENDPOINTS = {
    "/v1/candles": ApiEndpoint(ApiDataset.CANDLES, _weigh_candles, has_streams=True),
    "/v1/trades": ApiEndpoint(ApiDataset.TRADES, _weigh_trades),
    "/v1/tickers": ApiEndpoint(ApiDataset.TICKERS, _weigh_tickers),
    "/v1/historical": ApiEndpoint(ApiDataset.TRADES, _weigh_records, has_streams=True),
    "/v1/signals": ApiEndpoint(ApiDataset.SIGNALS, _weigh_records, has_streams=True),
    "/v1/bars": ApiEndpoint(ApiDataset.BARS, _weigh_records, has_streams=True),
    "/v1/funding": ApiEndpoint(ApiDataset.FUNDING, _weigh_records, has_streams=True),
    "/v1/gaps": ApiEndpoint(ApiDataset.FEEDS, _weigh_records, has_streams=True),
    "/v1/instruments": ApiEndpoint(ApiDataset.INSTRUMENTS, _weigh_records),
    "/v1/coverage": ApiEndpoint(ApiDataset.CANDLES, lambda _: 1 + PAST_WEIGHT),
    "/v1/analyze": ApiEndpoint(ApiDataset.CANDLES, lambda _: ANALYSIS_WEIGHT),
    "/v1/estimate": ApiEndpoint(None, lambda _: 1 + PAST_WEIGHT, dataset_of=_estimated_dataset),
    "/v1/exchanges": ApiEndpoint(),
    "/v1/health": ApiEndpoint(is_open=True),
    "/v1/openapi.json": ApiEndpoint(is_open=True),
}


def read_question(path: str, query: bytes, accept: bytes = b"") -> Question:
    """What is asked, with this `Accept` header. The parameters may be wrong: that is for the interface to say."""
    is_short = len(query) <= _SHORT_BYTES and path in ENDPOINTS
    question = _remembered(path, query) if is_short else _read(path, query)
    if question.endpoint.has_streams and accept and accepted_form(accept.decode("latin-1")) is not AnswerForm.JSON:
        return question._replace(weight=STREAM_WEIGHT)
    return question


def check_scope(question: Question, caller: Caller) -> None:
    """Raise `RequestRefusedError` (403) where the caller may not have what is asked."""
    endpoint = question.endpoint
    if endpoint.is_open or (caller.datasets is None and caller.exchanges is None):
        return
    if caller.datasets is not None and endpoint.dataset not in caller.datasets:
        raise _out_of_scope(f"this API key is for {', '.join(caller.datasets)} only")
    if caller.exchanges is not None and not (
        endpoint.dataset is not None and question.exchanges and question.exchanges <= set(caller.exchanges)
    ):
        raise _out_of_scope(f"this API key is for {', '.join(caller.exchanges)} only: name one of them as the exchange")


def _read(path: str, query: bytes) -> Question:
    endpoint = ENDPOINTS.get(path)
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)  # as the interface reads it
    exchanges = frozenset(value for name, value in pairs if name == "exchange")
    if endpoint is None:
        return Question(None, ApiEndpoint(), exchanges, 1)
    given = dict(pairs)
    if endpoint.dataset_of is not None:
        endpoint = endpoint._replace(dataset=endpoint.dataset_of(given))
    is_stream = endpoint.has_streams and given.get("format", AnswerForm.JSON) != AnswerForm.JSON
    weight = STREAM_WEIGHT if is_stream else endpoint.weigh(given)
    return Question(path, endpoint, exchanges, 0 if endpoint.is_open else weight)


_remembered = lru_cache(maxsize=_REMEMBERED)(_read)


def _out_of_scope(detail: str) -> RequestRefusedError:
    return RequestRefusedError(Reason.SCOPE, HTTPStatus.FORBIDDEN, detail)


def _count(text: str | None, default: int, most: int) -> int:
    """The number of rows asked for; what is no number costs as the default, and is refused later."""
    if text is None or not (text.isascii() and text.isdigit()):
        return default
    return min(int(text[:9]), most)
