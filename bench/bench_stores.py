"""What the warm store's types and its order cost: bytes a trade, insert, exact sums and reads by time.

``bench_stores.py [--trades 1000000] [--runs 3]``; into ``results/stores.json``. The variants take turns.
"""

import argparse
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
from report import write

from deploy.local import stack
from runtime.settings import clickhouse_address, load_settings

START_US = 1_700_000_000_000_000
STEP_US = 250_000
"""Between two trades: a million are three days."""
BLOCK = 100_000
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
TABLE = """
CREATE TABLE {name}
(
    exchange LowCardinality(String), symbol LowCardinality(String), trade_id String CODEC(ZSTD(1)),
    time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), price {type} CODEC(ZSTD(1)), qty {type} CODEC(ZSTD(1)),
    side LowCardinality(String), precedence UInt64 CODEC(DoubleDelta, ZSTD(1)){more}
)
ENGINE = ReplacingMergeTree(precedence) PARTITION BY toYYYYMM(time) ORDER BY (exchange, symbol, {order})
"""
BY_TIME, BY_MINUTE = "time, trade_id", "intDiv(toUnixTimestamp64Micro(time), 60000000), trade_id"
_KEPT = ", quote_qty Decimal(76, 36) MATERIALIZED price * qty CODEC(ZSTD(1))"
VARIANTS = {
    "38 digits, by time": {"type": "Decimal(38, 18)", "order": BY_TIME, "more": ""},
    "76 digits, by time": {"type": "Decimal(76, 18)", "order": BY_TIME, "more": ""},
    "76 digits, by minute": {"type": "Decimal(76, 18)", "order": BY_MINUTE, "more": ""},
    "76 digits, by minute, quote_qty kept": {"type": "Decimal(76, 18)", "order": BY_MINUTE, "more": _KEPT},
}
"""What the table was, what it is (the third), and the ways between and beyond."""
QUERIES = {
    "sum(price * qty)": "SELECT sum(price * qty) FROM {name} FINAL",
    "five minutes of a symbol": "SELECT count(), max(price) FROM {name} FINAL WHERE exchange = 'binance' "
    "AND symbol = 'BTC-USDT' AND time >= fromUnixTimestamp64Micro({from_us}) "
    "AND time < fromUnixTimestamp64Micro({until_us})",
}


@contextmanager
def clickhouse() -> Iterator[Any]:
    """A client of a ClickHouse engine in a temporary folder; the other stores of the stack are not started."""
    with tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
        settings = load_settings(
            home=Path(folder),
            clickhouse_port=0,
            kafka="not.started:9092",
            redis="redis://not.started",
            log_level="error",
        )
        try:
            stack.up(settings)
            yield clickhouse_connect.get_client(dsn=clickhouse_address(settings))
        finally:
            stack.down(settings)


def blocks(trades: int, *, numbers: bool) -> Iterator[pa.Table]:
    """Trades as the sink writes them; ids are numbers that rise with time, or else UUIDs."""
    rng = random.Random(7)
    price = dict.fromkeys(SYMBOLS, 6_700_000)
    for first in range(0, trades, BLOCK):
        rows: list[tuple[Any, ...]] = []
        for number in range(first, min(first + BLOCK, trades)):
            symbol = rng.choice(SYMBOLS)
            price[symbol] += rng.choice((-3, -1, 0, 0, 1, 3))
            trade_id = str(4_000_000_000 + number) if numbers else str(uuid.UUID(int=rng.getrandbits(128)))
            amounts = Decimal(price[symbol]).scaleb(-2), Decimal(1 + int(rng.random() ** 4 * 200_000)).scaleb(-5)
            side = rng.choice(("buy", "sell"))
            at = START_US + number * STEP_US + rng.randrange(STEP_US)
            rows.append(("binance", symbol, trade_id, at, *amounts, side, (1 << 63) - number))
        types = (
            *3 * [pa.string()],
            pa.timestamp("us", tz="UTC"),
            *2 * [pa.decimal128(38, 18)],
            pa.string(),
            pa.uint64(),
        )
        names = ("exchange", "symbol", "trade_id", "time", "price", "qty", "side", "precedence")
        columns = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), types, strict=True)]
        yield pa.Table.from_arrays(columns, names)


def timed(action: Any) -> float:
    """Seconds."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def measure(client: Any, data: list[pa.Table], variant: str, trades: int) -> dict[tuple[str, str], float]:
    """One table filled, asked, weighed and dropped."""
    name = f"t{uuid.uuid4().hex[:8]}"
    client.command(TABLE.format(name=name, **VARIANTS[variant]))
    seen = {("insert", "trades/s"): trades / timed(lambda: [client.insert_arrow(name, block) for block in data])}
    client.command(f"OPTIMIZE TABLE {name} FINAL")
    middle_us = START_US + trades // 2 * STEP_US
    window = {"from_us": middle_us, "until_us": middle_us + 300_000_000}
    for what, query in QUERIES.items():
        asked = query.format(name=name, **window)
        seen[what, "ms"] = 1000 * min(timed(lambda asked=asked: client.query(asked)) for _ in range(3))
    parts = f"SELECT sum(data_compressed_bytes) FROM system.parts WHERE table = '{name}' AND active"  # noqa: S608
    seen["on disk", "bytes/trade"] = client.command(parts) / trades
    client.command(f"DROP TABLE {name}")
    return seen


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    seen: dict[tuple[str, str], list[float]] = {}
    with clickhouse() as client:
        for ids in ("numbers", "UUIDs"):
            data = list(blocks(arguments.trades, numbers=ids == "numbers"))
            for _ in range(arguments.runs):
                for variant in VARIANTS:
                    for (what, unit), value in measure(client, data, variant, arguments.trades).items():
                        seen.setdefault((f"{what}: {variant}, ids {ids}", unit), []).append(value)
    figures = [
        {
            "name": name,
            "unit": unit,
            "min": round(min(values), 2),
            "median": round(statistics.median(values), 2),
            "max": round(max(values), 2),
            "goal": None,
        }
        for (name, unit), values in seen.items()
    ]
    for one in figures:
        print(f"{one['name']:75} {one['median']:>12,} {one['unit']:12} ({one['min']:,} to {one['max']:,})")
    write("stores", {"figures": figures})


if __name__ == "__main__":
    main()
