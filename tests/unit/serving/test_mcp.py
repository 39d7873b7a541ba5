"""What assistants are given: tools that change nothing, short tables, and the API's own sentences."""

from typing import Any

import orjson
import pytest
from mcp import Client
from scripted_http import Scripted, scripted
from written import T0, trade

from serving.client.connection import ApiConnection
from serving.mcp.server import build_mcp
from serving.mcp.tables import iso_time, shortened, tabled, time_ms

TOOLS = {
    "candles", "trades", "historical_trades", "tickers", "signals", "bars", "funding", "instruments", "exchanges",
    "coverage", "gaps", "estimate", "health",
}  # fmt: skip


def test_a_table_says_names_once_and_loses_nothing() -> None:
    records = [{"exchange": "okx", "price": "1.5", "note": None}, {"exchange": "okx", "price": "1.5", "seq": 3}]
    table = tabled(records)
    assert table == {
        "same": {"exchange": "okx", "price": "1.5", "note": None}, "columns": ["seq"], "rows": [[None], [3]],
    }  # fmt: skip
    assert tabled([]) == {"same": {}, "columns": [], "rows": []}
    assert tabled([{"a": 1}]) == {"same": {}, "columns": ["a"], "rows": [[1]]}


def test_what_the_api_tells_besides_records_is_handed_on_and_the_rest_is_told() -> None:
    answer = {"trades": [], "source": {"tier": "warm"}, "coverage": {"present": 1}, "next_cursor": "abc"}
    told = shortened(answer, "trades")
    assert (told["source"], told["coverage"]) == ({"tier": "warm"}, {"present": 1})
    assert told["rest"].endswith("cursor=abc")
    assert "rest" not in shortened(answer | {"next_cursor": None}, "trades")
    assert shortened({"candles": [], "next_from_ms": T0}, "candles")["rest"].endswith(
        "from_time=2021-01-08T00:00:00.000Z"
    )


@pytest.mark.parametrize(
    "text", ["2021-01-08T00:00Z", "2021-01-08", "2021-01-08T02:00+02:00", "2021-01-08 00:00:00", str(T0)]
)
def test_times_are_read_as_assistants_write_them(text: str) -> None:
    assert time_ms(text) == T0
    assert time_ms(iso_time(T0 + 1)) == T0 + 1


async def called(answers: list[Scripted], tool: str, **arguments: Any) -> tuple[bool, str, list[Any]]:
    """Whether it failed, its text, and the API's questions."""
    with scripted(answers) as (address, asked):
        connection = ApiConnection(address, key="cw_secret", wait_s=0, timeout_s=10)
        async with Client(build_mcp(connection)) as client:
            result = await client.call_tool(tool, arguments)
        connection.close()
    return bool(result.is_error), "".join(part.text for part in result.content if part.type == "text"), asked


async def test_every_tool_is_read_only_and_described() -> None:
    connection = ApiConnection("http://127.0.0.1:1", key=None, wait_s=0, timeout_s=1)
    async with Client(build_mcp(connection)) as client:
        tools = (await client.list_tools()).tools
        assert "missing" in (client.instructions or "")
    assert {tool.name for tool in tools} == TOOLS
    for tool in tools:
        assert tool.annotations is not None, tool.name
        assert tool.annotations.read_only_hint, tool.name
        assert len(tool.description or "") > 30, tool.name
        for name, schema in tool.input_schema.get("properties", {}).items():
            assert schema.get("description"), f"{tool.name}: {name}"


async def test_a_question_is_asked_with_times_in_milliseconds_and_answered_in_a_table() -> None:
    trades = [orjson.loads(trade(number)) for number in range(3)]
    answer = Scripted(200, {"trades": trades, "source": {"tier": "warm"}, "next_cursor": "n"})
    failed, text, asked = await called(
        [answer], "historical_trades", exchange="binance", symbol="BTC-USDT", from_time="2021-01-08", limit=3
    )
    assert not failed
    assert (asked[0].path, asked[0].query["from_ms"], asked[0].query["limit"]) == ("/v1/historical", str(T0), "3")
    table = orjson.loads(text)["trades"]
    assert table["same"]["price"] == "27000.1"
    assert [row[table["columns"].index("trade_id")] for row in table["rows"]] == ["0", "1", "2"]
    assert "cursor=n" in orjson.loads(text)["rest"]


async def test_an_estimate_is_handed_on_as_it_stands() -> None:
    told = {"rows": 3, "bytes": 75, "tiers": [], "restore": {"bytes": 0, "cost": "0"}, "one_stream": True}
    failed, text, asked = await called(
        [Scripted(200, told)], "estimate", of="bars", exchange="binance", symbol="BTC-USDT", kind="dollar",
        threshold="1000000", until_time="2021-01-08",
    )  # fmt: skip
    assert not failed
    assert orjson.loads(text) == told
    assert asked[0].path == "/v1/estimate"
    assert asked[0].query == {
        "of": "bars", "exchange": "binance", "symbol": "BTC-USDT", "kind": "dollar", "threshold": "1000000",
        "until_ms": str(T0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "arguments", "sentence"),
    [
        ([Scripted(404, {"title": "Not Found", "detail": "did you mean BTC-USDT?"})], {}, "did you mean BTC-USDT?"),
        ([], {"limit": 201}, "200"),
        ([], {"from_time": "yesterday"}, "from_time 'yesterday' is no time: give UTC, such as 2026-01-31T12:00Z"),
        ([Scripted(429, {"title": "T", "detail": "used up"}, {"Retry-After": "9"})], {}, "used up"),
    ],
)
async def test_what_goes_wrong_is_told_to_the_assistant(
    answers: list[Scripted], arguments: dict[str, Any], sentence: str
) -> None:
    failed, text, asked = await called(answers, "candles", exchange="binance", symbol="BTC-USDT", **arguments)
    assert failed
    assert sentence in text
    assert "secret" not in text
    assert len(asked) == len(answers)
