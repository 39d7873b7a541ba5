"""``candlewick import`` as a program, on the real Kafka; candles as the engine makes them of what it published."""

import asyncio
import csv
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from candle_engine import read_all
from dumps import BTC, XRP, candles_of, simulated, zipped
from eventually import eventually

from market.records import Record
from market.topics import Topics
from runtime.kafka import ends
from runtime.settings import Settings

Environment = dict[str, str]
OCT_11 = 1_570_752_000_000
JAN_8 = 1_610_064_000_000
SIM_DAY = 1_704_067_200_000


def candlewick(environment: Environment, *words: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "candlewick", *map(str, words)],
        env=environment, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


async def newest_candles(settings: Settings) -> dict[tuple[str, int], dict[str, Any]]:
    """By key and open time the candle with the highest revision, without it."""
    newest: dict[tuple[str, int], dict[str, Any]] = {}
    for record in await read_all(settings, settings.topics.candles()):
        candle = orjson.loads(record.value or b"")
        place = (f"{candle['exchange']}:{candle['symbol']}", candle["open_time_ms"])
        if candle["revision"] >= newest.get(place, {"revision": -1})["revision"]:
            newest[place] = candle
    for candle in newest.values():
        del candle["revision"]
    return newest


def expected(*candles: Sequence[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    return {
        (f"{candle['exchange']}:{candle['symbol']}", candle["open_time_ms"]): candle
        for of_market in candles
        for candle in of_market
    }


async def end_of_trades(settings: Settings) -> int:
    return sum(end.next for end in (await ends(settings, settings.topics.trades)).values())


def number(record: Record, name: str) -> int:
    return int(dict(record.headers)[name])


@pytest.mark.usefixtures("topics")
async def test_recordings_become_the_candles_that_polars_computes(
    environment: Environment, settings: Settings, tmp_path: Path
) -> None:
    trades = simulated(tmp_path, "SOLUSDT", "trades", "2024-01-01", SIM_DAY, 3)
    aggregates = simulated(tmp_path, "ETHUSDT", "aggTrades", "2024-01-01", SIM_DAY, 3)
    until = SIM_DAY + 3 * 3_600_000
    for words in (
        [XRP, "--exchange", "binance", "--format", "binance-csv"],
        [BTC, "--complete-until", "2021-01-08T00:01"],
        [trades, "--complete-until", until],
        [zipped(aggregates, tmp_path), "--complete-until", until, "--kind", "aggTrades"],
    ):
        done = candlewick(environment, "import", *words)
        assert (done.returncode, done.stdout[:9]) == (0, "imported:"), done.stderr
    assert candlewick(environment, "candles", "--once").returncode == 0
    assert await newest_candles(settings) == expected(
        candles_of(XRP, "binance-agg", "XRP-ETH", OCT_11, OCT_11 + 86_400_000),
        candles_of(BTC, "binance", "BTC-USDT", JAN_8, JAN_8 + 60_000),
        candles_of(trades, "binance", "SOL-USDT", SIM_DAY, until),
        candles_of(aggregates, "binance-agg", "ETH-USDT", SIM_DAY, until),
    )


async def test_a_run_in_the_log_is_what_the_recording_says(
    environment: Environment, topics: Topics, settings: Settings
) -> None:
    done = candlewick(environment, "import", XRP)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:3] == [
        "  5,929 trades published", "  1,440 minutes: 1,433 proved complete, 7 complete by the file's word"
    ]  # fmt: skip
    assert [line.split("Z ")[2].split(":")[0] for line in done.stdout.splitlines()[3:]] == [
        "complete by the file's word", "proved complete", "complete by the file's word"
    ]  # fmt: skip
    records = await read_all(settings, topics.trades)
    rows = list(csv.reader(XRP.read_text().splitlines()))
    runs = {dict(record.headers)["run"] for record in records}
    assert len(runs) == 1
    assert {record.key for record in records} == {b"binance-agg:XRP-ETH"}
    published = [(at, orjson.loads(record.value)) for at, record in enumerate(records) if record.value is not None]
    assert [(trade["trade_id"], trade["time_us"], trade["side"]) for _, trade in published] == [
        (row[0], int(row[5]) * 1000, "sell" if row[6] == "True" else "buy") for row in rows
    ]
    markers = [(at, record) for at, record in enumerate(records) if record.value is None]
    begin, *minutes = [record for _, record in markers]
    assert markers[0][0] == 0
    assert dict(begin.headers)["proof"] == b"begin"
    assert number(begin, "complete_until_us") == number(begin, "published_until_us") == OCT_11 * 1000
    assert [number(record, "complete_until_us") for record in minutes] == [
        (OCT_11 + minute * 60_000) * 1000 for minute in range(1, 1441)
    ]
    first, last = (int(row[5]) // 60_000 * 60_000 for row in (rows[0], rows[-1]))
    assert [dict(record.headers)["proof"] for record in minutes] == [
        b"ids" if first < number(record, "complete_until_us") // 1000 - 60_000 < last else b"connection"
        for record in minutes
    ]
    assert [record for record in minutes if "end" in dict(record.headers)] == minutes[-1:]
    ids = iter(rows)
    row, last = next(ids), None
    for marker in minutes:
        while row is not None and int(row[5]) * 1000 < number(marker, "complete_until_us"):
            row, last = next(ids, None), row
        assert last is not None
        assert dict(marker.headers)["last_trade_id"] == last[0].encode()
        assert dict(marker.headers)["last_price"].decode() == last[1].rstrip("0").rstrip(".")
    until_us = newest_us = 0
    for record in records:  # no trade behind the marker of its minute, none beyond what the marker says is published
        if record.value is None:
            until_us = number(record, "complete_until_us")
            assert newest_us < number(record, "published_until_us")
        else:
            newest_us = max(newest_us, orjson.loads(record.value)["time_us"])
            assert orjson.loads(record.value)["time_us"] >= until_us
    events = [orjson.loads(record.value or b"") for record in await read_all(settings, topics.feeds)]
    assert [(event["event"], event["run"].encode()) for event in events] == [
        ("run_begun", *runs), ("run_ended", *runs)
    ]  # fmt: skip


@pytest.mark.usefixtures("topics")
async def test_the_same_import_again_publishes_nothing_unless_forced(
    environment: Environment, settings: Settings
) -> None:
    words = ["import", BTC, "--complete-until", JAN_8 + 60_000]
    assert candlewick(environment, *words).returncode == 0
    end = await end_of_trades(settings)
    again = candlewick(environment, *words)
    assert (again.returncode, again.stdout[:15]) == (0, "imported before")
    assert await end_of_trades(settings) == end
    forced = candlewick(environment, *words, "--force")
    assert forced.returncode == 0
    assert "-2)\n  2,001 trades published\n" in forced.stdout
    assert await end_of_trades(settings) == 2 * end


@pytest.mark.long
@pytest.mark.usefixtures("topics")
async def test_killed_in_the_middle_and_run_again_the_result_is_the_same(
    environment: Environment, settings: Settings, tmp_path: Path
) -> None:
    dump = simulated(tmp_path, "BTCUSDT", "trades", "2024-01-01", SIM_DAY, 4)
    words = [sys.executable, "-m", "candlewick", "import", str(dump), "--complete-until", str(SIM_DAY + 4 * 3_600_000)]
    first = await asyncio.create_subprocess_exec(*words, env=environment, stderr=asyncio.subprocess.DEVNULL)
    await eventually(lambda: _has_trades(settings), timeout_s=60)
    first.send_signal(signal.SIGKILL)
    assert await first.wait() == -signal.SIGKILL, "it was done before it could be killed"
    cut_at = await end_of_trades(settings)
    assert candlewick(environment, "candles", "--once").returncode == 0
    again = candlewick(environment, *words[3:])
    assert again.returncode == 0, again.stderr
    assert await end_of_trades(settings) > cut_at
    assert candlewick(environment, "candles", "--once").returncode == 0
    want = candles_of(dump, "binance", "BTC-USDT", SIM_DAY, SIM_DAY + 4 * 3_600_000)
    assert await newest_candles(settings) == expected(want)


async def _has_trades(settings: Settings) -> bool:
    return await end_of_trades(settings) > 1


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    lines = BTC.read_text().splitlines()
    lines[500] = "553288059,not a price,0.1,1,1610064011000,True,True"
    path = tmp_path / BTC.name
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.usefixtures("topics")
async def test_a_broken_row_stops_the_import_before_anything_is_published(
    environment: Environment, settings: Settings, broken: Path
) -> None:
    done = candlewick(environment, "import", broken, "--complete-until", JAN_8 + 60_000)
    assert done.returncode == 2
    assert f"{broken} line 501 is not a trade: price is 'not a price'" in done.stderr
    assert await end_of_trades(settings) == 0


async def test_bad_rows_go_to_the_dead_letters_when_they_are_to_be_skipped(
    environment: Environment, topics: Topics, settings: Settings, broken: Path
) -> None:
    done = candlewick(environment, "import", broken, "--complete-until", JAN_8 + 60_000, "--skip-bad")
    assert done.returncode == 0, done.stderr
    assert "  1 minute: 1 marked hole because trade id 553288059 is missing and line 501 was skipped" in done.stdout
    assert "  skipped rows (no trades; they are in the dead letters): 1" in done.stdout
    (dead,) = await read_all(settings, topics.dead_letters(topics.trades))
    assert dead.value == b"553288059,not a price,0.1,1,1610064011000,True,True"
    headers = dict(dead.headers)
    assert (headers["import.file"], headers["import.line"]) == (str(broken).encode(), b"501")
    assert headers["__streams.errors.message"] == b"price is 'not a price'"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--symbol", "BTC-USDT"], "is of XRPETH, not of BTC-USDT"),
        (["--complete-until", "dawn"], "'dawn': give a"),
    ],
)
def test_what_is_asked_wrongly_is_one_sentence_and_exit_code_2(
    words: list[str], said: str, environment: Environment
) -> None:
    done = candlewick(environment, "import", XRP, *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_broker_that_is_not_there_is_one_sentence(environment: Environment) -> None:
    done = candlewick(environment | {"CANDLEWICK_KAFKA": "127.0.0.1:1"}, "import", XRP)
    assert done.returncode == 1
    assert "Kafka at 127.0.0.1:1 does not answer" in done.stderr
