"""What a feed wrote to Kafka, read back raw, and what must hold of it, whatever happened."""

import json
from collections import Counter, defaultdict
from decimal import Decimal
from typing import NamedTuple

import aiohttp

from runtime.kafka import read_to_end
from runtime.settings import Settings

MINUTE_US = 60_000_000


class Minute(NamedTuple):
    """A marker: when it was appended, and its headers."""

    at_ms: int
    until_us: int
    published_us: int
    proof: str
    last_id: str | None
    last_price: str | None


class KeyLog:
    """The records of one key in the order of the log."""

    def __init__(self) -> None:
        self.records: list[dict | Minute] = []

    @property
    def trades(self) -> list[dict]:
        return [record for record in self.records if isinstance(record, dict)]

    @property
    def minutes(self) -> list[Minute]:
        return [record for record in self.records if isinstance(record, Minute)]

    @property
    def closed(self) -> list[Minute]:
        return [minute for minute in self.minutes if minute.proof != "begin"]

    @property
    def begin_us(self) -> int:
        return self.minutes[0].until_us

    @property
    def end_us(self) -> int:
        return max((minute.until_us for minute in self.minutes), default=0)


async def read_log(settings: Settings) -> dict[str, KeyLog]:
    """Every key's log, by our symbol."""
    logs: dict[str, KeyLog] = defaultdict(KeyLog)
    async for records in read_to_end(settings, settings.topics.trades):
        for record in records:
            log = logs[record.key.decode().partition(":")[2]]
            if record.value is not None:
                log.records.append(json.loads(record.value))
                continue
            headers = {name: value.decode() for name, value in record.headers}
            log.records.append(
                Minute(
                    record.timestamp,
                    int(headers["complete_until_us"]),
                    int(headers["published_until_us"]),
                    headers["proof"],
                    headers.get("last_trade_id"),
                    headers.get("last_price"),
                )
            )
    return logs


async def read_events(settings: Settings) -> list[dict]:
    """What was told in `md.feeds.v1`."""
    return [
        json.loads(record.value) async for records in read_to_end(settings, settings.topics.feeds) for record in records
    ]


async def sent(address: str, native: str, from_us: int, until_us: int) -> dict[int, tuple]:
    """What the simulator says that it sent of a symbol: id to (price, qty, time, side)."""
    query = {"symbol": native, "from_us": str(from_us), "until_us": str(until_us)}
    async with aiohttp.ClientSession() as http, http.get(f"{address}/sim/record", params=query) as response:
        lines = (await response.text()).splitlines()[1:]
    rows = [line.split(",") for line in lines]
    return {
        int(row[0]): (Decimal(row[1]), Decimal(row[2]), int(row[3]), "sell" if row[4].lower() == "true" else "buy")
        for row in rows
    }


def published(trades: list[dict], from_us: int, until_us: int) -> dict[int, tuple]:
    """The same of what stands in Kafka; two records of one id must agree."""
    found: dict[int, tuple] = {}
    for trade in trades:
        if from_us <= trade["time_us"] < until_us:
            row = (Decimal(trade["price"]), Decimal(trade["qty"]), trade["time_us"], trade["side"])
            assert found.setdefault(int(trade["trade_id"]), row) == row
    return found


def redelivered(log: KeyLog) -> int:
    """Records of ids that stand in the log more than once."""
    counts = Counter(trade["trade_id"] for trade in log.trades)
    return sum(count - 1 for count in counts.values())


def check_markers(log: KeyLog, truth: dict[int, tuple], *, strict: bool) -> None:
    """What the markers say is so. `strict`: nothing came late, so each had all trades of its minute before it."""
    seen: dict[int, int] = {}
    since_begin_us = 0
    until_us = log.begin_us
    assert log.minutes[0].proof == "begin"
    for record in log.records:
        if isinstance(record, dict):
            seen[int(record["trade_id"])] = record["time_us"]
            since_begin_us = max(since_begin_us, record["time_us"])
            continue
        if record.proof == "begin":
            assert record.until_us <= until_us, "a begin that leaves minutes out"
            until_us, since_begin_us = record.until_us, 0
            assert record.published_us == record.until_us
            continue
        assert record.until_us == until_us + MINUTE_US, "markers come one for every minute, in order"
        until_us = record.until_us
        assert record.published_us >= max(until_us, since_begin_us + 1 if since_begin_us else 0)
        before = [number for number, row in truth.items() if row[2] < until_us]
        if strict and record.proof == "ids":
            missing = [number for number in before if number not in seen]
            assert not missing, f"the marker of {until_us} came before trades {missing[:5]}"
            if before:
                assert record.last_id == str(max(before))
                assert Decimal(record.last_price or 0) == truth[max(before)][0]
