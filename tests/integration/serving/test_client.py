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

import pytest
from records_of_a_market import bar, funding, gap, instrument, signal
from written import MINUTE, T0, candle, ticker, trade, write

from candlewick.client import ApiProblemError, Client
from market.candle import Status
from runtime.settings import Settings
from serving.server import ServeSettings, serving
from sinks.clickhouse.store import ClickHouseStore
from sinks.redis.store import RedisStore

ROOT = Path(__file__).parents[3]
MARKET = ("binance", "BTC-USDT")
DESCRIPTION = json.loads((ROOT / "docs" / "openapi.json").read_text())
COUNT = 5


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
    """Every method with every parameter; records in pages of two."""
    period = {"from_": T0, "until": T0 + 1000 * MINUTE, "limit": COUNT}
    with Client(address, page_records=2) as client:
        return {
            "candles": client.candles(*MARKET, timeframe="7m", from_=T0, until=T0 + 21 * MINUTE, limit=3).read(),
            "first": client.candles(*MARKET, revision="first", limit=2).read(),
            "trades": client.trades(*MARKET, limit=2),
            "tickers": client.tickers("binance", ["BTC-USDT", "ETH-USDT"]),
            "historical": list(client.historical(*MARKET, **period)),
            "signals": list(client.signals(*MARKET, **period)),
            "bars": list(client.bars(*MARKET, kind="dollar", threshold="1000000.5", **period)),
            "funding": list(client.funding(*MARKET, **period)),
            "gaps": list(client.gaps(*MARKET, **period)),
            "instruments": list(client.instruments("binance", limit=COUNT)),
            "exchanges": client.exchanges(),
            "coverage": client.coverage(*MARKET, from_=T0, until=T0 + 1440 * MINUTE),
            "of_candles": client.estimate(
                "candles", *MARKET, from_=T0, until=T0 + 20 * MINUTE, format="csv", timeframe="7m"
            ),
            "of_bars": client.estimate("bars", *MARKET, kind="dollar", threshold="1000000.5"),
            "pages": [page.coverage for page in client.historical(*MARKET, from_=T0, until=T0 + MINUTE).pages()],
            "health": client.health(),
        }  # fmt: skip


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
    assert [(day.date, day.minutes_present) for day in answers["coverage"].days] == [("2021-01-08", 19)]
    assert answers["health"].status == "ok"
    assert answers["of_candles"].rows >= 3
    assert answers["of_bars"].rows >= COUNT
    assert [coverage.present for coverage in answers["pages"]] == [2, 2, 1]


async def test_the_client_asks_every_path_and_parameter_that_the_interface_describes(filled: Settings) -> None:
    """Held by what the server was asked: its audit log."""
    async with served(filled) as address:
        await asyncio.to_thread(ask_everything, address)
    asked: dict[str, set[str]] = {}
    assert filled.audit is not None
    for line in map(json.loads, filled.audit.read_text().splitlines()):
        assert line["status"] == 200, line
        asked.setdefault(line["path"], set()).update(name for name, _ in parse_qsl(line["query"]))
    described = {
        path: {parameter["name"] for parameter in next(iter(methods.values())).get("parameters", ())}
        for path, methods in DESCRIPTION["paths"].items()
        if path.startswith("/v1/") and path != "/v1/analyze"
    }
    for path, names in described.items():
        if path != "/v1/estimate":
            names.discard("format")  # answers are JSON: the other forms are for other readers
    assert asked == described, "serving/client/client.py and this file's ask_everything have to follow the interface"


def test_the_client_s_analysis_has_every_member_of_its_body() -> None:
    taken = set(inspect.signature(Client.analyze).parameters) - {"self", "exchange"}
    members = set(DESCRIPTION["components"]["schemas"]["AnalysisBody"]["properties"])
    assert {{"from_": "from_ms", "until": "until_ms"}.get(name, name) for name in taken} == members - {"stream"}


async def test_a_name_that_nobody_has_comes_with_the_nearest(filled: Settings) -> None:
    async with served(filled) as address:
        with Client(address) as client, pytest.raises(ApiProblemError) as raised:
            await asyncio.to_thread(client.candles("binance", "BTCUSDT").read)
    assert (raised.value.status, raised.value.more["nearest"][0]["symbol"]) == (404, "BTC-USDT")


async def ran(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    return out.decode()


async def test_the_snippets_of_its_page_run_as_they_stand(filled: Settings) -> None:
    page = (ROOT / "docs" / "client.md").read_text()
    snippets = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(snippets) == 3
    async with served(filled) as address:
        told = [await ran("-c", snippet.replace("http://127.0.0.1:8080", address)) for snippet in snippets]
    assert all("27000.1" in text for text in told[:2]), told
    assert "404 Not Found: no tier has the market binance:BTCUSDT" in told[2]


async def test_the_example_prints_candles_and_how_complete_they_are(filled: Settings) -> None:
    async with served(filled) as address:
        lines = (await ran(str(ROOT / "examples" / "api_candles.py"), address, "--limit", "1")).splitlines()
    assert len(lines) == 2, lines
    assert lines[0].endswith("27000.1 1000.5 hole")
