"""What a trade takes in ClickHouse, by type, codec and key: bytes, filling a table, exact sums and reads by time.

``bench_stores.py [--trades 1000000] [--runs 3]``; into ``results/stores.json``. The tables take turns. Simulated trades
are those of `trades`; the real ones are the files of ``tests/data``. Bytes are those after all merges.
"""

import argparse
import csv
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import clickhouse_connect
import pyarrow as pa
from broker import servers
from report import figure, write
from trades import PARTITIONS, START_US, Market

from market.codec import encode_trade
from market.partition import partition_of
from market.trade import Side, Source, Trade
from runtime.settings import clickhouse_address
from sinks.clickhouse.encode import encode_trades
from sinks.clickhouse.schema import newest_schema, statements
from sinks.trade_rows import TradeRows

DATA = Path(__file__).parents[1] / "tests" / "data"
REAL = {
    "BTC-USDT": (DATA / "BTCUSDT-trades-2021-01-08.csv", 4, 5),
    "XRP-ETH": (DATA / "XRPETH-aggTrades-2019-10-11.csv", 5, 6),
}
"""Symbol → a dump of Binance, with the places of the time in milliseconds and of "the buyer is the maker"."""
BLOCK = 100_000
"""Rows of an insert, as the sink writes them."""
NEWEST = next(statement for statement in newest_schema() if "EXISTS trades" in statement)
VERSION_2 = next(one for one in statements((DATA / "clickhouse_schema_2.sql").read_text()) if "EXISTS trades" in one)
_TOLD = "toUnixTimestamp64Micro(received)"
_AFTER = f"if({_TOLD} != 0, ({_TOLD} != 0) * ({_TOLD} - toUnixTimestamp64Micro(time)), NULL)"
"""NULL where it is not told; else the values beneath would take space all the same."""


class Variant(NamedTuple):
    """A table of trades: what is replaced in the newest one, and how a column is filled that the newest lacks."""

    replaced: dict[str, str]
    filled: dict[str, str] = {}  # noqa: RUF012  # never changed
    table: str = NEWEST


def _retyped(digits: int, places: int, codec: str) -> dict[str, str]:
    return {"Decimal(76, 18) CODEC(GCD, ZSTD(1))": f"Decimal({digits}, {places}) CODEC({codec})"}


_TIMES = "CODEC(GCD, Delta, T64, ZSTD(1))"
VARIANTS = {
    "version 2": Variant({}, table=VERSION_2),
    "version 3": Variant({}),
    "3, decimals without GCD": Variant(_retyped(76, 18, "ZSTD(1)")),
    "3, decimals of 38 digits": Variant(_retyped(38, 18, "GCD, ZSTD(1)")),
    "3, decimals of 18 digits, T64": Variant(_retyped(18, 8, "GCD, T64('bit'), ZSTD(1)")),
    "3, ids as texts": Variant(
        {"id_number Int64 CODEC(DoubleDelta, ZSTD(1))": "id_number Int64 CODEC(ZSTD(1))"},
        {"id_number": "-1", "id_text": "arrived.trade_id"},
    ),
    "3, received as a difference to time": Variant(
        {f"received DateTime64(6, 'UTC') {_TIMES}": "received_after Nullable(Int64) CODEC(ZSTD(1))"},
        {"received_after": _AFTER},
    ),
    "3, times by DoubleDelta": Variant({_TIMES: "CODEC(DoubleDelta, ZSTD(1))"}),
    "3, offset beside precedence": Variant(
        {"precedence UInt64": "place UInt64 CODEC(Delta, T64, ZSTD(1)), precedence UInt64"}, {"place": "arrived.offset"}
    ),
}
ASKED = ("version 2", "version 3", "3, decimals without GCD")
"""Of the others some have no exact sums, which is why the table is not one of them."""
QUERIES = {
    "sum(price * qty)": "SELECT sum(price * qty) FROM {name} FINAL",
    "five minutes of a symbol": "SELECT count(), max(price) FROM {name} FINAL WHERE exchange = 'bench' "
    "AND symbol = 'S00000-USDT' AND time >= fromUnixTimestamp64Micro({from_us}) "
    "AND time < fromUnixTimestamp64Micro({until_us})",
}


@contextmanager
def clickhouse() -> Iterator[Any]:
    """A client of a ClickHouse engine in a temporary folder."""
    with servers("clickhouse") as settings:
        yield clickhouse_connect.get_client(dsn=clickhouse_address(settings))


def simulated(trades: int) -> Iterator[Any]:
    """Records of `trades.Market`, in the order of the log."""
    offsets = [0] * PARTITIONS
    for sent in Market(trades=trades, symbols=300).records({}):
        place = sent.partition or 0
        if sent.value is not None:
            yield _record(sent.key, sent.value, place, offsets[place])
        offsets[place] += 1


def real(symbol: str) -> Iterator[Any]:
    """Records of a dump, as an import publishes them."""
    path, time_at, maker_at = REAL[symbol]
    key = f"binance:{symbol}".encode()
    with path.open() as lines:
        for offset, row in enumerate(csv.reader(lines)):
            trade = Trade(
                exchange="binance",
                symbol=symbol,
                trade_id=row[0],
                price=Decimal(row[1]),
                qty=Decimal(row[2]),
                side=Side.SELL if row[maker_at] == "True" else Side.BUY,
                time_us=int(row[time_at]) * 1000,
                source=Source.ARCHIVE,
            )
            yield _record(key, encode_trade(trade), partition_of(key, PARTITIONS), offset, (("run", b"5d41402a"),))


def _record(key: bytes, value: bytes, partition: int, offset: int, headers: tuple[tuple[str, bytes], ...] = ()) -> Any:
    return SimpleNamespace(key=key, value=value, partition=partition, offset=offset, headers=headers)


def arrive(client: Any, records: Iterable[Any]) -> int:
    """Put the trades into the table `arrived`, in blocks as the sink writes them; returns how many there are."""
    client.command("DROP TABLE IF EXISTS arrived")
    client.command("DROP TABLE IF EXISTS trades")
    client.command(NEWEST)
    client.command("CREATE TABLE arrived AS trades ENGINE = Memory")
    rows, waiting = TradeRows(PARTITIONS), list(records)
    for first in range(0, len(waiting), BLOCK):
        by_partition: dict[int, list[Any]] = defaultdict(list)
        for record in waiting[first : first + BLOCK]:
            by_partition[record.partition].append(record)
        encoded = [encode_trades(rows.read(*part)).chunk for part in by_partition.items()]
        client.insert_arrow("arrived", pa.concat_tables(encoded).drop_columns(["offset"]).combine_chunks())
    return len(waiting)


def fill(client: Any, name: str, variant: Variant) -> None:
    """The table, out of `arrived`, block by block as it arrived."""
    statement = variant.table.replace("EXISTS trades", f"EXISTS {name}")
    for old, new in variant.replaced.items():
        assert old in statement, f"the schema has no {old} any more"
        statement = statement.replace(old, new)
    client.command(statement)
    kept = client.query(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {name:String} "
        "AND default_kind = ''",
        parameters={"name": name},
    )
    columns = [column for (column,) in kept.result_rows]
    values = ", ".join(f"{variant.filled.get(column, column)} AS {column}" for column in columns)
    client.command(
        f"INSERT INTO {name} ({', '.join(columns)}) SELECT {values} FROM arrived",  # noqa: S608
        settings={"max_threads": 1, "max_block_size": BLOCK, "min_insert_block_size_rows": BLOCK},
    )


def timed(action: Callable[[], Any]) -> float:
    """Seconds."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def measure(client: Any, variant: str, trades: int, market: str) -> Iterator[tuple[str, str, float]]:
    """One table filled, merged, weighed, asked and dropped: what was measured, its unit, and the value."""
    name = f"t{uuid.uuid4().hex[:8]}"
    filled_s = timed(lambda: fill(client, name, VARIANTS[variant]))
    merged_s = timed(lambda: client.command(f"OPTIMIZE TABLE {name} FINAL"))
    columns = client.query(
        "SELECT column, sum(column_data_compressed_bytes) FROM system.parts_columns "
        "WHERE database = currentDatabase() AND table = {name:String} AND active GROUP BY column",
        parameters={"name": name},
    ).result_rows
    parts = f"SELECT sum(data_compressed_bytes) FROM system.parts WHERE table = '{name}' AND active"  # noqa: S608
    yield f"on disk: {variant}, {market}", "bytes/trade", client.command(parts) / trades
    if variant == "version 3":
        for column, size in sorted(columns, key=lambda row: -row[1]):
            if size:
                yield f"on disk: {variant}, {market}, {column}", "bytes/trade", size / trades
    if market == "simulated":
        yield f"filled and merged: {variant}", "us/trade", (filled_s + merged_s) / trades * 1e6
        for what, query in QUERIES.items() if variant in ASKED else ():
            asked = query.format(name=name, from_us=START_US + 600_000_000, until_us=START_US + 900_000_000)
            best_s = min(timed(lambda asked=asked: client.query(asked)) for _ in range(3))
            yield f"{what}: {variant}", "ms", 1000 * best_s
    client.command(f"DROP TABLE {name} SYNC")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    seen: dict[tuple[str, str], list[float]] = {}
    with clickhouse() as client:
        for market in ("simulated", *REAL):
            records = simulated(arguments.trades) if market == "simulated" else real(market)
            trades = arrive(client, records)
            for _ in range(arguments.runs):
                for variant in VARIANTS:
                    for what, unit, value in measure(client, variant, trades, market):
                        seen.setdefault((what, unit), []).append(value)
    figures = [figure(name, unit, values, _GOALS.get(name)) for (name, unit), values in seen.items()]
    for of in figures:
        print(f"{of['name']:75} {of['median']:>12,} {of['unit']:12} ({of['min']:,} to {of['max']:,})")
    write("stores", {"figures": figures})


_GOALS = {"on disk: version 3, simulated": 12, **{f"on disk: version 3, {symbol}": 10 for symbol in REAL}}


if __name__ == "__main__":
    main()
