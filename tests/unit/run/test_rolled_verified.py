"""Longer candles and tickers held against their minutes: what is right passes, and what was spoiled is named."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from rolled import DAY, MINUTE, START, Minute, minute

from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.rolled import RolledCheck
from processors.rolling.core import Rolling

KEY = "binance:BTC-USDT"
Spoil = Callable[[dict[str, Any]], None]


@dataclass
class Written:
    """A record of one of the topics."""

    topic: str
    offset: int
    value: bytes
    key: bytes = KEY.encode()
    timestamp: int = 0
    partition: int = 0
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def minutes_of(seed: int, numbers: range, *, start: int = START, correct: float = 0.05) -> list[Minute]:
    """A market's minutes with holes; now and then one of the last ten is corrected under the next revision."""
    at = random.Random(seed)
    records: list[Minute] = []
    for number in numbers:
        if number % 997 == 996:
            continue
        opens = [start + number * MINUTE]
        if at.random() < correct:
            opens.insert(0, start + max(numbers[0], number - at.randint(1, 9)) * MINUTE)
        for open_ms in opens:
            value = minute(at, open_ms, 10 + number)
            records.append(Minute(len(records), open_ms + MINUTE, KEY.encode(), value))
    return records


def rolled_by_us(records: list[Minute]) -> tuple[list[Written], list[Written]]:
    """Longer candles and tickers as the processor makes them."""
    core = Rolling(0, 1)
    outputs = [output for record in records for output in core.take(record)] + core.flush()
    candles = [output.value for output in outputs if output.timeframe]
    tickers = [output.value for output in outputs if not output.timeframe]
    return (
        [Written("candles", offset, value) for offset, value in enumerate(candles)],
        [Written("tickers", offset, value) for offset, value in enumerate(tickers)],
    )


def checked(records: list[Minute], candles: list[Written], tickers: list[Written]) -> Findings:
    findings = Findings()
    check = RolledCheck([KEY], findings)
    for candle in candles:
        check.take_candle(candle)
    for ticker in tickers:
        check.take_ticker(ticker)
    for record in records:
        check.take_minute(record)
    check.end()
    return findings


def spoiled(record: Written, change: Spoil) -> Written:
    fields = json.loads(record.value)
    change(fields)
    return Written(record.topic, record.offset, json.dumps(fields).encode())


@pytest.mark.parametrize("seed", range(3))
def test_what_the_processor_makes_is_right(seed: int) -> None:
    records = minutes_of(seed, range(1600))
    findings = checked(records, *rolled_by_us(records))
    assert findings.named == []
    assert findings.timeframes >= {"3m", "1h", "12h"}
    assert findings.tickers > 1500


SPOILS: dict[str, Spoil] = {
    "close": lambda fields: fields.update(close="0.5"),
    "volume": lambda fields: fields.update(volume="0.5"),
    "trades": lambda fields: fields.update(trades=fields["trades"] + 1),
    "status": lambda fields: fields.update(status="open"),
}


@pytest.mark.parametrize("name", SPOILS)
def test_a_spoiled_candle_is_named(name: str) -> None:
    records = minutes_of(1, range(130))
    candles, tickers = rolled_by_us(records)
    hours = [place for place, candle in enumerate(candles) if json.loads(candle.value)["timeframe"] == "1h"]
    candles[hours[-1]] = spoiled(candles[hours[-1]], SPOILS[name])
    findings = checked(records, candles, tickers)
    assert findings.counts[FindingKind.DIFFERENT] == 1
    assert "the 1h candle of binance:BTC-USDT" in findings.named[0]
    assert f"{name} is" in findings.named[0]


@pytest.mark.parametrize("window", ["1h", "24h", "7d"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("high", "99999999"), ("vwap", "1"), ("taker_buy_share", "2"), ("missing", 7), ("realised_volatility", "0.123")],
)
def test_a_spoiled_window_of_a_ticker_is_named(window: str, name: str, value: object) -> None:
    records = minutes_of(2, range(200))
    candles, tickers = rolled_by_us(records)
    tickers[150] = spoiled(tickers[150], lambda fields: fields["windows"][window].update({name: value}))
    findings = checked(records, candles, tickers)
    assert findings.counts[FindingKind.DIFFERENT] == 1
    assert f"{window} {name} is" in findings.named[0]


def test_a_candle_or_a_ticker_that_is_not_there_is_missing_and_one_too_many_is_named() -> None:
    records = minutes_of(3, range(70))
    candles, tickers = rolled_by_us(records)
    candles = [candle for candle in candles if json.loads(candle.value)["timeframe"] != "1h"]
    last = tickers.pop()
    findings = checked(records, candles, tickers)
    assert findings.counts[FindingKind.MISSING] == 2, findings.named
    early = spoiled(last, lambda fields: fields.update(time_ms=fields["time_ms"] + MINUTE))
    findings = checked(records, candles, [*tickers, last, early])
    assert any("no minute led to it" in sentence for sentence in findings.named)
    whole = spoiled(candles[-1], lambda fields: fields.update(open_time_ms=START + DAY))
    assert any("lacks some of its minutes" in text for text in checked(records, [*candles, whole], tickers).named)


def test_tickers_that_were_compacted_away_are_not_missing() -> None:
    records = minutes_of(4, range(70))
    candles, tickers = rolled_by_us(records)
    assert checked(records, candles, tickers[:10] + tickers[12:]).named == []


def test_a_revision_that_has_two_forms_is_named() -> None:
    records = minutes_of(5, range(70))
    candles, tickers = rolled_by_us(records)
    again = spoiled(candles[0], lambda fields: fields.update(volume="0.25"))
    assert checked(records, [*candles, again], tickers).counts[FindingKind.DIFFERENT] == 1
    assert checked(records, [*candles, candles[0]], [*tickers, tickers[-1]]).named == []
