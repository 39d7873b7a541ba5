"""Thirty-five days over a leap day and a month's end: every longer candle equals a batch computation by polars."""

import random

import orjson
import polars as pl
import pytest
from rolled import MINUTE, STATUSES, SUMS, Minute, minute

from processors.rolling.core import Rolling

FROM_MS = 1_706_486_400_000
"""2024-01-29, a Monday."""
MINUTES = 35 * 1440
KEY = b"binance:BTC-USDT"
EVERY = ("3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w", "1M")
SCALED = dict.fromkeys(SUMS, 22) | dict.fromkeys(("open", "high", "low", "close"), 18)


def days_of_minutes() -> list[Minute]:
    """With one hole on the first day: so its windows, among them its week, are not whole."""
    at = random.Random(35)
    records = []
    for number in range(MINUTES):
        open_ms = FROM_MS + number * MINUTE
        value = minute(at, open_ms, 10 + number, status=STATUSES[0] if at.random() < 0.999 else STATUSES[3])
        if number != 1440 // 2:
            records.append(Minute(len(records), open_ms + MINUTE, KEY, value))
    return records


def by_polars(records: list[Minute], every: str) -> dict[int, dict[str, object]]:
    """Open time → the candle of each whole window."""
    rows = [record.fields for record in records]
    frame = pl.DataFrame({name: [row[name] for row in rows] for name in rows[0]}).with_columns(
        pl.from_epoch("open_time_ms", time_unit="ms").alias("opens"),
        pl.col("status").replace_strict({name: rank for rank, name in enumerate(STATUSES)}).alias("rank"),
        *(pl.col(name).cast(pl.Decimal(38, places)) for name, places in SCALED.items()),
    )
    step = every.replace("M", "mo") if every == "1M" else every
    windows = (
        frame.group_by_dynamic("opens", every=step, start_by="window")
        .agg(
            pl.len().alias("minutes"),
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            *(pl.col(name).sum() for name in SUMS),
            pl.col("trades").sum(),
            pl.col("first_trade_id").drop_nulls().first(),
            pl.col("last_trade_id").drop_nulls().last(),
            pl.col("revision").max(),
            pl.col("rank").max(),
        )
        .with_columns(pl.col("opens").dt.offset_by(step).alias("ends"))
    )
    whole = windows.filter((pl.col("ends") - pl.col("opens")).dt.total_minutes() == pl.col("minutes"))
    return {row["opens"].timestamp() * 1000: row for row in whole.with_columns(_utc("opens"), _utc("ends")).to_dicts()}


def _utc(name: str) -> pl.Expr:
    return pl.col(name).dt.replace_time_zone("UTC")


@pytest.mark.long
def test_thirty_five_days_equal_a_batch_computation() -> None:
    records = days_of_minutes()
    core = Rolling(0, 1)
    ours: dict[str, dict[int, dict[str, object]]] = {every: {} for every in EVERY}
    for record in records:
        for output in core.take(record):
            if output.timeframe:
                fields = orjson.loads(output.value)
                ours[output.timeframe.value][fields["open_time_ms"]] = fields
        core.release()
    for output in core.flush():
        if output.timeframe:
            fields = orjson.loads(output.value)
            ours[output.timeframe.value][fields["open_time_ms"]] = fields
    for every in EVERY:
        theirs = by_polars(records, every)
        assert ours[every].keys() == theirs.keys(), every
        for open_ms, row in theirs.items():
            fields = ours[every][open_ms]
            assert fields["close_time_ms"] == row["ends"].timestamp() * 1000 - 1
            for name in SCALED:
                text = format(row[name], "f")
                assert fields[name] == (text.rstrip("0").rstrip(".") if "." in text else text), (every, open_ms, name)
            for name in ("trades", "first_trade_id", "last_trade_id", "revision"):
                assert fields[name] == row[name], (every, open_ms, name)
            assert fields["status"] == STATUSES[row["rank"]]
    assert {every: len(windows) for every, windows in ours.items()}["1M"] == 1  # February, of 29 days
    assert len(ours["1w"]) == 4  # five weeks, of which the first has the hole
