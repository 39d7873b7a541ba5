"""Dumps as Binance lays them out, and their candles as polars computes them from the text: nothing of ours is used."""

import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from producers.simulator.archive import Archive
from producers.simulator.history import GeneratedHistory
from producers.simulator.instruments import instrument

DATA = Path(__file__).parents[1] / "data"
XRP = DATA / "XRPETH-aggTrades-2019-10-11.csv"
BTC = DATA / "BTCUSDT-trades-2021-01-08.csv"

_SCALE = 8
_AGG_TRADES = ["id", "price", "qty", "first", "last", "time", "maker", "best"]
_TRADES = ["id", "price", "qty", "quote", "time", "maker", "best"]


def simulated(folder: Path, native: str, kind: str, date: str, start_ms: int, hours: int) -> Path:
    """Some hours of the simulator's history in a dump's layout."""
    market = instrument(native)
    past, end_ms = Archive(GeneratedHistory(7, market)), start_ms + hours * 3_600_000
    lines = []
    if kind == "trades":
        for match in past.between(start_ms, end_ms):
            price, qty = market.price(match.ticks), market.qty(match.lots)
            lines.append(f"{match.trade_id},{price},{qty},0,{match.time_ms},{match.buyer_is_maker},True")
    else:
        for row in past.aggregates_between(start_ms, end_ms - 1, 10_000_000):
            price, qty = market.price(row.ticks), market.qty(row.lots)
            side = f"{row.time_ms},{row.buyer_is_maker},True"
            lines.append(f"{row.aggregate_id},{price},{qty},{row.first_id},{row.last_id},{side}")
    path = folder / f"{native}-{kind}-{date}.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def zipped(path: Path, folder: Path) -> Path:
    """The dump as it is offered for download."""
    target = folder / f"{path.stem}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, path.name)
    return target


def candles_of(path: Path, exchange: str, symbol: str, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    """Every 1m candle of [start, end), in the fields of the topic but `revision`.

    Ids prove the minutes between that of the file's first trade and that of its last; the others are its word.
    """
    kind = _AGG_TRADES if "aggTrades" in path.name else _TRADES
    rows = pl.read_csv(path, has_header=False, new_columns=kind, infer_schema=False)
    rows = rows.with_columns(
        pl.col("id").cast(pl.Int64),
        pl.col("time").cast(pl.Int64),
        (pl.col("maker").str.to_lowercase() == "false").alias("bought"),
        *(_scaled(name) for name in ("price", "qty")),
    )
    rows = rows.with_columns(
        (pl.col("time") // 60_000 * 60_000).alias("open_ms"), (pl.col("price") * pl.col("qty")).alias("quote")
    )
    rows = rows.filter(pl.col("open_ms").is_between(start_ms, end_ms - 1)).sort("time", "id")
    bought = pl.col("bought")
    found = rows.group_by("open_ms").agg(
        open=pl.col("price").first(), high=pl.col("price").max(), low=pl.col("price").min(),
        close=pl.col("price").last(), volume=pl.col("qty").sum(), quote_volume=pl.col("quote").sum(),
        trades=pl.len(), taker_buy_volume=pl.col("qty").filter(bought).sum(),
        taker_buy_quote_volume=pl.col("quote").filter(bought).sum(),
        first_trade_id=pl.col("id").min(), last_trade_id=pl.col("id").max(),
    )  # fmt: skip
    by_minute = {row["open_ms"]: row for row in found.iter_rows(named=True)}
    first_ms, last_ms = min(by_minute), max(by_minute)
    candles: list[dict[str, Any]] = []
    for open_ms in range(start_ms, end_ms, 60_000):
        row = by_minute.get(open_ms)
        values = _quiet(candles[-1]["close"]) if row is None else _traded(row)
        status = "complete" if first_ms < open_ms < last_ms else "connected"
        place = {"exchange": exchange, "symbol": symbol, "timeframe": "1m", "status": status}
        candles.append(place | {"open_time_ms": open_ms, "close_time_ms": open_ms + 59_999} | values)
    return candles


def _scaled(name: str) -> pl.Expr:
    """Text with eight decimals → a whole number of hundred-millionths."""
    return pl.col(name).str.replace(".", "", literal=True).cast(pl.Int128)


def _traded(row: dict[str, Any]) -> dict[str, Any]:
    single = ("open", "high", "low", "close", "volume", "taker_buy_volume")
    values = {name: _text(row[name], _SCALE) for name in single}
    values |= {name: _text(row[name], 2 * _SCALE) for name in ("quote_volume", "taker_buy_quote_volume")}
    values |= {name: str(row[name]) for name in ("first_trade_id", "last_trade_id")}
    return values | {"trades": row["trades"]}


def _quiet(close: str) -> dict[str, Any]:
    zeros = dict.fromkeys(("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"), "0")
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return zeros | prices | {"trades": 0, "first_trade_id": None, "last_trade_id": None}


def _text(scaled: int, decimals: int) -> str:
    text = format(Decimal(scaled).scaleb(-decimals), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
