"""Scores held against the minutes before them: what the processor tells is right, and what was spoiled is named."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from many_markets import MIDNIGHT_MS, MINUTE_MS, MarketsLog, QuietMarkets, Stored, candle, told_by

from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.scores import ScoreCheck
from market.codec import encode_signal
from market.signal import Signal

MARKET = "binance:BTC-USDT"
MIDNIGHT = MIDNIGHT_MS // MINUTE_MS


def log_with_odd_minutes(minutes: int) -> MarketsLog:
    """A market with a few busy minutes, jumps and gaps, more than a day of it."""
    markets, log = QuietMarkets([MARKET]), MarketsLog()
    for number in range(250, minutes, 37):
        what = ({"volume": 30}, {"close": 1.05}, {"absent": True}, {"volume": 0})[number % 4]
        markets.odd[MARKET, MIDNIGHT - 300 + number] = what
    markets.write(log, range(MIDNIGHT - 300, MIDNIGHT - 300 + minutes))
    return log


def checked(
    log: MarketsLog, signals: Sequence[Signal], change: Callable[[dict[str, Any]], None] | None = None
) -> Findings:
    findings = Findings()
    check = ScoreCheck(findings)
    for number, signal in enumerate(signals):
        fields = json.loads(encode_signal(signal))
        if change is not None and number == len(signals) - 1:
            change(fields)
        check.take_signal(Stored(number, 0, signal.key.encode(), json.dumps(fields).encode()))
    for _, record in log.in_order():
        check.take_minute(record)
    check.end()
    return findings


def scores_of(log: MarketsLog, kind: str = "_zscore") -> list[Signal]:
    return [signal for signal in told_by(log) if signal.kind.endswith(kind)]


def test_what_the_processor_tells_is_right() -> None:
    log = log_with_odd_minutes(1_900)
    signals = scores_of(log)
    findings = checked(log, signals)
    assert findings.named == []
    assert (findings.scores, findings.unsure_scores) == (len(signals), 0)
    assert {signal.kind for signal in signals} == {"volume_zscore", "return_zscore"}
    assert any(signal.values["minutes"] > 1_400 for signal in signals)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [("volume_zscore", "score", "4.6123"), ("return_zscore", "score", "-9"), ("volume_zscore", "volume", "7"),
     ("return_zscore", "close", "7")],
)  # fmt: skip
def test_a_spoiled_score_is_named(kind: str, name: str, value: str) -> None:
    log = log_with_odd_minutes(500)
    signals = scores_of(log, kind)
    findings = checked(log, signals, lambda fields: fields["values"].update({name: value}))
    assert findings.counts[FindingKind.DIFFERENT] == 1
    assert f"the signal {kind} (1440 minutes) of {MARKET}" in findings.named[0]
    assert f"{name} is '{value}', not" in findings.named[0]


def test_what_came_after_a_corrected_minute_is_not_sure() -> None:
    log = log_with_odd_minutes(500)
    signals = scores_of(log)
    minute = signals[-1].time_ms // MINUTE_MS - 20
    log.append(MARKET, candle(MARKET, minute, 100.0, 9.0, 10**9), log.now_ms)
    findings = checked(log, signals)
    assert findings.named == []
    assert findings.unsure_scores == sum(signal.time_ms // MINUTE_MS > minute for signal in signals) > 0
