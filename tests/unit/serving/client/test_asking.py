"""How the client asks: pages, problems, and a used-up allowance."""

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from scripted_http import Scripted, scripted
from written import MINUTE, T0, candle, trade

from candlewick.client import ApiError, ApiProblemError, ApiSpan, Client
from market.candle import Status

USED_UP = Scripted(429, {"title": "Too Many Requests", "detail": "used up"}, {"Retry-After": "1"})
NOTHING = Scripted(200, {"trades": [], "source": {"tier": "warm"}, "next_cursor": None})


def page(first: int, count: int, *, missing: int = 0, next_ms: int | None) -> Scripted:
    """Minutes from `first` on, of which the last ones are missing."""
    end = T0 + (first + count) * MINUTE
    there = end - missing * MINUTE
    gone = [{"from_ms": there, "until_ms": end}] if missing else []
    return Scripted(
        200,
        {
            "exchange": "binance", "symbol": "BTC-USDT", "timeframe": "1m",
            "candles": [orjson.loads(candle(minute)) for minute in range(first, first + count - missing)],
            "source": {"ranges": [{"from_ms": T0 + first * MINUTE, "until_ms": there, "tier": "warm"}], "away": []},
            "coverage": {
                "from_ms": T0 + first * MINUTE, "until_ms": end, "expected": count, "present": count - missing,
                "missing": gone, "statuses": {"complete": count - missing}, "worst_status": "complete",
                "minutes_expected": count, "minutes_present": count - missing,
            },
            "next_from_ms": next_ms, "added_by_a_later_server": 1,
        },
    )  # fmt: skip


def test_candles_are_asked_for_page_by_page_and_only_as_far_as_they_are_read() -> None:
    pages = [
        page(0, 2, next_ms=T0 + 2 * MINUTE),
        page(2, 2, missing=1, next_ms=T0 + 4 * MINUTE),
        page(4, 1, next_ms=None),
    ]
    with scripted([*pages, *pages]) as (address, asked), Client(address, page_records=2) as client:
        answer = client.candles("binance", "BTC-USDT", from_=T0, until=T0 + 5 * MINUTE)
        assert not asked
        candles = iter(answer)
        assert [next(candles).open_time_ms for _ in range(2)] == [T0, T0 + MINUTE]
        assert len(asked) == 1
        assert [told.open_time_ms for told in candles] == [T0 + 2 * MINUTE, T0 + 4 * MINUTE]
        assert [(told.query["from_ms"], told.query["limit"]) for told in asked] == [
            (str(T0), "2"), (str(T0 + 2 * MINUTE), "2"), (str(T0 + 4 * MINUTE), "2"),
        ]  # fmt: skip
        whole = answer.read()
    assert len(whole.candles) == 4
    assert (whole.coverage.expected, whole.coverage.present) == (5, 4)
    assert whole.coverage.missing == [ApiSpan(from_ms=T0 + 3 * MINUTE, until_ms=T0 + 4 * MINUTE)]
    assert whole.coverage.statuses == {Status.COMPLETE: 4}
    assert [(told.from_ms, told.until_ms) for told in whole.source.ranges] == [
        (T0, T0 + 3 * MINUTE), (T0 + 4 * MINUTE, T0 + 5 * MINUTE),
    ]  # fmt: skip


def test_what_is_missing_across_pages_is_told_as_one_span() -> None:
    pages = [page(0, 2, missing=1, next_ms=T0 + 2 * MINUTE), page(2, 1, missing=1, next_ms=None)]
    with scripted(pages) as (address, _), Client(address, page_records=2) as client:
        coverage = client.candles("binance", "BTC-USDT", from_=T0).read().coverage
    assert coverage.missing == [ApiSpan(from_ms=T0 + MINUTE, until_ms=T0 + 3 * MINUTE)]


def test_a_limit_ends_the_pages() -> None:
    pages = [page(0, 2, next_ms=T0 + 2 * MINUTE), page(2, 1, next_ms=T0 + 3 * MINUTE)]
    with scripted(pages) as (address, asked), Client(address, page_records=2) as client:
        assert len(list(client.candles("binance", "BTC-USDT", from_=T0, limit=3))) == 3
    assert [told.query["limit"] for told in asked] == ["2", "1"]


def test_a_page_that_is_too_much_for_the_server_is_asked_for_in_smaller_ones() -> None:
    refused = Scripted(400, {"title": "Bad Request", "detail": "too many minutes", "limit": 1})
    pages = [refused, page(0, 1, next_ms=T0 + MINUTE), page(1, 1, next_ms=None)]
    with scripted(pages) as (address, asked), Client(address, page_records=2) as client:
        assert len(list(client.candles("binance", "BTC-USDT", from_=T0))) == 2
    assert [told.query["limit"] for told in asked] == ["2", "1", "1"]
    with scripted([refused]) as (address, _), pytest.raises(ApiProblemError, match="too many minutes"):
        Client(address, page_records=1).candles("binance", "BTC-USDT", from_=T0).read()


def test_records_follow_the_cursor_to_the_limit() -> None:
    def told(numbers: range, cursor: str | None) -> Scripted:
        records = [orjson.loads(trade(number)) for number in numbers]
        return Scripted(200, {"trades": records, "source": {"tier": "warm"}, "next_cursor": cursor})

    with scripted([told(range(2), "a=="), told(range(2, 3), "b")]) as (address, asked):
        trades = list(Client(address, page_records=2).historical("binance", "BTC-USDT", limit=3))
    assert [told.trade_id for told in trades] == ["0", "1", "2"]
    assert [(told.query["limit"], told.query.get("cursor")) for told in asked] == [("2", None), ("1", "a==")]


def test_a_used_up_allowance_is_waited_for_as_long_as_the_server_says() -> None:
    with scripted([USED_UP, NOTHING]) as (address, asked), Client(address) as client:
        began_s = time.monotonic()
        assert list(client.historical("binance", "BTC-USDT")) == []
        assert time.monotonic() - began_s >= 1
    assert len(asked) == 2


def test_no_longer_than_the_bound_and_nothing_else_is_waited_for() -> None:
    long = Scripted(429, {"title": "Too Many Requests", "detail": "used up"}, {"Retry-After": "3600"})
    away = Scripted(503, {"title": "Service Unavailable", "detail": "hot away"}, {"Retry-After": "5"})
    for answer, retry_after_s in ((long, 3600.0), (away, 5.0)):
        with scripted([answer, NOTHING]) as (address, asked), Client(address) as client:
            with pytest.raises(ApiProblemError) as raised:
                client.historical("binance", "BTC-USDT").to_polars()
            assert (raised.value.status, raised.value.retry_after_s) == (answer.status, retry_after_s)
        assert len(asked) == 1


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Scripted(404, {"title": "Not Found", "detail": "nobody", "nearest": ["x"]}), "404 Not Found: nobody"),
        (Scripted(502, b"<html>"), "502 no answer of Candlewick"),
        (Scripted(302, b"", {"Location": "http://127.0.0.1:1/"}), "302 no answer of Candlewick"),
        (Scripted(200, b"<html>"), "use the client of the server's version"),
        (Scripted(200, {"exchanges": 1, "source": {}}), "use the client of the server's version"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_told_in_a_sentence(answer: Scripted, sentence: str) -> None:
    with scripted([answer]) as (address, _), Client(address) as client, pytest.raises(ApiError) as raised:
        client.exchanges()
    assert sentence in str(raised.value)
    if isinstance(raised.value, ApiProblemError) and raised.value.status == 404:
        assert raised.value.more == {"nearest": ["x"]}


def test_a_server_that_is_not_there_is_told() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(ApiError, match="is candlewick serve running there"):
        client.health()
    with pytest.raises(ApiError, match="give http://HOST:PORT"):
        Client("127.0.0.1:8080")


def test_the_key_is_sent_and_shows_nowhere() -> None:
    refused = Scripted(401, {"title": "Unauthorized", "detail": "unknown"})
    with scripted([refused]) as (address, asked):
        client = Client(address, key="cw_secret")
        with pytest.raises(ApiProblemError) as raised:
            client.health()
    assert asked[0].headers["Authorization"] == "Bearer cw_secret"
    assert "secret" not in f"{raised.value!r}{raised.value}{client!r}"


EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    "moment",
    [T0, datetime(2021, 1, 8), datetime(2021, 1, 8, tzinfo=UTC), datetime(2021, 1, 8, 2, tzinfo=EAST)],  # noqa: DTZ001
)
def test_a_time_without_a_zone_is_utc(moment: Any) -> None:
    with scripted([NOTHING]) as (address, asked), Client(address) as client:
        list(client.historical("binance", "BTC-USDT", from_=moment))
    assert asked[0].query["from_ms"] == str(T0)
