"""Bars held against their trades: what the engine makes is right, and what was spoiled is named."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from bar_log import FILE, new_core
from hypothesis import given, settings
from hypothesis import strategies as st
from market_log import KEYS, LogRecord, make_log

from candlewick.verify.bars import BarCheck, read_sizes
from candlewick.verify.findings import FindingKind, Findings
from market.codec import encode_bar


@dataclass
class WrittenBar:
    """A record of the topic of bars."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    offset: int = 0
    timestamp: int = 0
    topic: str = "md.bars.v1"
    partition: int = 0


def bars_of(records: Sequence[LogRecord]) -> list[WrittenBar]:
    return [
        WrittenBar(bar.key.encode(), encode_bar(bar), [] if run is None else [("run", run.encode())])
        for bar, run in new_core().process(records).bars
    ]


def checked(records: Sequence[LogRecord], bars: Sequence[WrittenBar]) -> Findings:
    findings = Findings()
    check = BarCheck(read_sizes(FILE, KEYS), findings)
    for bar in bars:
        check.take_bar(bar)
    for record in records:
        with suppress(ValueError, KeyError, TypeError):  # as the reader: what is malformed is told of apart
            check.take_trade(record)
    check.end()
    return findings


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_what_the_engine_makes_is_right(seed: int) -> None:
    log, _ = make_log(seed)
    findings = checked(log.records, bars_of(log.records))
    assert findings.named == []
    assert (findings.bars or 0) > 20


SPOILS: dict[str, Callable[[dict[str, Any]], None]] = {
    name: lambda fields, name=name, value=value: fields.update({name: value})  # type: ignore[misc]
    for name, value in {
        "close": "0.5", "volume": "0.5", "trades": 9999, "remainder": "77", "late_trades": 5, "status": "open",
        "first_trade_id": "x",
    }.items()
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILS)
def test_a_spoiled_bar_is_named(name: str) -> None:
    log, _ = make_log(5)
    bars = bars_of(log.records)
    fields = json.loads(bars[-1].value)
    SPOILS[name](fields)
    bars[-1].value = json.dumps(fields).encode()
    findings = checked(log.records, bars)
    assert findings.counts[FindingKind.DIFFERENT] == 1
    assert f"{name} is" in findings.named[0]
    assert (
        f"bar {fields['number']} of {fields['kind']} {fields['threshold']} of {fields['exchange']}:"
        in findings.named[0]
    )


def test_a_bar_that_is_not_there_is_missing_and_one_too_many_is_named() -> None:
    log, _ = make_log(6)
    bars = bars_of(log.records)
    last = json.loads(bars[-1].value)
    names = ("exchange", "symbol", "kind", "threshold", "number")
    others = [bar for bar in bars if any(json.loads(bar.value)[name] != last[name] for name in names)]
    assert checked(log.records, others).counts[FindingKind.MISSING] == 1
    more = WrittenBar(bars[-1].key, json.dumps({**last, "number": last["number"] + 1}).encode())
    findings = checked(log.records, [*bars, more])
    assert findings.counts[FindingKind.DIFFERENT] == 1
    assert "no trades lead to it" in findings.named[0]
