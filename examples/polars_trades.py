"""Print a market's hours out of the cold store's trades: trades, volume, turnover and volume-weighted price, by polars.

pip install polars, then: python polars_trades.py [FOLDER]; the cold store of the local stack is .candlewick/cold.
"""

import argparse
from pathlib import Path

import polars as pl


def trades(folder: str) -> pl.LazyFrame:
    """Each trade once."""
    rows = pl.scan_parquet(f"{folder}/trades/**/*.parquet", hive_partitioning=False)
    rows = rows.with_columns(minute=pl.col("time").dt.truncate("1m"))
    # Of a trade's copies a run's counts before a live one, the last run's before others, and else the first live one.
    counts = pl.when(pl.col("run").is_null()).then(-1 - pl.col("offset")).otherwise(pl.col("offset"))
    return rows.sort(counts).unique(["exchange", "symbol", "minute", "trade_id"], keep="last", maintain_order=True)


def hours(folder: str, exchange: str, symbol: str) -> pl.DataFrame:
    """Volume is an exact decimal; turnover and price are floats, because an exact product has too many digits."""
    price, qty = pl.col("price").cast(pl.Float64), pl.col("qty").cast(pl.Float64)
    return (
        trades(folder)
        .filter(exchange=exchange, symbol=symbol)
        .group_by(hour=pl.col("time").dt.truncate("1h"))
        .agg(trades=pl.len(), volume=pl.col("qty").sum(), turnover=(price * qty).sum())
        .with_columns(price=pl.col("turnover") / pl.col("volume").cast(pl.Float64))
        .sort("hour")
        .collect()
    )


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", nargs="?", default=".candlewick/cold", help="the cold store; s3://… too")
parser.add_argument("--exchange", default="binance")
parser.add_argument("--symbol", default="BTC-USDT")
arguments = parser.parse_args()
if "://" not in arguments.folder and not any(Path(arguments.folder, "trades").rglob("*.parquet")):
    raise SystemExit(f"no trades in {arguments.folder}: the first files come after 15 minutes, or when the run ends")
for hour in hours(arguments.folder, arguments.exchange, arguments.symbol).iter_rows(named=True):
    print(
        f"{hour['hour']:%Y-%m-%d %H:%M}", hour["trades"], f"{hour['volume'].normalize():f}",
        f"{hour['turnover']:.2f}", f"{hour['price']:.8g}",
    )  # fmt: skip
