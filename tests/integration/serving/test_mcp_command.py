"""``candlewick mcp`` as an assistant starts it: the protocol's own client, over a real server on a real store."""

import json
import sys
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from written import MINUTE, T0, candle, write

from market.candle import Status
from runtime.settings import Settings
from serving.access.key_file import change_keys
from serving.access.keys import ApiKey, RateTier, hash_of, key_text
from serving.server import ServeSettings, serving
from sinks.clickhouse.store import ClickHouseStore

KEY = key_text(b"k" * 32)


@pytest.fixture
async def filled(settings: Settings, tmp_path: Any) -> Settings:
    """Minutes 0 to 9 without 4; who asks needs a key, and ours is for candles of binance only."""
    minutes = [candle(minute, status=Status.HOLE if minute == 7 else Status.COMPLETE) for minute in range(10)]
    await write(ClickHouseStore(settings), settings.topics.candles(), minutes[:4] + minutes[5:])
    key = ApiKey(
        name="a", sha256=hash_of(KEY), tier=RateTier.FREE, exchanges=("binance",), datasets=("candles",), created_ms=1
    )
    change_keys(tmp_path / "keys.json", lambda ring: ring.with_key(key))
    return settings.model_copy(update={"keys": tmp_path / "keys.json", "anonymous": False})


async def test_an_assistant_asks_and_is_told_what_is_missing_and_what_it_may_not_see(
    filled: Settings, environment: dict[str, str]
) -> None:
    async with serving(filled, ServeSettings(port=0)) as (address, _):
        program = StdioServerParameters(
            command=sys.executable, args=["-m", "candlewick", "mcp"],
            env=environment | {"CANDLEWICK_API": address, "CANDLEWICK_API_KEY": KEY},
        )  # fmt: skip
        async with Client(program, read_timeout_seconds=60) as client:
            assert "candles" in {tool.name for tool in (await client.list_tools()).tools}
            asked = {"exchange": "binance", "symbol": "BTC-USDT", "timeframe": "5m"}
            told = await client.call_tool(
                "candles", asked | {"from_time": "2021-01-08", "until_time": str(T0 + 600_000)}
            )
            refused = await client.call_tool("signals", {"exchange": "binance", "symbol": "BTC-USDT"})
    answer = told.structured_content
    assert answer is not None
    assert not told.is_error
    table = answer["candles"]
    rows = [dict(zip(table["columns"], row, strict=True)) | table["same"] for row in table["rows"]]
    assert [(row["open_time_ms"], row["minutes_missing"], row["status"]) for row in rows] == [
        (T0, 1, "complete"), (T0 + 5 * MINUTE, None, "hole"),
    ]  # fmt: skip
    assert rows[1]["volume"] == "0.61728394506172839"
    assert (answer["coverage"]["minutes_expected"], answer["coverage"]["minutes_present"]) == (10, 9)
    assert answer["source"]["ranges"][0]["tier"] == "warm"
    assert refused.is_error
    assert "403 Forbidden: this API key is for candles only" in json.dumps(refused.model_dump(mode="json"))
