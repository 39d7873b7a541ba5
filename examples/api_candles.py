"""Print a market's candles of any length from the API, with how complete they are, by Candlewick's own client.

pip install polars, then: python api_candles.py [ADDRESS]; candlewick run and candlewick serve show the address.
"""

import argparse
import os

import polars as pl

from candlewick.client import Client

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("address", nargs="?", default="http://127.0.0.1:8080")
parser.add_argument("--exchange", default="binance")
parser.add_argument("--symbol", default="BTC-USDT")
parser.add_argument("--timeframe", default="7m", help="7m, 90m, 1h, 3d, …")
parser.add_argument("--limit", type=int, default=20)
arguments = parser.parse_args()
with Client(arguments.address, key=os.environ.get("CANDLEWICK_API_KEY")) as client:
    answer = client.candles(
        arguments.exchange, arguments.symbol, timeframe=arguments.timeframe, limit=arguments.limit
    ).read()
frame = answer.to_polars().with_columns(range=pl.col("high") - pl.col("low"))  # exact decimals
for row in frame.iter_rows(named=True):
    print(f"{row['open_time']:%Y-%m-%d %H:%M}", row["close"].normalize(), row["range"].normalize(), row["status"])
covered = answer.coverage
print(
    f"{covered.present} of {covered.expected} candles, {covered.minutes_present} of {covered.minutes_expected} minutes"
)
