"""The prompt: what is missing is in it, it fits, and what does not fit is told."""

from decimal import Decimal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from walked_candles import MINUTE, walk

from market.candle import Status
from market.feed import FeedEvent, FeedEventKind
from market.signal import Severity, Signal, SignalState
from serving.analysis.prompt import BudgetError, build_prompt, statement_json
from serving.analysis.statement import ReadMarket, Statement, statement_of, visible_signals
from serving.planner import Coverage, SpanMs, Tier


def signal(number: int, other: str | None = None) -> Signal:
    return Signal(
        exchange="binance", symbol="BTC-USDT", kind="spread", state=SignalState.BEGIN, severity=Severity.WARNING,
        time_ms=number * MINUTE, revision=1, other=other, window_minutes=60, values={"spread": Decimal("12.5")},
    )  # fmt: skip


def gap(number: int) -> FeedEvent:
    return FeedEvent(exchange="binance", symbol="BTC-USDT", event=FeedEventKind.HOLE, at_ms=number, first_id="1")


def market(symbol: str, *, candles: int, signals: int = 0, gaps: int = 0, holes: int = 0) -> ReadMarket:
    span = SpanMs(0, candles * MINUTE)
    missing = [SpanMs(number * MINUTE, (number + 1) * MINUTE) for number in range(holes)]
    coverage = Coverage(
        span, candles, candles - holes, missing, {Status.HOLE: candles - holes}, Status.HOLE, candles, candles - holes
    )
    return ReadMarket(
        symbol, walk(len(symbol), candles)[holes:], coverage, [Tier.COLD],
        [signal(number) for number in range(signals)], [gap(number) for number in range(gaps)],
    )  # fmt: skip


def told_in(statement: Statement, budget: int) -> tuple[dict[str, object], int]:
    prompt = build_prompt(statement, language="English", question="why?", budget_tokens=budget)
    told: dict[str, object] = orjson.loads(prompt.messages[1]["content"])
    return told, prompt.tokens


def test_it_tells_what_is_missing_and_in_which_language_to_answer() -> None:
    statement = statement_of("binance", "1m", [market("A", candles=30, signals=2, gaps=1, holes=3)])
    prompt = build_prompt(statement, language="日本語", question="what happened?", budget_tokens=16_000)
    assert "Write in 日本語." in prompt.messages[0]["content"]
    told = orjson.loads(prompt.messages[1]["content"])
    completeness = told["statistics"]["markets"][0]["completeness"]
    assert (completeness["minutes_expected"], completeness["minutes_present"]) == (30, 27)
    assert (completeness["missing_spans"], completeness["worst_status"]) == (3, "hole")
    assert told["statistics"]["away"] == ["cold"]
    assert told["statistics"]["markets"][0]["anomalies"]["counts"] == {"spread warning": 2}
    assert told["statistics"]["markets"][0]["gaps"]["counts"] == {"hole": 1}
    assert (told["question"], told["left_out"]) == ("what happened?", [])


def test_a_market_without_candles_says_so() -> None:
    empty = ReadMarket("A", [], Coverage(SpanMs(0, MINUTE), 1, 0, [SpanMs(0, MINUTE)], {}, None, 1, 0), [], None, None)
    told = orjson.loads(statement_json(statement_of("binance", "1m", [empty])))
    assert (told["markets"][0]["figures"], told["markets"][0]["anomalies"]) == (None, None)


@settings(deadline=None, max_examples=40)
@given(
    budget=st.integers(2_000, 40_000), markets=st.integers(1, 10), signals=st.integers(0, 60), gaps=st.integers(0, 30)
)
def test_it_never_takes_more_than_the_budget_and_says_what_it_leaves_out(
    budget: int, markets: int, signals: int, gaps: int
) -> None:
    read = [market(f"M{number}", candles=30, signals=signals, gaps=gaps, holes=5) for number in range(markets)]
    statement = statement_of("binance", "1m", read)
    try:
        prompt = build_prompt(statement, language="English", question=None, budget_tokens=budget)
    except BudgetError:
        assert budget < 6_000, "one market fits into that"
        return
    assert sum(len(message["content"].encode()) for message in prompt.messages) < prompt.tokens <= budget
    told = orjson.loads(prompt.messages[1]["content"])
    shown = told["statistics"]["markets"]
    for market_told in shown:
        assert market_told["anomalies"]["counts"] == ({"spread warning": signals} if signals else {})
    names = [f"M{number}" for number in range(len(shown), markets)]
    listed = sum(len(market_told["anomalies"]["newest"]) for market_told in shown)
    left_out = " ".join(prompt.left_out)
    assert all(name in left_out for name in names)
    assert (f"{len(shown) * signals - listed} signals" in left_out) == (listed < len(shown) * signals)


def test_lists_get_shorter_before_markets_are_left_out() -> None:
    statement = statement_of("binance", "1m", [market(f"M{n}", candles=30, signals=40, gaps=20) for n in range(3)])
    whole, most = told_in(statement, 100_000)
    less, fewer = told_in(statement, most - 1)
    assert len(less["statistics"]["markets"]) == len(whole["statistics"]["markets"]) == 3  # type: ignore[index]
    assert fewer < most
    with pytest.raises(BudgetError, match="1000 are allowed"):
        told_in(statement, 1000)


def test_signals_about_a_market_of_another_exchange_are_not_for_a_key_of_this_one() -> None:
    signals = [signal(1), signal(2, "okx:BTC-USDT"), signal(3, "binance:ETH-USDT")]
    assert [told.time_ms for told in visible_signals(signals, ("binance",))] == [MINUTE, 3 * MINUTE]
    assert visible_signals(signals, None) == signals
