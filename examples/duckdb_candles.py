"""Print a market's candles of any length out of the cold store's 1m candles, by DuckDB.

pip install duckdb, then: python duckdb_candles.py [FOLDER] --minutes 60; the cold store of the local stack is
.candlewick/cold.
"""

import argparse
from pathlib import Path

import duckdb

CANDLES = """
WITH newest AS (
    SELECT * REPLACE (open_time AT TIME ZONE 'UTC' AS open_time)
    FROM read_parquet($files, hive_partitioning = false)
    WHERE exchange = $exchange AND symbol = $symbol
    QUALIFY row_number() OVER (PARTITION BY open_time ORDER BY revision DESC, "offset" DESC) = 1
)
SELECT time_bucket(to_minutes($minutes), open_time) AS "from", arg_min(open, open_time), max(high), min(low),
       arg_max(close, open_time), sum(volume), sum(trades), count(*) FILTER (status != 'complete')
FROM newest GROUP BY "from" ORDER BY "from"
"""
"""A corrected candle is one more row, with a higher revision; amounts are exact decimals."""

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", nargs="?", default=".candlewick/cold", help="the cold store; s3://… too")
parser.add_argument("--exchange", default="binance")
parser.add_argument("--symbol", default="BTC-USDT")
parser.add_argument("--minutes", type=int, default=60, help="the length of a candle")
arguments = parser.parse_args()
if "://" not in arguments.folder and not any(Path(arguments.folder, "candles").rglob("*.parquet")):
    raise SystemExit(f"no candles in {arguments.folder}: the first files come after 15 minutes, or when the run ends")
asked = {
    "files": f"{arguments.folder}/candles/**/*.parquet",
    "exchange": arguments.exchange,
    "symbol": arguments.symbol,
    "minutes": arguments.minutes,
}
print("from open high low close volume trades minutes-not-complete")
for begin, *amounts, count, incomplete in duckdb.execute(CANDLES, asked).fetchall():
    print(f"{begin:%Y-%m-%d %H:%M}", *(f"{amount.normalize():f}" for amount in amounts), count, incomplete)
