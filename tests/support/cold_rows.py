"""Records as the cold store gets them, and the files that it makes of them."""

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from market_log import LogRecord
from obstore.store import ObjectStore

from market.key import MarketKey
from sinks.parquet.files import BatchName, File, split
from sinks.parquet.footers import Footers
from sinks.parquet.read_records import ColdPlace, find_groups, read_records
from sinks.parquet.schema import Dataset
from sinks.record_forms import RecordKind, arrange

BEFORE = Path(__file__).parents[1] / "data" / "cold" / "trades-in-log-order.parquet"
NAME = BatchName("p.md.trades.v1", 0, 10, 13)
TRADE = {
    "exchange": "binance", "symbol": "BTC-USDT", "trade_id": "7", "price": "27000.1", "qty": "0.5", "side": "buy",
    "time_us": 1_699_999_999_999_999, "received_us": 1_700_000_000_000_001, "source": "rest",
}  # fmt: skip


def record(fields: dict[str, Any], offset: int = 0, headers: Sequence[tuple[str, bytes]] = ()) -> LogRecord:
    key = f"{fields['exchange']}:{fields['symbol']}".encode()
    value = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    return LogRecord("t", 0, offset, 1_700_000_000_000, key, value, headers)


def files(dataset: Dataset, records: Sequence[LogRecord]) -> list[File]:
    encoded = dataset.reading(1)(0, records)
    assert not encoded.refused
    return list(split(dataset, NAME, encoded.chunk.select(dataset.schema.names)))


async def read_day(store: ObjectStore, kind: RecordKind, market: MarketKey, day: dt.date) -> list[dict[str, Any]]:
    """The records of a UTC day, each once, in order, with all columns."""
    place = ColdPlace(store, Footers(), None)
    groups = await find_groups(place, kind, market, [day])
    minute = (day - dt.date(1970, 1, 1)).days * 1440
    rows = await read_records(place, kind, market, {}, groups, from_minute=minute, until_minute=minute + 1440)
    return arrange(kind, [rows]).to_pylist()


def trades_before() -> list[LogRecord]:
    """The records from which `BEFORE` was written, by the version that left rows in the order of the log."""
    made = []
    for number in range(40):
        fields = {
            "exchange": "binance", "symbol": ("ETH-USDT", "BTC-USDT", "ADA-USDT")[number % 3],
            "trade_id": str(1000 + number), "price": f"{27000 + number % 5}.{number % 10}",
            "qty": f"0.{number + 1:05}", "side": ("buy", "sell")[number % 2],
            "time_us": 1_700_000_000_000_000 + number * 7919 % 1000 * 1_000_000,
            "received_us": 1_700_000_001_000_000 + number, "source": ("ws", "rest", "archive")[number % 3],
        }  # fmt: skip
        if number % 7 == 6:
            fields |= {"trade_id": f"uuid-{number}", "seq": number}
        made.append(record(fields, 100 + 2 * number, [("run", b"r1")] if number % 5 == 0 else []))
    return made
