"""What is asked for: the span, the pages of klines, and which markets are read together."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from candlewick.reconcile.candles import MOST_MINUTES, NewestCandles, market_groups
from candlewick.reconcile.compare import ComparedSpan
from candlewick.reconcile.klines import LEAD_MS, first_page, next_page
from candlewick.reconcile.reconcile import Asked, asked_span
from candlewick.reconcile.repair import MOST_SPANS, spans_to_fetch
from market.codec import decode_candle
from market.key import MarketKey
from market.partition import partition_of
from runtime.errors import UsageError

MINUTE = 60_000
NOON = datetime(2021, 1, 8, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
KEY = MarketKey("binance", "BTC-USDT")


def asked(from_: datetime | None = NOON, until: datetime | None = None, *symbols: str) -> Asked:
    return Asked("binance", symbols or ("BTC-USDT",), from_, until)


def test_minutes_younger_than_two_minutes_are_left_out() -> None:
    now_ms = NOON_MS + 10 * MINUTE + 30_000
    assert asked_span(asked(), now_ms) == (ComparedSpan(NOON_MS, NOON_MS + 8 * MINUTE), True)
    assert asked_span(asked(until=NOON.replace(minute=9)), now_ms) == (
        ComparedSpan(NOON_MS, NOON_MS + 8 * MINUTE),
        True,
    )
    assert asked_span(asked(until=NOON.replace(minute=7)), now_ms) == (
        ComparedSpan(NOON_MS, NOON_MS + 7 * MINUTE),
        False,
    )


def test_only_whole_minutes_are_compared() -> None:
    span, _ = asked_span(asked(NOON.replace(second=1), NOON.replace(minute=4, second=59)), NOON_MS + 3_600_000)
    assert span == ComparedSpan(NOON_MS + MINUTE, NOON_MS + 4 * MINUTE)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Asked("binance", (), NOON, None), "no symbols"),
        (asked(None), "say from when"),
        (asked(NOON.replace(minute=9)), "younger than two minutes are left out"),
        (asked(NOON, NOON), "no whole minute from 2021-01-08T12:00Z until 2021-01-08T12:00Z"),
    ],
)
def test_what_cannot_be_compared_is_told(wrong: Asked, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        asked_span(wrong, NOON_MS + 10 * MINUTE)


def pages(span: ComparedSpan, minutes: int, history_from_ms: int = 0, kept: int = 1 << 40) -> list[ComparedSpan]:
    """The pages that are asked for of an exchange that answers with its oldest klines where it has no others."""
    page, all_pages = first_page(span, minutes), []
    while page.from_ms < span.until_ms:
        all_pages.append(page)
        opens = range(max(page.from_ms, history_from_ms), max(page.until_ms, history_from_ms + kept * MINUTE), MINUTE)
        page = next_page(page, list(opens[:kept]), span, minutes)
    return all_pages


def test_pages_cover_the_span_and_what_lies_right_before_it() -> None:
    span = ComparedSpan(NOON_MS, NOON_MS + 250 * MINUTE)
    asked_for = pages(span, 100, kept=1)
    assert asked_for[0].from_ms == NOON_MS - LEAD_MS
    assert asked_for[-1].until_ms == span.until_ms
    assert all(len(page.minutes) <= 100 for page in asked_for)
    assert all(page.until_ms == later.from_ms for page, later in pairwise(asked_for))


def test_an_answer_of_the_oldest_klines_leads_on_to_them() -> None:
    span = ComparedSpan(NOON_MS, NOON_MS + 100_000 * MINUTE)
    history_from_ms = span.until_ms - 720 * MINUTE
    assert pages(span, 720, history_from_ms, kept=720) == [
        ComparedSpan(NOON_MS - LEAD_MS, NOON_MS - LEAD_MS + 720 * MINUTE),
        ComparedSpan(history_from_ms, span.until_ms),
    ]


def test_an_answer_without_klines_leads_on_to_the_next_page() -> None:
    span = ComparedSpan(NOON_MS, NOON_MS + 1_000 * MINUTE)
    page = ComparedSpan(NOON_MS, NOON_MS + 300 * MINUTE)
    assert next_page(page, [], span, 300) == ComparedSpan(page.until_ms, page.until_ms + 300 * MINUTE)
    assert next_page(page, [NOON_MS - MINUTE], span, 300).from_ms == page.until_ms


def test_markets_of_a_partition_are_read_together_as_far_as_memory_goes() -> None:
    keys = [MarketKey("binance", f"S{number}-USDT") for number in range(40)]
    groups = list(market_groups(keys, 4, MOST_MINUTES // 3))
    assert sorted(key for group in groups for key in group.keys) == sorted(keys)
    assert {len(group.keys) <= 3 for group in groups} == {True}
    assert {partition_of(str(key).encode(), 4) == group.partition for group in groups for key in group.keys} == {True}
    with pytest.raises(UsageError, match="too many for one comparison"):
        list(market_groups(keys, 4, MOST_MINUTES + 1))


def value(revision: int, open_ms: int = NOON_MS, close: str = "11") -> bytes:
    return (
        f'{{"exchange":"binance","symbol":"BTC-USDT","timeframe":"1m","open_time_ms":{open_ms},'
        f'"close_time_ms":{open_ms + MINUTE - 1},"open":"11","high":"12","low":"9","close":"{close}","volume":"1",'
        '"quote_volume":"1","trades":1,"taker_buy_volume":"1","taker_buy_quote_volume":"1","first_trade_id":"1",'
        f'"last_trade_id":"1","revision":{revision},"status":"complete"}}'
    ).encode()


def test_the_highest_revision_counts_whatever_its_place_in_the_log() -> None:
    newest = NewestCandles([KEY], ComparedSpan(NOON_MS, NOON_MS + MINUTE))
    for revision, close in ((5, "9"), (9, "10"), (7, "11")):
        newest.take(b"binance:BTC-USDT", value(revision, close=close))
    newest.take(b"binance:ETH-USDT", value(99))
    newest.take(b"binance:BTC-USDT", value(99, NOON_MS + MINUTE))
    newest.take(b"binance:BTC-USDT", None)
    newest.take(b"binance:BTC-USDT", b"{}")
    assert newest.of(KEY) == {NOON_MS: decode_candle(value(9, close="10"))}
    assert newest.unreadable == 1


def minutes(*numbers: int) -> list[ComparedSpan]:
    return [ComparedSpan(NOON_MS + each * MINUTE, NOON_MS + (each + 1) * MINUTE) for each in numbers]


def test_minutes_near_each_other_are_fetched_together() -> None:
    assert spans_to_fetch(minutes(0, 11, 23)) == [
        ComparedSpan(NOON_MS, NOON_MS + 12 * MINUTE),
        ComparedSpan(NOON_MS + 23 * MINUTE, NOON_MS + 24 * MINUTE),
    ]
    assert spans_to_fetch([]) == []


def test_many_spans_are_fetched_as_one() -> None:
    apart = minutes(*range(0, 20 * MOST_SPANS, 20))
    assert spans_to_fetch(apart) == apart
    more = minutes(*range(0, 20 * MOST_SPANS + 20, 20))
    assert spans_to_fetch(more) == [ComparedSpan(NOON_MS, more[-1].until_ms)]
