"""What a trade takes, wherever it lies: Kafka, ClickHouse, Parquet, PostgreSQL plain and compressed, CSV, JSON.

``bench_storage.py [--trades 300000]``; into ``results/storage.json``. The same trades are published once and written by
our sinks into empty stores; sizes are those on disk, when all is merged or vacuumed.
"""

import argparse
import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import asyncpg
import clickhouse_connect
import cold
from broker import broker, forget_group, publish
from measure import EngineFailed
from peers import ROOT
from report import figure, write
from stores import empty_store, held_trades
from timescale import timescale

from runtime.kafka import Outgoing
from runtime.kafka.admin import apply_topics
from runtime.settings import Settings, child_environment, clickhouse_address, postgres_address

GOALS = {("ClickHouse", True): 12, ("ClickHouse", False): 10, ("Parquet, sorted whole, zstd 19", False): 10}
"""Bytes a trade, by form and whether the trades are simulated."""
PATIENCE_S = 900.0
_MERGED_BYTES = """
SELECT sum(data_compressed_bytes) FROM system.parts
WHERE active AND database = currentDatabase() AND table = 'trades'
"""
_PLAIN_BYTES = """
SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits WHERE inhparent = 'trades'::regclass
"""
_COMPRESSED_BYTES = "SELECT hypertable_size('trades')"
Records = dict[int, list[cold.LoggedRecord]]


def main() -> None:
    """Each market through each store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=300_000)
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    seen = [(each["of"], each["form"], each["bytes_per_trade"]) for each in cold.storage(arguments.trades)]
    markets = chain([("simulated, 300 symbols", cold.simulated(arguments.trades))], cold.real())
    with broker("clickhouse", "postgres") as settings:
        for number, (of, records) in enumerate(markets):
            own = settings.model_copy(update={"prefix": f"m{number}."})
            trades = sum(map(len, records.values()))
            for form, size in weights(own, records, trades):
                seen.append((of, form, size / trades))
                print(f"{of:44} {form:36} {size / trades:>8.2f} bytes a trade", flush=True)
    print("\n" + table(seen))
    write("storage", {"figures": [figured(*each) for each in seen]})


def table(seen: Sequence[tuple[str, str, float]]) -> str:
    """The table of docs/stores.md."""
    markets, forms = (list(dict.fromkeys(each[place] for each in seen)) for place in (0, 1))
    sizes = {(of, form): f"{size:.1f}" for of, form, size in seen}
    rows = [["bytes a trade", *markets], *([form, *(sizes.get((of, form), "") for of in markets)] for form in forms)]
    heading, *others = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([heading, "|---" * len(rows[0]) + "|", *others])


def figured(of: str, form: str, size: float) -> dict[str, Any]:
    """One of the table's cells."""
    return figure(f"{form}: {of}", "bytes/trade", [size], GOALS.get((form, of.startswith("simulated"))))


def weights(settings: Settings, records: Records, trades: int) -> Iterator[tuple[str, int]]:
    """Bytes in Kafka, and in each store that the sinks fill from there."""
    asyncio.run(apply_topics(settings))
    asyncio.run(publish(settings, _outgoing(records)))
    topic = settings.topics.trades
    yield "Kafka, zstd", sum(log.stat().st_size for log in settings.home.rglob(f"{topic}-[0-9]*/*.log"))
    with empty_store(settings, "clickhouse") as own:
        sink(own, "clickhouse", trades)
        yield "ClickHouse", clickhouse_bytes(own)
    with empty_store(settings, "postgres") as own:
        sink(own, "postgres", trades)
        asyncio.run(_ask(own, "VACUUM FULL trades"))
        yield "PostgreSQL, with its index", asyncio.run(_ask(own, _PLAIN_BYTES))
    with timescale(settings) as server:
        if server is not None:
            compressed = server.settings
            sink(compressed, "postgres", trades)
            asyncio.run(_ask(compressed, "SELECT count(compress_chunk(chunk)) FROM show_chunks('trades') AS chunk"))
            yield "TimescaleDB, compressed", asyncio.run(_ask(compressed, _COMPRESSED_BYTES))


def _outgoing(records: Records) -> Iterable[Outgoing]:
    return (
        Outgoing(record.key, record.value, record.headers, partition)
        for partition, of_partition in records.items()
        for record in of_partition
    )


def sink(settings: Settings, name: str, trades: int) -> None:
    """``candlewick sink NAME --once`` from the log's beginning; the store must hold every trade then."""
    environment = child_environment(settings) | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "candlewick", "sink", name, "--once"]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=PATIENCE_S)
    forget_group(settings, f"sink.{name}")
    if done.returncode:
        raise EngineFailed(f"the sink ended with {done.returncode}: {done.stderr[-300:]}")
    if (held := held_trades(settings, name)) != trades:
        raise EngineFailed(f"{name} holds {held} trades of {trades}")


def clickhouse_bytes(settings: Settings) -> int:
    """Of the columns, merged; a part's other files, some ten kilobytes, would be much beside few trades."""
    client = clickhouse_connect.get_client(
        dsn=clickhouse_address(settings), database=settings.clickhouse_database, send_receive_timeout=int(PATIENCE_S)
    )
    client.command("OPTIMIZE TABLE trades FINAL")
    return int(client.command(_MERGED_BYTES))


async def _ask(settings: Settings, question: str) -> Any:
    connection = await asyncpg.connect(postgres_address(settings))
    try:
        return await connection.fetchval(question, timeout=PATIENCE_S)
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
