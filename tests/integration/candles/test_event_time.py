"""A topic that another producer filled without markers: `--close-on event-time`, held against plain integers."""

import asyncio
import json
import random
from collections import defaultdict
from typing import Any

from candle_engine import read_all
from confluent_kafka import Producer

from market.records import Record
from market.topics import Topics
from processors.candles.config import CandlesConfig
from processors.candles.core import CloseOn, Rules
from processors.candles.worker import run_candles
from runtime.settings import Settings, kafka_address

MINUTE = 60_000_000
START = 28_500_000 * MINUTE
GRACE = 5_000_000
ALLOWED_LATENESS = 10 * MINUTE
Series = tuple[bytes, bytes | None]


def disordered(rng: random.Random, symbol: str, minutes: int) -> list[dict[str, Any]]:
    """Trades of a key as they come: some seconds of disorder, some repeated, some minutes late, some far too late."""
    coming: list[tuple[int, dict[str, Any]]] = []
    for number in range(minutes * 6):
        time_us = START + rng.randrange(minutes * MINUTE)
        trade = {
            "exchange": "other", "symbol": symbol, "trade_id": str(number), "price": f"{rng.randrange(1, 999)}.25",
            "qty": f"0.{rng.randrange(1, 999):03}", "side": rng.choice(("buy", "sell")), "time_us": time_us,
        }  # fmt: skip
        behind_us = rng.choice((0, 0, 0, 3_000_000, 3_000_000, 4 * MINUTE, 30 * MINUTE))
        coming.append((time_us + rng.randrange(behind_us + 1), trade))
        if rng.random() < 0.1:
            coming.append((time_us + rng.randrange(5 * MINUTE), trade))
    trades = [trade for _, trade in sorted(coming, key=lambda one: one[0])]
    return [trade for trade in trades if not minutes * 3 < (trade["time_us"] - START) // MINUTE * 10 < minutes * 4]


def fill(settings: Settings, streams: list[tuple[list[dict[str, Any]], str | None]]) -> None:
    """By librdkafka, as JSON of the standard library writes it; the streams run beside each other."""
    producer = Producer({"bootstrap.servers": kafka_address(settings), "partitioner": "murmur2_random"})
    for at in range(max(len(trades) for trades, _ in streams)):
        for trades, run in streams:
            if at < len(trades):
                producer.produce(
                    settings.topics.trades,
                    json.dumps(trades[at]).encode(),
                    f"{trades[at]['exchange']}:{trades[at]['symbol']}".encode(),
                    headers=[] if run is None else [("run", run.encode())],
                )
    assert producer.flush(30) == 0


class Expected:
    """One series by the rule's own words: what closes when, and what its minutes hold at their newest revision."""

    def __init__(self) -> None:
        self.begin = self.closed = 0
        self.minutes: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
        self.first_revision: dict[int, int] = {}
        self.newest: dict[int, tuple[int, int, str]] = {}
        self.late: list[int] = []

    def take(self, trade: dict[str, Any], offset: int) -> None:
        time_us = trade["time_us"]
        if not self.begin:
            self.begin = self.closed = -(-time_us // MINUTE) * MINUTE
        if time_us < self.closed - ALLOWED_LATENESS:
            self.late.append(offset)
        elif time_us >= self.begin:
            self.minutes[time_us // MINUTE * MINUTE][trade["trade_id"]] = trade
        closes = max(self.closed, (time_us - GRACE) // MINUTE * MINUTE)
        if closes == self.closed:
            return
        for open_us in range(self.closed, closes, MINUTE):
            self.first_revision[open_us] = offset
        # Every marker emits what changed; a minute behind the final boundary does not change any more.
        for open_us in range(max(self.begin, self.closed - ALLOWED_LATENESS), closes, MINUTE):
            self.newest[open_us] = figures(self.minutes[open_us].values())
        self.closed = closes


def figures(trades: Any) -> tuple[int, int, str]:
    """Number of trades, volume in thousandths, and the close; without trades no close is looked at."""
    ordered = sorted(trades, key=lambda one: (one["time_us"], int(one["trade_id"])))
    return len(ordered), sum(int(one["qty"][2:]) for one in ordered), ordered[-1]["price"] if ordered else ""


def series_of(record: Record) -> Series:
    return record.key or b"", dict(record.headers).get("run")


async def test_another_producers_topic_is_closed_on_event_time(settings: Settings, topics: Topics) -> None:
    rng = random.Random(61)
    one, two, old = (disordered(rng, symbol, 40) for symbol in ("ONE-USD", "TWO-USD", "ONE-USD"))
    for trade in old:
        trade["time_us"] -= 1000 * MINUTE
    fill(settings, [(one, None), (two, None), (old, "repair-1")])
    rules = Rules(close_on=CloseOn.EVENT_TIME, grace_us=GRACE)
    await asyncio.wait_for(run_candles(settings, CandlesConfig(rules=rules, once=True), asyncio.Event()), 60)

    all_series = defaultdict[Series, Expected](Expected)
    for record in await read_all(settings, topics.trades):
        all_series[series_of(record)].take(json.loads(record.value or b""), record.offset)
    seen: dict[Series, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for record in await read_all(settings, topics.candles()):
        candle = json.loads(record.value or b"")
        seen[series_of(record)][candle["open_time_ms"] * 1000].append(candle)

    assert len(all_series) == 3
    for series, expected in all_series.items():
        minutes = {at: one for at, one in seen[series].items() if one[-1]["trades"]}
        assert {at: (one[-1]["trades"], volume(one[-1]), one[-1]["close"]) for at, one in minutes.items()} == {
            at: newest for at, newest in expected.newest.items() if newest[0]
        }
        assert sorted(seen[series]) == list(range(min(seen[series]), expected.closed, MINUTE))
        for at, one in seen[series].items():
            assert one[0]["revision"] == expected.first_revision[at]
            assert [candle["revision"] for candle in one] == sorted({candle["revision"] for candle in one})
            assert {candle["status"] for candle in one} == {"connected"}
        assert any(len(one) > 1 for one in minutes.values())  # late trades made corrections
    late = sorted(
        (record.key, json.loads(record.value or b"")["trade_id"]) for record in await read_all(settings, topics.late)
    )
    live = [record for record in await read_all(settings, topics.trades) if series_of(record)[1] is None]
    assert late == sorted(
        (record.key, json.loads(record.value or b"")["trade_id"])
        for record in live
        if record.offset in all_series[series_of(record)].late
    )
    assert late


def volume(candle: dict[str, Any]) -> int:
    whole, _, part = candle["volume"].partition(".")
    return int(whole) * 1000 + int(part.ljust(3, "0"))
