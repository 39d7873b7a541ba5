"""The client over a real server on real stores; the programs that use it, run as they stand."""

import asyncio
import inspect
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import polars as pl
import pytest
import urllib3
from msgspec import Struct
from records_of_a_market import bar, funding, gap, instrument, signal
from written import MINUTE, T0, candle, ticker, trade, write

from candlewick.client import ApiProblemError, Client
from market.candle import Status
from runtime.settings import Settings
from serving.client.answers import (
    ApiCandles,
    ApiDays,
    ApiEstimate,
    ApiExchanges,
    ApiHealth,
    ApiTickers,
    ApiTrades,
)
from serving.client.files import ApiFile
from serving.planner import Tier
from serving.server import ServeSettings, serving
from sinks.clickhouse.store import ClickHouseStore
from sinks.redis.store import RedisStore

ROOT = Path(__file__).parents[3]
MARKET = ("binance", "BTC-USDT")
DESCRIPTION = json.loads((ROOT / "docs" / "openapi.json").read_text())
COUNT = 5
SIZE: dict[str, Any] = {"kind": "dollar", "threshold": "1000000.5"}
RECORDS_AS_FILES = {"historical": "parquet", "signals": "arrow", "funding": "csv", "gaps": "ndjson"}

ANSWERS: dict[str, type[Struct]] = {
    "GET /v1/candles?exchange=binance&symbol=BTC-USDT": ApiCandles,
    "GET /v1/trades?exchange=binance&symbol=BTC-USDT": ApiTrades,
    "GET /v1/tickers?exchange=binance&symbols=BTC-USDT": ApiTickers,
    f"GET /v1/coverage?exchange=binance&symbol=BTC-USDT&from_ms={T0}&until_ms={T0 + 20 * MINUTE}": ApiDays,
    "GET /v1/exchanges": ApiExchanges,
    "GET /v1/health": ApiHealth,
    "POST /v1/estimate?of=historical&exchange=binance&symbol=BTC-USDT": ApiEstimate,
}


@pytest.fixture
async def filled(settings: Settings, tmp_path: Path) -> Settings:
    """Five records of each kind, candles of minutes 0 to 19 without 3, of which hot has the last, and an audit log."""
    topics = settings.topics
    minutes = [candle(minute, status=Status.HOLE if minute == 9 else Status.COMPLETE) for minute in range(20)]
    await write(ClickHouseStore(settings), topics.candles(), minutes[:3] + minutes[4:])
    await write(RedisStore(settings), topics.candles(), minutes[15:], first=100)
    await write(RedisStore(settings), topics.tickers, [ticker("BTC-USDT", 3)])
    for topic, make in (
        (topics.trades, trade), (topics.signals, signal), (topics.bars, bar), (topics.funding, funding),
        (topics.feeds, gap), (topics.instruments, instrument),
    ):  # fmt: skip
        await write(ClickHouseStore(settings), topic, [make(number) for number in range(COUNT)])
    return settings.model_copy(update={"audit": tmp_path / "audit.log"})


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[str]:
    async with serving(settings, ServeSettings(port=0)) as (address, _):
        yield address


def ask_everything(address: str) -> dict[str, Any]:
    """Every method with every parameter, but for files; records in pages of two."""
    period: dict[str, Any] = {"from_": T0, "until": T0 + 1000 * MINUTE, "limit": COUNT}
    with Client(address, page_records=2) as client:
        return {
            "candles": client.candles(*MARKET, timeframe="7m", from_=T0, until=T0 + 21 * MINUTE, limit=3).read(),
            "first": client.candles(*MARKET, revision="first", limit=2).read(),
            "trades": client.trades(*MARKET, limit=2),
            "tickers": client.tickers("binance", ["BTC-USDT", "ETH-USDT"]),
            "historical": list(client.historical(*MARKET, **period)),
            "signals": list(client.signals(*MARKET, **period)),
            "bars": list(client.bars(*MARKET, **SIZE, **period)),
            "funding": list(client.funding(*MARKET, **period)),
            "gaps": list(client.gaps(*MARKET, **period)),
            "instruments": list(client.instruments("binance", limit=COUNT)),
            "exchanges": client.exchanges(),
            "coverage": client.coverage(*MARKET, from_=T0, until=T0 + 1440 * MINUTE),
            "of_candles": client.estimate(
                "candles", *MARKET, from_=T0, until=T0 + 20 * MINUTE, form="csv", timeframe="7m"
            ),
            "of_bars": client.estimate("bars", *MARKET, **SIZE),
            "pages": [page.coverage for page in client.historical(*MARKET, from_=T0, until=T0 + MINUTE).pages()],
            "health": client.health(),
            "analysis": client.analyze("binance", ["BTC-USDT"], statistics_only=True),
        }  # fmt: skip


def download_everything(address: str, folder: Path) -> list[ApiFile]:
    """Files that have the names of the questions, with every parameter."""
    period: dict[str, Any] = {"from_": T0, "until": T0 + 1000 * MINUTE}
    with Client(address) as client:
        return [
            client.download(
                "candles", *MARKET, into=folder / "candles", from_=T0, until=T0 + 21 * MINUTE, timeframe="7m",
                revision="first",
            ),
            client.download("bars", *MARKET, into=folder / "bars", form="ndjson", **SIZE, **period),
            *(
                client.download(of, *MARKET, into=folder / of, form=form, **period)
                for of, form in RECORDS_AS_FILES.items()
            ),
        ]  # fmt: skip


async def test_every_question_has_a_typed_answer(filled: Settings) -> None:
    async with served(filled) as address:
        answers = await asyncio.to_thread(ask_everything, address)
    candles = answers["candles"]
    assert [told.open_time_ms for told in candles] == [T0 + minute * MINUTE for minute in (2, 9, 16)]
    assert [told.minutes_missing for told in candles] == [1, None, 3]
    assert candles.candles[1].volume == 7 * Decimal("0.123456789012345678")
    assert (candles.coverage.minutes_expected, candles.coverage.minutes_present) == (21, 17)
    assert candles.coverage.worst_status is Status.HOLE
    assert [told.tier for told in candles.source.ranges] == ["warm"]
    assert [told.trade_id for told in answers["trades"]] == ["4", "3"]
    assert answers["trades"].to_polars()["price"].to_list() == [Decimal("27000.1")] * 2
    assert answers["tickers"].coverage.missing == ["ETH-USDT"]
    assert answers["tickers"].tickers[0].windows["1h"].vwap == Decimal("1.333333333333333333")
    assert [told.trade_id for told in answers["historical"]] == ["0", "1", "2", "3", "4"]
    assert answers["signals"][0].values["spread"] == Decimal("-0.000000000000000001")
    for name in ("signals", "bars", "funding", "gaps", "instruments"):
        assert len(answers[name]) == COUNT, name
    assert answers["exchanges"].exchanges == ["binance"]
    (day,) = answers["coverage"].days
    assert (day.date, day.minutes_present, day.tiers) == ("2021-01-08", 19, {Tier.HOT: 5, Tier.WARM: 19})
    assert Tier.WARM in answers["coverage"].tiers
    assert answers["health"].status == "ok"
    assert answers["of_candles"].rows >= 3
    assert answers["of_candles"].one_stream
    assert answers["of_candles"].restore.cost == 0
    assert answers["of_bars"].rows >= COUNT
    assert [told.tier for told in answers["of_bars"].tiers] == [Tier.WARM]
    assert answers["analysis"].analysis is None
    assert [coverage.present for coverage in answers["pages"]] == [2, 2, 1]


async def test_files_have_all_that_was_asked_for(filled: Settings, tmp_path: Path) -> None:
    async with served(filled) as address:
        files = await asyncio.to_thread(download_everything, address, tmp_path)
    assert [(told.path.stat().st_size, told.away) for told in files] == [(told.bytes, []) for told in files]
    candles = pl.read_parquet(tmp_path / "candles")
    assert candles["open_time_ms"].to_list() == [T0 + minute * MINUTE for minute in (2, 9, 16)]
    trades = pl.read_parquet(tmp_path / "historical")
    assert trades["trade_id"].to_list() == ["0", "1", "2", "3", "4"]
    assert trades["price"].to_list() == [Decimal("27000.1")] * COUNT
    assert pl.read_ipc_stream(tmp_path / "signals").height == COUNT
    assert pl.read_csv(tmp_path / "funding").height == COUNT
    for name in ("gaps", "bars"):
        lines = (tmp_path / name).read_text().splitlines()
        assert json.loads(lines[-1])["end"]["rows"] == len(lines) - 1 == COUNT, name


async def test_the_client_asks_every_path_and_parameter_that_the_interface_describes(
    filled: Settings, tmp_path: Path
) -> None:
    """Held by what the server was asked: its audit log."""
    async with served(filled) as address:
        await asyncio.to_thread(ask_everything, address)
        await asyncio.to_thread(download_everything, address, tmp_path)
    asked: dict[tuple[str, str], set[str]] = {}
    assert filled.audit is not None
    for line in map(json.loads, filled.audit.read_text().splitlines()):
        assert line["status"] == 200, line
        question = line["method"].lower(), line["path"]
        asked.setdefault(question, set()).update(name for name, _ in parse_qsl(line["query"]))
    described = {
        (method, path): {parameter["name"] for parameter in told.get("parameters", ())}
        for path, methods in DESCRIPTION["paths"].items()
        if path.startswith("/v1/")
        for method, told in methods.items()
    }
    assert asked == described, "serving/client/client.py and this file's ask_everything have to follow the interface"


async def test_the_types_have_every_member_that_the_server_tells(filled: Settings) -> None:
    async with served(filled) as address:
        for question, type_ in ANSWERS.items():
            method, path = question.split(" ")
            body = (await asyncio.to_thread(urllib3.request, method, address + path)).data
            typed = msgspec.to_builtins(msgspec.json.decode(body, type=type_))
            assert untyped(json.loads(body), typed) == set(), question


def untyped(told: Any, typed: Any) -> set[str]:
    """The names, anywhere inside, that the typed value does not have."""
    if isinstance(told, dict):
        inside = (untyped(value, typed.get(name, {})) for name, value in told.items())
        return set[str](told.keys() - typed.keys()).union(*inside)
    if isinstance(told, list):
        return set[str]().union(*map(untyped, told, typed))
    return set()


def test_the_client_s_analysis_has_every_member_of_its_body() -> None:
    taken = set(inspect.signature(Client.analyze).parameters) - {"self", "exchange"}
    members = set(DESCRIPTION["components"]["schemas"]["AnalysisBody"]["properties"])
    assert {{"from_": "from_ms", "until": "until_ms"}.get(name, name) for name in taken} == members - {"stream"}


async def test_a_name_that_nobody_has_comes_with_the_nearest(filled: Settings) -> None:
    async with served(filled) as address:
        with Client(address) as client, pytest.raises(ApiProblemError) as raised:
            await asyncio.to_thread(client.candles("binance", "BTCUSDT").read)
    assert (raised.value.status, raised.value.more["nearest"][0]["symbol"]) == (404, "BTC-USDT")


async def ran(*command: str, folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    return out.decode()


async def test_the_snippets_of_its_page_run_as_they_stand(filled: Settings, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "client.md").read_text()
    snippets = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(snippets) == 4
    async with served(filled) as address:
        told = [
            await ran("-c", snippet.replace("http://127.0.0.1:8080", address), folder=tmp_path) for snippet in snippets
        ]
    assert all("27000.1" in text for text in told[:2]), told
    assert told[2].startswith("rows "), told
    assert "404 Not Found: no tier has the market binance:BTCUSDT" in told[3]


async def test_the_example_prints_candles_and_how_complete_they_are(filled: Settings, tmp_path: Path) -> None:
    example = str(ROOT / "examples" / "api_candles.py")
    async with served(filled) as address:
        lines = (await ran(example, address, "--limit", "1", folder=tmp_path)).splitlines()
    assert len(lines) == 2, lines
    assert lines[0].endswith("27000.1 1000.5 hole")
