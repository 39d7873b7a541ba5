"""The simulator over its sockets: streams, requests, REST, faults, and its own record."""

import asyncio
import itertools
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from eventually import eventually
from simulator_client import PAST_US, SYMBOLS, closed, events, simulator

from producers.simulator.faults import Faults
from runtime.errors import UsageError

DATA = Path(__file__).parents[1] / "data"
HOUR_US = 3_600_000_000
STREAMS = "btcusdt@trade/ethusdt@trade/btcusdt@kline_1s"


def from_minute(minutes: int) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["E"] >= PAST_US // 1_000 + minutes * 60_000


async def test_a_combined_stream_carries_every_trade_of_the_record_and_server_time_each_second() -> None:
    async with simulator() as client, client.stream(f"/stream?streams={STREAMS}") as socket:
        found = await events(socket, from_minute(4))
        assert all(set(event) == {"stream", "data"} for event in found)
        datas = [event["data"] for event in found]
        assert [data["E"] for data in datas] == sorted(data["E"] for data in datas)
        ends = [data["E"] for data in datas if data["e"] == "kline"]
        assert ends == list(range(ends[0], ends[-1] + 1, 1_000))
        for symbol in ("BTCUSDT", "ETHUSDT"):
            sent = [data for data in datas if data["e"] == "trade" and data["s"] == symbol]
            until_us = (sent[-1]["T"] + 1) * 1_000
            record = await client.record(symbol, from_us=sent[0]["T"] * 1_000, until_us=until_us)
            as_recorded = [[str(e["t"]), e["p"], e["q"], f"{e['T']}000", json.dumps(e["m"])] for e in sent]
            known = [row for row in record if int(row[0]) <= sent[-1]["t"] and int(row[0]) >= sent[0]["t"]]
            assert as_recorded == known
            assert len(known) > 100


async def test_raw_streams_aggregates_and_microseconds() -> None:
    async with simulator() as client, client.stream("/ws/btcusdt@aggTrade?timeUnit=MICROSECOND") as socket:
        found = await events(socket, lambda event: event["E"] >= PAST_US + 120_000_000)
        assert {event["e"] for event in found} == {"aggTrade"}
        assert [event["a"] for event in found] == list(range(found[0]["a"], found[0]["a"] + len(found)))
        assert all(later["f"] == earlier["l"] + 1 for earlier, later in itertools.pairwise(found))
        rows = await client.get("/api/v3/aggTrades", symbol="BTCUSDT", fromId=found[0]["a"], limit=50)
        assert [[row[name] for name in "apqflm"] for row in rows] == [
            [event[name] for name in "apqflm"] for event in found[:50]
        ]
        assert [row["T"] * 1_000 for row in rows] == [event["T"] for event in found[:50]]


async def test_streams_are_subscribed_listed_and_left_by_request() -> None:
    async with simulator() as client, client.stream("/stream") as socket:

        async def ask(**request: Any) -> Any:
            await socket.send_json(request)
            return (await events(socket, lambda event: "stream" not in event and "e" not in event))[-1]

        assert await ask(method="SUBSCRIBE", params=["btcusdt@trade", "nobody@depth"], id=1) == {
            "result": None,
            "id": 1,
        }
        assert await ask(method="LIST_SUBSCRIPTIONS", id=2) == {"result": ["btcusdt@trade", "nobody@depth"], "id": 2}
        assert (await events(socket, lambda event: event.get("e") == "trade"))[-1]["stream"] == "btcusdt@trade"
        assert await ask(method="UNSUBSCRIBE", params=["btcusdt@trade"], id="three") == {"result": None, "id": "three"}
        assert await ask(method="GET_PROPERTY", params=["combined"], id=4) == {"result": True, "id": 4}


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("{", 3, "Invalid JSON"),
        ('{"id":1}', 2, "missing field `method`"),
        ('{"method":"LISTEN","id":1}', 2, "unknown variant `LISTEN`"),
        ('{"method":"SUBSCRIBE","params":["a@trade"]}', 2, "request ID must be an unsigned integer"),
        ('{"method":"SUBSCRIBE","params":["a@trade"],"id":1.5}', 2, "request ID must be an unsigned integer"),
        ('{"method":"SET_PROPERTY","params":["colour",true],"id":1}', 0, "Unknown property"),
        ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}', 1, "expected Boolean"),
    ],
)
async def test_a_wrong_request_is_answered_with_binances_code(text: str, code: int, message: str) -> None:
    async with simulator() as client, client.stream("/ws") as socket:
        await socket.send_str(text)
        answer = await asyncio.wait_for(socket.receive_json(), 5)
        assert answer["code"] == code
        assert message in answer["msg"]


async def test_1024_streams_fit_into_one_url_and_one_more_is_refused() -> None:
    many = [f"sim{number:04d}usdt@trade" for number in range(1_024)]
    async with simulator() as client:
        async with client.stream("/stream?streams=" + "/".join(many)) as socket:
            await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
            assert (await asyncio.wait_for(socket.receive_json(), 5))["code"] == 2
        async with client.stream("/stream?streams=" + "/".join([*many, "btcusdt@trade"])) as socket:
            assert await closed(socket) == 1008


async def test_six_messages_in_a_second_end_the_connection() -> None:
    async with simulator() as client, client.stream("/ws") as socket:
        for number in range(6):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        assert await closed(socket) == 1008


async def test_a_client_without_pongs_is_let_go_and_one_with_them_stays() -> None:
    async with (
        simulator(ping_s=0.2, pong_s=0.6) as client,
        client.stream("/ws/btcusdt@trade") as alive,
        client.stream("/ws/btcusdt@trade", autoping=False) as dead,
    ):
        reading = asyncio.ensure_future(events(alive, from_minute(4)))
        assert await closed(dead) == 1001
        await reading


async def test_a_connection_has_a_life() -> None:
    async with simulator(life_s=0.2) as client, client.stream("/ws/btcusdt@trade") as socket:
        assert await closed(socket) == 1001


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    async with simulator(symbols=SYMBOLS[:2], speed=1_000.0, send_buffer_bytes=10_000) as client:
        host, port = client.address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1_024)
        writer.write(
            f"GET /stream?streams={STREAMS} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        await reader.readline()

        async def cut_off() -> bool:
            return (await client.get("/sim/now"))["faults_done"].get("slow_consumers") == 1

        await eventually(cut_off, timeout_s=30)
        assert (await client.get("/sim/now"))["connections"] == 0
        writer.close()


async def test_history_over_rest_joins_to_the_record() -> None:
    async with simulator(start_us=PAST_US + HOUR_US) as client:
        record = await client.record("ETHUSDT", from_us=PAST_US, until_us=PAST_US + HOUR_US // 6)
        found: list[Any] = []
        while len(found) < len(record):
            found += await client.get(
                "/api/v3/historicalTrades", symbol="ETHUSDT", fromId=int(record[0][0]) + len(found), limit=1_000
            )
        assert [
            [str(row["id"]), row["price"], row["qty"], f"{row['time']}000", json.dumps(row["isBuyerMaker"])]
            for row in found[: len(record)]
        ] == record
        assert all(
            Decimal(row["quoteQty"]) == Decimal(row["price"]) * Decimal(row["qty"]) and row["isBestMatch"] is True
            for row in found
        )
        assert await client.get("/api/v3/historicalTrades", symbol="ETHUSDT", fromId=found[-1]["id"] + 10**9) == []
        newest = await client.get("/api/v3/trades", symbol="ETHUSDT", limit=2)
        assert newest[1]["id"] == newest[0]["id"] + 1


@pytest.mark.parametrize(("symbol", "interval", "length_ms"), [("XRPETH", "1m", 60_000), ("BTCUSDT", "5m", 300_000)])
async def test_klines_equal_the_record_and_empty_ones_are_flat(symbol: str, interval: str, length_ms: int) -> None:
    start_ms = PAST_US // 1_000 // length_ms * length_ms
    async with simulator(start_us=PAST_US + HOUR_US) as client:
        rows = await client.get("/api/v3/klines", symbol=symbol, interval=interval, startTime=start_ms, limit=10)
        assert [row[0] for row in rows] == list(range(start_ms, start_ms + 10 * length_ms, length_ms))
        before = await client.get("/api/v3/klines", symbol=symbol, interval="1m", endTime=start_ms - 1, limit=1)
        close = before[0][4]
        for row in rows:
            trades = await client.record(symbol, from_us=row[0] * 1_000, until_us=(row[0] + length_ms) * 1_000)
            prices = [Decimal(trade[1]) for trade in trades] or [Decimal(close)]
            bought = [trade for trade in trades if trade[4] == "false"]
            volumes = [sum((Decimal(trade[2]) for trade in some), Decimal(0)) for some in (trades, bought)]
            quotes = [
                sum((Decimal(trade[1]) * Decimal(trade[2]) for trade in some), Decimal(0)) for some in (trades, bought)
            ]
            assert [Decimal(value) for value in row] == [
                row[0], prices[0], max(prices), min(prices), prices[-1], volumes[0], row[0] + length_ms - 1, quotes[0],
                len(trades), volumes[1], quotes[1], 0,
            ]  # fmt: skip
            close = row[4]


async def test_rest_says_what_is_wrong_and_counts_its_weights() -> None:
    async with simulator() as client:
        for path, code in (
            ("klines?symbol=NOPE&interval=1m", -1121),
            ("klines?symbol=BTCUSDT&interval=7m", -1120),
            ("klines?symbol=BTCUSDT", -1102),
            ("historicalTrades", -1102),
            ("historicalTrades?symbol=BTCUSDT&fromId=x", -1100),
            ("aggTrades?symbol=BTCUSDT&fromId=1&startTime=1", -1128),
            ("exchangeInfo?symbol=NOPE", -1121),
        ):
            assert (await client.get("/api/v3/" + path, status=400))["code"] == code
        _, before = await client.headers("/api/v3/ping")
        _, after = await client.headers("/api/v3/historicalTrades?symbol=BTCUSDT")
        used = [int(headers["X-MBX-USED-WEIGHT-1M"]) for headers in (before, after)]
        assert used[1] - used[0] == 25 or used[1] == 25  # or a new minute has begun
        info = await client.get("/api/v3/exchangeInfo", symbols='["XRPETH","BTCUSDT"]')
        assert [(one["baseAsset"], one["quoteAsset"]) for one in info["symbols"]] == [("XRP", "ETH"), ("BTC", "USDT")]
        assert (await client.get("/api/v3/time"))["serverTime"] >= PAST_US // 1_000


async def test_withheld_ids_come_neither_by_stream_nor_by_rest_nor_in_the_record() -> None:
    async with simulator(speed=60.0) as client, client.stream("/ws/btcusdt@trade") as socket:
        await events(socket, lambda _: True)
        hole = (await client.faults(withhold="BTCUSDT:3"))["withheld"][0]
        missing = set(range(hole["first_id"], hole["last_id"] + 1))
        found = await events(socket, lambda event: event["t"] > hole["last_id"] + 5)
        assert len(missing) == 3
        assert not missing & {event["t"] for event in found}
        rows = await client.get("/api/v3/historicalTrades", symbol="BTCUSDT", fromId=hole["first_id"] - 2, limit=100)
        assert [row["id"] for row in rows] == [hole["first_id"] - 2, hole["first_id"] - 1]
        refused = await client.get("/api/v3/historicalTrades", status=500, symbol="BTCUSDT", fromId=hole["first_id"])
        assert refused["code"] == -1001
        ids = {int(row[0]) for row in await client.record("BTCUSDT")}
        assert not missing & ids
        assert {hole["first_id"] - 1, hole["last_id"] + 1} <= ids


async def test_what_a_short_history_refuses_is_told_as_an_exception_until_it_is_carried() -> None:
    async with simulator(start_us=PAST_US + HOUR_US, faults=Faults(short_history=60)) as client:
        record = await client.record("ETHUSDT", from_us=PAST_US, until_us=PAST_US + HOUR_US // 2)
        first, last = int(record[0][0]), int(record[-1][0])
        page = await client.get("/api/v3/historicalTrades", symbol="ETHUSDT", fromId=first, limit=1_000)
        assert page[0]["id"] > last
        assert await client.exceptions("ETHUSDT", from_us=PAST_US, until_us=PAST_US + HOUR_US // 2) == [
            [*row, "refused"] for row in record
        ]
        assert not await client.exceptions("BTCUSDT", from_us=PAST_US, until_us=PAST_US + HOUR_US // 2)


async def test_a_client_that_was_away_is_refused_what_it_missed_and_nothing_else() -> None:
    async with simulator(speed=60.0, faults=Faults(short_history=1)) as client:
        async with client.stream("/ws/btcusdt@trade") as socket:
            before = (await events(socket, lambda event: event["E"] >= PAST_US // 1_000 + 5_000))[-1]["t"]
        async with client.stream("/ws/btcusdt@trade") as socket:
            first = (await events(socket, lambda event: event["t"] > before + 300))[0]["t"]
            page = await client.get("/api/v3/historicalTrades", symbol="BTCUSDT", fromId=before, limit=1_000)
            assert page[0]["id"] > before
            refused = [int(row[0]) for row in await client.exceptions("BTCUSDT") if row[-1] == "refused"]
            assert refused == list(range(before, first))


async def test_ids_are_jumped_spoiled_lacking_and_retold_on_request_and_remembered() -> None:
    async with simulator(speed=60.0) as client, client.stream("/ws/btcusdt@trade") as socket:
        newest = (await events(socket, lambda _: True))[-1]["t"]
        spans = {
            name: (newest + 300 * at, newest + 300 * at + 2)
            for at, name in enumerate(("jump", "spoil", "lack", "retell"), start=1)
        }
        told = await client.faults(**{name: f"BTCUSDT:{ids[0]}-{ids[1]}" for name, ids in spans.items()})
        fates = {"jump": "jumped", "spoil": "spoiled", "lack": "lacking", "retell": "retold"}
        assert set(told["memory"]) == {f"{fates[name]}:BTCUSDT:{first}-{last}" for name, (first, last) in spans.items()}
        found = {event["t"]: event for event in await events(socket, lambda event: event["t"] > newest + 1_210)}
        rows = {
            row["id"]: row
            for first, last in spans.values()
            for row in await client.get("/api/v3/historicalTrades", symbol="BTCUSDT", fromId=first - 1, limit=5)
        }
        ids = {name: set(range(first, last + 1)) for name, (first, last) in spans.items()}
        assert not ids["jump"] & (found.keys() | rows.keys())
        assert ids["lack"] <= found.keys()
        assert not ids["lack"] & rows.keys()
        for number in ids["spoil"]:
            assert [float(found[number]["p"]) * float(found[number]["q"]), float(rows[number]["qty"])].count(0) >= 1
        assert all(Decimal(rows[number]["price"]) > Decimal(found[number]["p"]) for number in ids["retell"])
        exceptions = await client.exceptions("BTCUSDT")
        assert {(int(row[0]), row[-1]) for row in exceptions} == {
            *((number, "spoiled") for number in ids["spoil"]),
            *((number, "retold") for number in ids["retell"]),
        }
        recorded = {int(row[0]) for row in await client.record("BTCUSDT")}
        assert not recorded & (ids["jump"] | ids["spoil"])
        assert ids["lack"] | ids["retell"] <= recorded
        async with simulator(start_us=PAST_US + HOUR_US) as other:
            assert (await other.faults(memory=told["memory"]))["memory"] == told["memory"]
            until_us = int(exceptions[-1][3]) + 1
            again = await other.exceptions("BTCUSDT", from_us=PAST_US, until_us=until_us)
            assert again == [row for row in exceptions if int(row[3]) < until_us]
            assert "error" in await other.faults(status=400, memory=["lost:BTCUSDT:1-2"])


async def test_ids_begin_anew_on_request() -> None:
    async with simulator(speed=60.0, symbols=("BTCUSDT",)) as client, client.stream("/ws/btcusdt@trade") as socket:
        before = (await events(socket, lambda _: True))[-1]["t"]
        told = await client.faults(now="reset")
        found = [event["t"] for event in await events(socket, lambda event: event["t"] < before)]
        first, newest = found[-1], found[-2] if len(found) > 1 else before
        assert found[:-1] == list(range(before + 1, newest + 1))
        assert first == newest // 2 + 1
        assert told["memory"] == [f"reset:BTCUSDT:{newest + 1}-{newest + 1 - first}"]
        page = await client.get("/api/v3/historicalTrades", symbol="BTCUSDT", fromId=first - 5, limit=1)
        assert page[0]["id"] == first
        assert await client.get("/api/v3/historicalTrades", symbol="BTCUSDT", fromId=newest) == []


async def test_a_dropped_connection_ends_and_a_new_one_goes_on() -> None:
    async with simulator() as client:
        async with client.stream("/ws/btcusdt@trade") as socket:
            await events(socket, lambda _: True)
            await client.faults(now="drop")
            await closed(socket)
        async with client.stream("/ws/btcusdt@trade") as socket:
            await events(socket, lambda _: True)
        assert (await client.get("/sim/faults"))["done"]["drop"] == 1
        await client.faults(now="drop", drop_for_s=60)
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await client.stream("/ws/btcusdt@trade")


async def test_a_shutdown_is_announced_before_the_connection_closes() -> None:
    async with simulator() as client, client.stream("/stream?streams=btcusdt@trade") as socket:
        await client.faults(now="shutdown", shutdown_grace_s=0.2)
        found = await events(socket, lambda event: event["e"] == "serverShutdown")
        assert found[-1]["stream"] == "!serverShutdown"
        assert await closed(socket) == 1001


async def test_a_stall_holds_messages_back_and_loses_none() -> None:
    async with simulator(speed=60.0) as client, client.stream("/ws/btcusdt@trade") as socket:
        first = (await events(socket, lambda _: True))[-1]["t"]
        await client.faults(now="stall", stall_s=0.5)
        sent = (await client.get("/sim/now"))["messages_sent"]
        ids = [event["t"] for event in await events(socket, lambda event: event["t"] > first + 300)]
        assert ids == list(range(first + 1, first + 1 + len(ids)))
        assert (await client.get("/sim/now"))["messages_sent"] > sent


async def test_refusals_on_request_end_by_themselves() -> None:
    async with simulator() as client:
        await client.faults(now="rest_429", rest_429_s=0.5)
        status, headers = await client.headers("/api/v3/ping")
        assert (status, headers["Retry-After"]) == (429, "1")

        async def answered() -> bool:
            return (await client.headers("/api/v3/ping"))[0] == 200

        await eventually(answered)
        assert "error" in await client.faults(status=400, now="explode")
        assert "error" in await client.faults(status=400, skip=2)


async def test_skipped_messages_are_gaps_in_the_stream_that_rest_can_fill() -> None:
    faults = Faults(skip=0.05, duplicate=0.05, reorder=0.05, delay=0.05, delay_ms=100)
    async with simulator(faults=faults) as client, client.stream("/ws/btcusdt@trade") as socket:
        found = await events(socket, from_minute(8))
        ids = [event["t"] for event in found]
        missing = set(range(min(ids), max(ids) + 1)) - set(ids)
        assert missing
        assert len(ids) > len(set(ids))
        assert ids != sorted(ids)
        some = min(missing)
        rows = await client.get("/api/v3/historicalTrades", symbol="BTCUSDT", fromId=some, limit=1)
        assert rows[0]["id"] == some


async def test_a_recording_is_replayed_from_its_first_trade() -> None:
    recording = DATA / "BTCUSDT-trades-2021-01-08-head.csv"
    options = {"symbols": ("BTCUSDT",), "start_us": None, "recording": recording, "speed": 10.0}
    async with simulator(**options) as client, client.stream("/ws/btcusdt@trade") as socket:
        found = await events(socket, lambda event: event["t"] == 553287600)
        ids = [event["t"] for event in found]
        assert ids == list(range(ids[0], 553287601))
        lines = recording.read_text().splitlines()
        assert [f"{e['t']},{e['p']},{e['q']}" for e in found] == [
            ",".join(line.split(",")[:3]) for line in lines[ids[0] - 553287559 : 553287601 - 553287559]
        ]


async def test_a_port_in_use_is_told_in_a_sentence() -> None:
    async with simulator() as client:
        port = int(client.address.rsplit(":", 1)[1])
        with pytest.raises(UsageError, match=f"{port}.*--port"):
            async with simulator(port=port):
                pass
