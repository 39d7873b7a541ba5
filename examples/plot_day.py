"""Draw a day of a market as candlesticks, out of the cold store's 1m candles, into a PNG.

pip install polars matplotlib, then: python plot_day.py 2026-01-31 day.png; the cold store of the local stack is
.candlewick/cold.
"""

import argparse
import datetime as dt
from itertools import pairwise
from urllib.parse import quote

import matplotlib as mpl
import polars as pl

mpl.use("Agg")  # no window is needed to write a file
from matplotlib import dates
from matplotlib import pyplot as plt

RISING, FALLING, WICK = "#26805a", "#c0392b", "#555555"


def candles(folder: str, exchange: str, symbol: str, day: dt.date, every: str) -> pl.DataFrame:
    """The day's candles of this length; of each minute the highest revision counts. Floats, for drawing."""
    files = f"{folder}/candles/exchange={quote(exchange, safe='')}/date={day}/*.parquet"
    amounts = pl.col("open", "high", "low", "close", "volume").cast(pl.Float64)
    return (
        pl.scan_parquet(files, hive_partitioning=False)
        .filter(symbol=symbol)
        .sort("revision", "offset")
        .unique("open_time", keep="last", maintain_order=True)
        .sort("open_time")
        .with_columns(amounts)
        .group_by_dynamic("open_time", every=every)
        .agg(
            pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last(),
            pl.col("volume").sum(), minutes=pl.len(),
        )
        .collect()
    )  # fmt: skip


def draw(day: pl.DataFrame, title: str, path: str) -> None:
    """Candlesticks above, volumes below; one axis of UTC time for both."""
    begins = dates.date2num(day["open_time"].to_list())
    length = min(end - begin for begin, end in pairwise(begins)) if len(begins) > 1 else 1 / 24
    middles, width = begins + length / 2, 0.7 * length
    colors = [RISING if rose else FALLING for rose in day["close"] >= day["open"]]
    figure, (prices, volumes) = plt.subplots(
        2, 1, sharex=True, figsize=(12, 6.5), height_ratios=[4, 1], layout="constrained"
    )
    prices.vlines(middles, day["low"], day["high"], color=WICK, linewidth=0.8, zorder=1)
    body = (day["close"] - day["open"]).abs()
    bottom = day.select(pl.min_horizontal("open", "close")).to_series()
    smallest = (day["high"].max() - day["low"].min()) / 500  # a candle that closed where it opened is a line
    prices.bar(middles, body.clip(lower_bound=smallest), width, bottom, color=colors, zorder=2)
    volumes.bar(middles, day["volume"], width, color=colors)
    prices.set_title(title, loc="left")
    prices.set_ylabel("price")
    volumes.set_ylabel("volume")
    volumes.xaxis.set_major_locator(dates.AutoDateLocator())
    volumes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    volumes.set_xlabel("UTC")
    for axes in (prices, volumes):
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("day", type=dt.date.fromisoformat, help="a UTC day, as 2026-01-31")
parser.add_argument("png", help="the file to write")
parser.add_argument("--folder", default=".candlewick/cold", help="the cold store")
parser.add_argument("--exchange", default="binance")
parser.add_argument("--symbol", default="BTC-USDT")
parser.add_argument("--every", default="15m", help="the length of a candle: 1m, 15m, 1h")
arguments = parser.parse_args()
try:
    drawn = candles(arguments.folder, arguments.exchange, arguments.symbol, arguments.day, arguments.every)
except (pl.exceptions.ComputeError, FileNotFoundError) as error:
    raise SystemExit(f"no candles of that day in {arguments.folder}: {str(error)[:200]}") from error
if drawn.is_empty():
    raise SystemExit(f"no candles of {arguments.exchange}:{arguments.symbol} on {arguments.day}")
draw(drawn, f"{arguments.exchange} {arguments.symbol}, {arguments.day}, {arguments.every}", arguments.png)
print(f"{len(drawn)} candles of {drawn['minutes'].sum()} minutes: {arguments.png}")
