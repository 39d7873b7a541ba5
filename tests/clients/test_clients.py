"""Clients that are written for Binance, unchanged, against a live stack: what they read is what the stores hold."""

import json
import subprocess
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from outside import DAY_MS, SHOWN, LiveMarket, environment, pieces

pytestmark = pytest.mark.timeout(1200)

MINUTE, HOUR = 60_000, 3_600_000
PYTHON_BINANCE, CCXT = pieces("python")
(FREQTRADE,) = pieces("json")
Read = Callable[[str, str], dict[str, Any]]


def held(market: LiveMarket, symbol: str, timeframe: str = "1m", place: str = "ClickHouse") -> list[tuple[Any, ...]]:
    """Open time, prices, volume, quote volume and number of trades, by plain reads of a store."""
    return sorted(
        (open_ms, *values[:7])
        for (name, length, open_ms), values in market.candles[place].items()
        if (name, length) == (symbol, timeframe)
    )


def klines(rows: Iterable[list[Any]]) -> list[tuple[Any, ...]]:
    """The same of klines."""
    return [(row[0], *map(Decimal, row[1:6]), Decimal(row[7]), row[8]) for row in rows]


def numbered(market: LiveMarket, symbol: str) -> list[tuple[int, Decimal, Decimal, int]]:
    """Id, price, quantity and time in milliseconds of every trade, in order."""
    return sorted(
        (int(trade_id), price, qty, time_us // 1000)
        for (name, trade_id), (price, qty, time_us) in market.trades.items()
        if name == symbol
    )


def totals(trades: Iterable[tuple[int, Decimal, Decimal, int]]) -> list[tuple[Decimal, int, Decimal]]:
    """Price, time and quantity of trades in a row that are equal in both, whatever their sides."""
    return [
        (price, time_ms, sum((each[2] for each in group), Decimal(0)))
        for (price, time_ms), group in groupby(trades, lambda each: (each[1], each[3]))
    ]


def test_python_binance_reads_what_the_stores_hold(market: LiveMarket, read_by: Read) -> None:
    told = read_by("read_by_python_binance.py", PYTHON_BINANCE)
    assert told["symbols"] == ["BTCUSDT", "ETHUSDT", "LTCUSDT"]

    day = held(market, "BTC-USDT")
    assert len(day) == 1440
    assert klines(told["day"]) == day
    hours = {row[0]: row for row in held(market, "BTC-USDT", "1h", "Redis")}
    assert klines(told["hours"]) == [hours[DAY_MS + number * HOUR] for number in range(3, 9)]

    minutes = held(market, "ETH-USDT")
    *closed, opened = told["newest"]
    assert klines(closed) == minutes[-4:]
    assert opened[0] == minutes[-1][0] + MINUTE
    assert told["ui"][-1][0] <= opened[0] < told["ui"][-1][0] + 5 * MINUTE
    fives = {row[0]: row for row in held(market, "ETH-USDT", "5m", "Redis")}
    whole = [row for row in klines(told["ui"][:-1]) if row[0] > minutes[0][0]]  # the feed began within the first
    assert whole == [fives[row[0]] for row in whole]

    trades = numbered(market, "ETH-USDT")
    rows = [(row["id"], Decimal(row["price"]), Decimal(row["qty"]), row["time"]) for row in told["recent"]]
    assert rows == trades[-len(rows) :]
    assert len(rows) == min(1000, len(trades))
    first = told["old"][0]["id"]
    assert [row["id"] for row in told["old"]] == [each[0] for each in trades if each[0] >= first][:500]
    aggregates = [(row["f"], Decimal(row["p"]), Decimal(row["q"]), row["T"]) for row in told["aggregates"]]
    assert totals(aggregates) == totals(trades)
    assert sum(row["l"] - row["f"] + 1 for row in told["aggregates"]) == len(trades)

    last = {"symbol": "ETHUSDT", "price": f"{trades[-1][1].normalize():f}"}
    assert told["price"] == last
    assert {each["symbol"] for each in told["prices"]} == {"ETHUSDT", "LTCUSDT"}  # past days have no ticker
    assert told["ticker"]["bidPrice"] is None
    assert told["refused"] == [400, -1121, "Invalid symbol."]
    assert abs(told["time"] - int(subprocess.check_output(["date", "+%s%3N"]))) < 600_000


def test_ccxt_reads_what_the_stores_hold(market: LiveMarket, read_by: Read) -> None:
    told = read_by("read_by_ccxt.py", CCXT)
    assert told["symbols"] == ["BTC/USDT", "ETH/USDT", "LTC/USDT"]
    assert told["precision"]["price"] > 0

    def floats(rows: Iterable[tuple[Any, ...]]) -> list[list[float]]:
        return [[row[0], *map(float, row[1:6])] for row in rows]

    assert told["day"] == floats(held(market, "BTC-USDT"))
    hours = {row[0]: row for row in held(market, "BTC-USDT", "1h", "Redis")}
    assert told["hours"] == floats(hours[DAY_MS + number * HOUR] for number in range(3, 9))
    minutes = held(market, "ETH-USDT")
    *closed, opened = told["newest"]
    assert (closed, opened[0]) == (floats(minutes[-4:]), minutes[-1][0] + MINUTE)

    trades = numbered(market, "ETH-USDT")
    assert [int(row["id"]) for row in told["trades"]] == [each[0] for each in trades[-1000:]]
    since = told["since"]
    assert sum(Decimal(str(row["amount"])) for row in since) == sum(
        each[2] for each in trades if each[0] >= int(since[0]["id"])
    )
    assert int(told["aggregates"][0]["id"]) in {int(row["id"]) for row in since}
    assert (told["ticker"]["symbol"], told["ticker"]["bid"]) == ("ETH/USDT", None)
    assert told["ticker"]["last"] > 0
    assert told["tickers"] == ["ETH/USDT", "LTC/USDT"]
    assert told["refused"] == "BadSymbol"


def test_freqtrade_downloads_what_the_stores_hold(market: LiveMarket, tmp_path: Path) -> None:
    config = json.loads(FREQTRADE.replace(SHOWN, market.address)) | {"stake_currency": "USDT", "dry_run": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "user").mkdir()
    ran = subprocess.run(
        [str(environment("freqtrade.txt") / "freqtrade"), "download-data", "--config", str(tmp_path / "config.json"),
         "--userdir", str(tmp_path / "user"), "--datadir", str(tmp_path / "data"), "--timerange", "20240420-20240502",
         "--timeframes", "1m", "1h", "--data-format-ohlcv", "json"],
        check=False, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    for timeframe, place in (("1m", "ClickHouse"), ("1h", "Redis")):
        rows = json.loads((tmp_path / "data" / f"BTC_USDT-{timeframe}.json").read_text())
        expected = [[row[0], *map(float, row[1:6])] for row in held(market, "BTC-USDT", timeframe, place)]
        assert rows == expected[:-1]  # it takes the last one for unfinished, whatever its time
