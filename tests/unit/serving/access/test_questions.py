"""Who asks what, whether it may, and what it weighs."""

import pytest
from starlette.routing import Route

from runtime.settings import load_settings
from serving.access.callers import Caller, credential_in, identify, nameless
from serving.access.keys import ApiDataset, ApiKey, KeyRing, RateTier, hash_of, key_text
from serving.access.questions import ENDPOINTS, check_scope, read_question
from serving.access.refusal import RequestRefusedError
from serving.api import build_api
from serving.held import HeldSpans
from serving.tiers import Tiers

KEY = key_text(b"k" * 32)
RING = KeyRing([ApiKey(name="a", sha256=hash_of(KEY), tier=RateTier.PRO, exchanges=("okx",), created_ms=0)])
NAMELESS = nameless("192.0.2.1")


def test_every_path_of_the_interface_has_its_rules() -> None:
    settings = load_settings(redis="redis://there", clickhouse="http://there", cold="memory:///")
    tiers = Tiers(settings)
    api = build_api(tiers, HeldSpans(tiers))
    paths = {route.path for route in api.routes if isinstance(route, Route)} | api.openapi()["paths"].keys()
    assert paths == ENDPOINTS.keys(), "add the path to serving/access/questions.py: what data it gives, and its weight"


@pytest.mark.parametrize(
    ("query", "weight"),
    [
        ("/v1/candles?limit=30", 1),
        ("/v1/candles", 2),
        ("/v1/candles?limit=1500", 4),
        ("/v1/candles?limit=1500&from_ms=0", 8),
        ("/v1/candles?limit=99999999999999999999", 21),
        ("/v1/candles?limit=x", 2),
        ("/v1/trades", 1),
        ("/v1/trades?limit=500", 3),
        ("/v1/tickers?symbols=A", 1),
        ("/v1/tickers?symbols=" + ",".join("A" * 50), 5),
        ("/v1/candles?format=json&limit=30", 1),
        ("/v1/candles?format=arrow", 50),
        ("/v1/historical?format=csv", 50),
        ("/v1/trades?format=csv", 1),
        ("/v1/estimate?of=historical&format=csv", 5),
        ("/v1/health", 0),
        ("/nowhere?limit=1500", 1),
    ],
)
def test_the_weight_grows_with_what_is_asked(query: str, weight: int) -> None:
    path, _, asked = query.partition("?")
    assert read_question(path, asked.encode()).weight == weight


def test_a_stream_weighs_the_same_whichever_way_it_is_asked_for() -> None:
    for accept, weight in ((b"", 2), (b"*/*", 2), (b"text/csv", 50), (b"application/vnd.apache.parquet", 50)):
        assert read_question("/v1/candles", b"exchange=okx", accept).weight == weight
    assert read_question("/v1/trades", b"exchange=okx", b"text/csv").weight == 1


@pytest.mark.parametrize(
    ("query", "is_allowed"),
    [
        ("/v1/candles?exchange=okx", True),
        ("/v1/candles?%65xchange=%6fkx", True),
        ("/v1/candles?exchange=binance", False),
        ("/v1/candles?exchange=okx&exchange=binance", False),
        ("/v1/candles?exchange=binance&exchange=okx", False),
        ("/v1/candles?%65xchange=binance", False),
        ("/v1/candles", False),
        ("/v1/candles?exchange=", False),
        ("/v1/trades?exchange=okx", False),
        ("/v1/elsewhere?exchange=okx", False),
        ("/v1/estimate?of=candles&exchange=okx", True),
        ("/v1/estimate?of=candles&exchange=binance", False),
        ("/v1/estimate?of=historical&exchange=okx", False),
        ("/v1/estimate?of=candles&of=historical&exchange=okx", False),
        ("/v1/estimate?of=health&exchange=okx", False),
        ("/v1/estimate?exchange=okx", False),
        ("/v1/health", True),
    ],
)
def test_a_key_has_what_its_scopes_name_and_nothing_else(query: str, is_allowed: bool) -> None:  # noqa: FBT001  # a case
    caller = Caller("key:a", RateTier.PRO, ("okx",), (ApiDataset.CANDLES,))
    path, _, asked = query.partition("?")
    question = read_question(path, asked.encode())
    check_scope(question, NAMELESS)
    if is_allowed:
        check_scope(question, caller)
        return
    with pytest.raises(RequestRefusedError) as refused:
        check_scope(question, caller)
    assert refused.value.status == 403


def test_a_key_is_sent_in_either_header_and_once() -> None:
    bearer, plain = (b"authorization", f"bearer {KEY}".encode()), (b"x-api-key", KEY.encode())
    assert credential_in([bearer]) == credential_in([plain]) == credential_in([bearer, plain]) == KEY
    assert credential_in([(b"host", b"x")]) is None
    for wrong in ([(b"authorization", b"Basic abc")], [bearer, (b"x-api-key", b"other")]):
        with pytest.raises(RequestRefusedError):
            credential_in(wrong)


def test_a_wrong_key_is_refused_even_where_none_is_needed() -> None:
    known = identify(KEY, NAMELESS, RING, now_ms=1, anonymous=False)
    assert known == Caller("key:a", RateTier.PRO, ("okx",), has_key=True)
    assert identify(None, NAMELESS, RING, now_ms=1, anonymous=True) == NAMELESS
    for sent, anonymous in ((None, False), ("", True), (KEY + "x", True), ("\xff", True)):
        with pytest.raises(RequestRefusedError) as refused:
            identify(sent, NAMELESS, RING, now_ms=1, anonymous=anonymous)
        assert refused.value.status == 401
        assert "WWW-Authenticate" in refused.value.headers


def test_a_customer_with_many_addresses_is_one_caller() -> None:
    assert nameless("2001:db8::1") == nameless("2001:db8::2:3") != nameless("2001:db8:0:1::1")
    assert nameless("::ffff:192.0.2.1") == NAMELESS != nameless("192.0.2.2")
    assert nameless("").tier is RateTier.FREE
