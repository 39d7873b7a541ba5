"""Six protocols over the same markets: a plain client of each gets the trades of the record, by stream and by REST."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from simulator_client import PAST_US, Client, closed, simulator
from spoken import BINANCE_USDM, BYBIT, COINBASE, KRAKEN, OKX, SPOKEN, Row, Spoken, loads, recorded

from producers.simulator.faults import Faults
from producers.simulator.protocols.coinbase import CoinbaseProtocol
from producers.simulator.protocols.texts import iso_us

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT")
MINUTE_US = 60_000_000
FAST = 400.0
PATIENCE_S = 30.0

each_protocol = pytest.mark.parametrize("spoken", SPOKEN, ids=[spoken.name for spoken in SPOKEN])


async def next_frame(socket: aiohttp.ClientWebSocketResponse) -> Any:
    return loads(await asyncio.wait_for(socket.receive_str(), 10))


async def frames_until(socket: aiohttp.ClientWebSocketResponse, enough: Callable[[Any], bool]) -> list[Any]:
    frames = [await next_frame(socket)]
    while not enough(frames[-1]):
        frames.append(await next_frame(socket))
    return frames


class Stream:
    """A connection whose frames have been taken until `until_us` of market time."""

    def __init__(self, spoken: Spoken, frames: list[Any]) -> None:
        self.frames = frames
        self.rows = [row for frame in frames for row in spoken.trades(frame)]
        self.acknowledged = {name for frame in frames for name in spoken.acknowledged(frame)}

    def of(self, symbol: str) -> list[Row]:
        return [row for row in self.rows if row.symbol == symbol]


async def listen(
    client: Client, spoken: Spoken, symbols: tuple[str, ...], *, for_s: float = 0.2, market_s: float = 60.0
) -> Stream:
    """What a connection carries for `for_s` of the wall clock, and on until its trades span `market_s`."""
    frames, times_us = [], [0]
    async with client.stream(spoken.path(symbols)) as socket:
        for text in spoken.frames(symbols):
            await socket.send_str(text)
        began_s = asyncio.get_running_loop().time()
        while (passed_s := asyncio.get_running_loop().time() - began_s) < PATIENCE_S:
            if passed_s > for_s and times_us[-1] - times_us[:2][-1] >= market_s * 1_000_000:
                break
            try:
                frames.append(loads(await asyncio.wait_for(socket.receive_str(), 0.05)))
                times_us += [row.time_us for row in spoken.trades(frames[-1])]
            except TimeoutError:
                continue
    return Stream(spoken, frames)


async def record(client: Client, spoken: Spoken, symbol: str, **span: Any) -> list[Row]:
    return [recorded(symbol, cells) for cells in await client.record(symbol, **spoken.record, **span)]


@each_protocol
async def test_a_stream_carries_every_trade_of_the_record_and_the_clock(spoken: Spoken) -> None:
    symbols = SYMBOLS[:2]
    async with simulator(symbols=symbols, speed=FAST) as client:
        stream = await listen(client, spoken, symbols, market_s=150)
        for symbol in symbols:
            rows = stream.of(symbol)
            truth = await record(client, spoken, symbol, until_us=rows[-1].time_us + 1)
            begin = truth.index(rows[0])
            assert rows == truth[begin : begin + len(rows)]
            assert len(rows) > 50
        if spoken in {COINBASE, KRAKEN, OKX}:  # the others do not say which
            assert stream.acknowledged == {spoken.native(symbol) for symbol in symbols}
        clocks_us = [clock_us for frame in stream.frames if (clock_us := spoken.clock_us(frame)) is not None]
        assert clocks_us == sorted(clocks_us)
        if spoken is KRAKEN:  # it carries its clock in answers to pings only
            assert len(clocks_us) == 1
            assert sum(frame.get("channel") == "heartbeat" for frame in stream.frames) > 60
        else:
            assert len({clock_us // 1_000_000 for clock_us in clocks_us}) > 60


@each_protocol
async def test_pages_over_rest_join_to_the_record(spoken: Spoken) -> None:
    async with simulator(symbols=SYMBOLS[:1], start_us=PAST_US + 60 * MINUTE_US, speed=1.0) as client:
        truth = await record(client, spoken, "BTCUSDT", from_us=PAST_US + 40 * MINUTE_US)
        newest = spoken.read_page("BTCUSDT", (await client.body(spoken.newest("BTCUSDT")))[1])
        truth_now = await record(client, spoken, "BTCUSDT", from_us=PAST_US + 40 * MINUTE_US)
        end = truth_now.index(newest[-1]) + 1
        assert newest == truth_now[end - len(newest) : end]
        assert len(newest) >= {OKX.name: 100, BYBIT.name: 60}.get(spoken.name, 1_000)
        if spoken.from_known is None:
            return
        taken = [truth[10]]
        while len(taken) < 500:
            page = spoken.read_page("BTCUSDT", (await client.body(spoken.from_known("BTCUSDT", taken[-1])))[1])
            known = page.index(taken[-1])
            assert len(page) > known + 1
            taken += page[known + 1 :]
        assert taken == truth[10 : 10 + len(taken)]


@each_protocol
async def test_klines_are_those_of_the_record_and_lag_on_request(spoken: Spoken) -> None:
    async with simulator(symbols=SYMBOLS[:1], start_us=PAST_US + 3 * MINUTE_US, speed=1.0) as client:
        rows = await record(client, spoken, "BTCUSDT", from_us=PAST_US)

        async def kline_of(minute: int) -> list[Decimal] | None:
            klines = dict(spoken.read_klines((await client.body(spoken.klines("BTCUSDT")))[1]))
            return klines.get((PAST_US + minute * MINUTE_US) // 1_000)

        for minute in (1, 2):
            begin_us = PAST_US + minute * MINUTE_US
            within = [row for row in rows if begin_us <= row.time_us < begin_us + MINUTE_US]
            prices = [row.price for row in within]
            volume = sum(row.qty for row in within)
            assert await kline_of(minute) == [prices[0], max(prices), min(prices), prices[-1], volume]
        whole = await kline_of(2)
        await client.faults(kline_lag_s=30)
        lagging = await kline_of(2)
        assert whole is not None
        assert lagging is not None
        assert lagging[-1] < whole[-1]


@pytest.mark.parametrize("spoken", [COINBASE, KRAKEN, OKX, BYBIT], ids=lambda spoken: spoken.name)
async def test_an_unknown_symbol_is_refused(spoken: Spoken) -> None:
    async with simulator(symbols=SYMBOLS[:1]) as client, client.stream(spoken.path(["NOBTC"])) as socket:
        for text in spoken.frames(["NOBTC"]):
            await socket.send_str(text)
        assert spoken.rejects((await frames_until(socket, spoken.rejects))[-1])
    async with simulator(symbols=SYMBOLS[:1]) as client:
        status, body = await client.body(spoken.newest("NOBTC"))
        assert (status, not loads(body).get("data")) in {(404, True), (200, True)}


@pytest.mark.parametrize(
    ("path", "sent", "answer"),
    [
        ("/ws/v5/business", "ping", "pong"),
        ("/v5/public/spot", '{"op":"ping","req_id":"9"}', '"ret_msg":"pong","conn_id"'),
        ("/", "{", '"message":"Malformed JSON"'),
        ("/ws/v5/business", "{", '"code":"60012"'),
        ("/v5/public/spot", json.dumps({"op": "subscribe", "args": ["tickers.BTCUSDT"] * 11}), "args size >10"),
        ("/v2", "[]", '"success":false'),
    ],
)
async def test_a_message_is_answered_in_the_protocols_words(path: str, sent: str, answer: str) -> None:
    async with simulator(symbols=SYMBOLS[:1]) as client, client.stream(path) as socket:
        await socket.send_str(sent)
        texts = [await asyncio.wait_for(socket.receive_str(), 5)]
        if '"channel":"status"' in texts[0]:
            texts.append(await asyncio.wait_for(socket.receive_str(), 5))
        assert answer in texts[-1]


async def test_coinbase_and_kraken_begin_with_trades_of_before() -> None:
    async with simulator(symbols=SYMBOLS[:1], speed=1.0) as client:
        async with client.stream("/") as socket:
            await socket.send_str(COINBASE.frames(["BTCUSDT"])[0])
            last = (await frames_until(socket, lambda frame: frame["type"] == "last_match"))[-1]
        async with client.stream("/v2") as socket:
            await socket.send_str('{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USDT"]}}')
            snapshot = (await frames_until(socket, lambda frame: frame.get("type") == "snapshot"))[-1]
        ids = [row[0] for row in await client.record("BTCUSDT", from_us=PAST_US - 10 * MINUTE_US)]
        assert str(last["trade_id"]) in ids[-5:]
        told = [str(row["trade_id"]) for row in snapshot["data"]]
        assert told == ids[ids.index(told[0]) :][:50]


async def test_coinbase_ends_a_connection_that_does_not_subscribe(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = CoinbaseProtocol.connection_limits._replace(first_message_within_s=0.1)
    monkeypatch.setattr(CoinbaseProtocol, "connection_limits", limits)
    async with simulator(symbols=SYMBOLS[:1]) as client, client.stream("/") as socket:
        assert await closed(socket) == 1008


@each_protocol
async def test_a_silent_connection_acknowledges_all_and_carries_nothing_of_some(spoken: Spoken) -> None:
    carried = []
    async with simulator(symbols=SYMBOLS, speed=FAST, faults=Faults(silent=1)) as client:
        for _ in range(3):
            stream = await listen(client, spoken, SYMBOLS, for_s=0.3, market_s=0)
            assert not [frame for frame in stream.frames if spoken.rejects(frame)]
            assert len(stream.acknowledged) in {0, len(SYMBOLS)}  # some say of no symbol that it is taken
            carried.append({row.symbol for row in stream.rows})
        assert all(symbols < set(SYMBOLS) for symbols in carried)
        assert set() in carried or len(set(map(frozenset, carried))) > 1
        done = (await client.get("/sim/faults"))["done"]
        assert 0 < done["silenced"] <= sum(len(SYMBOLS) - len(symbols) for symbols in carried)
        await client.faults(silent=0)
        stream = await listen(client, spoken, SYMBOLS, market_s=300)
        assert {row.symbol for row in stream.rows} == set(SYMBOLS)


@each_protocol
async def test_a_partial_subscription_is_acknowledged_for_what_it_carries(spoken: Spoken) -> None:
    async with simulator(symbols=SYMBOLS, speed=FAST, faults=Faults(partial=1)) as client:
        stream = await listen(client, spoken, SYMBOLS, market_s=150)
        carried = {row.symbol for row in stream.rows}
        assert 0 < len(carried) < len(SYMBOLS)
        assert not [frame for frame in stream.frames if spoken.rejects(frame)]
        assert stream.acknowledged in ({spoken.native(symbol) for symbol in carried}, set())
        assert (await client.get("/sim/faults"))["done"]["left_out"] == len(SYMBOLS) - len(carried)


@each_protocol
async def test_rest_answers_with_a_web_page_refusals_and_503_on_request(spoken: Spoken) -> None:
    async with simulator(symbols=SYMBOLS[:1], faults=Faults(html=1)) as client:
        answers = [await client.body(spoken.newest("BTCUSDT")) for _ in range(8)]
        assert {status for status, _ in answers} == {200, 502}
        assert all(body.startswith(b"<!DOCTYPE html>") for _, body in answers)
        await client.faults(html=0, now="rest_429", rest_429_s=60)
        status, body = await client.body(spoken.newest("BTCUSDT"))
        assert status == 429 or b"Rate limit" in body or b"Rate Limit" in body
        async with client.stream(spoken.path(SYMBOLS[:1])) as socket:
            await client.faults(now="maintenance", maintenance_for_s=0.5)
            await closed(socket)
        assert (await client.body(spoken.newest("BTCUSDT")))[0] == 503
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await client.stream(spoken.path(SYMBOLS[:1]))
        await asyncio.sleep(0.5)
        assert (await listen(client, spoken, SYMBOLS[:1], market_s=0.5)).rows


@each_protocol
async def test_trades_are_skipped_doubled_spoiled_and_swapped_and_nothing_else_is_invented(spoken: Spoken) -> None:
    faults = Faults(skip=0.1, duplicate=0.1, reorder=0.1, zero=0.1)
    async with simulator(symbols=SYMBOLS[:1], speed=FAST, faults=faults) as client:
        rows = (await listen(client, spoken, SYMBOLS[:1], market_s=240)).rows
        truth = {row.trade_id: row for row in await record(client, spoken, "BTCUSDT")}
        zeros = [row for row in rows if not row.price * row.qty]
        assert zeros
        assert all(row == truth[row.trade_id] for row in rows if row.price * row.qty)
        assert all(row.time_us == truth[row.trade_id].time_us for row in zeros)
        ids = [row.trade_id for row in rows]
        places = {trade_id: place for place, trade_id in enumerate(truth)}
        first, last = min(map(places.__getitem__, ids)), max(map(places.__getitem__, ids))
        assert len(set(ids)) < last - first + 1
        assert len(ids) > len(set(ids))
        assert ids != sorted(ids, key=places.__getitem__)


@each_protocol
async def test_a_clock_is_three_seconds_off_for_a_while(spoken: Spoken) -> None:
    async with simulator(symbols=SYMBOLS[:1], speed=2.0) as client:
        await client.faults(now="clock", clock_s=3, clock_for_s=60)
        began_us = (await client.get("/sim/now"))["now_us"]
        stream = await listen(client, spoken, SYMBOLS[:1], for_s=1.2, market_s=0.5)
        now_us = (await client.get("/sim/now"))["now_us"]
        clocks_us = [clock_us for frame in stream.frames if (clock_us := spoken.clock_us(frame)) is not None]
        assert began_us + 2_500_000 < min(clocks_us) < began_us + 6_000_000
        assert max(clocks_us) <= now_us + 3_000_000
        assert max(row.time_us for row in stream.rows) <= now_us


async def test_ids_of_usd_m_have_fates_of_their_own() -> None:
    async with simulator(symbols=SYMBOLS[:1], start_us=PAST_US + 60 * MINUTE_US, speed=1.0) as client:
        before = await record(client, BINANCE_USDM, "BTCUSDT", from_us=PAST_US)
        hidden = {row.trade_id for row in before[20:23]}
        first, last = before[20].trade_id, before[22].trade_id
        await client.faults(withhold=f"BTCUSDT_PERP:{first}-{last}")
        after = await record(client, BINANCE_USDM, "BTCUSDT", from_us=PAST_US)
        assert {row.trade_id for row in before} - {row.trade_id for row in after} == hidden
        assert BINANCE_USDM.from_known is not None
        page = BINANCE_USDM.read_page("BTCUSDT", (await client.body(BINANCE_USDM.from_known("BTCUSDT", before[10])))[1])
        assert page == before[10:20]
        assert (await client.body(BINANCE_USDM.from_known("BTCUSDT", before[20])))[0] == 500
        assert f"withheld:BTCUSDT_PERP:{first}-{last}" in (await client.get("/sim/faults"))["memory"]


async def test_usd_m_aggregates_are_the_trades_of_spot_summed() -> None:
    async with simulator(symbols=SYMBOLS[:1], start_us=PAST_US + 10 * MINUTE_US, speed=1.0) as client:
        spot = {row[0]: row for row in await client.record("BTCUSDT", from_us=PAST_US)}
        rows = await client.get("/fapi/v1/aggTrades", symbol="BTCUSDT", startTime=PAST_US // 1_000, limit=50)
        assert [row["a"] for row in rows] == list(range(rows[0]["a"], rows[0]["a"] + 50))
        for row in rows:
            fills = [spot[str(number)] for number in range(row["f"], row["l"] + 1)]
            assert Decimal(row["q"]) == sum(Decimal(fill[2]) for fill in fills)
            assert {Decimal(fill[1]) for fill in fills} == {Decimal(row["p"])}
        assert rows[-1]["l"] - rows[0]["f"] + 1 > 50


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_618_677_810_244, "2021-04-17T16:43:30.244000Z"),
        (-1, "1969-12-31T23:59:59.999000Z"),
        (2**63 - 1, "292278994-08-17T07:12:55.807000Z"),
    ],
)
def test_times_are_written_up_to_the_limits_of_64_bits(time_ms: int, text: str) -> None:
    assert iso_us(time_ms) == text


async def test_okx_has_the_candles_of_btc_usdt_whatever_its_markets_are() -> None:
    async with simulator(symbols=("ETHUSDT",)) as client, client.stream("/ws/v5/business") as socket:
        await socket.send_str('{"op":"subscribe","args":[{"channel":"candle1s","instId":"BTC-USDT"}]}')
        frames = await frames_until(socket, lambda frame: OKX.clock_us(frame) is not None)
        assert frames[-1]["arg"] == {"channel": "candle1s", "instId": "BTC-USDT"}
        await socket.send_str('{"op":"subscribe","args":[{"channel":"trades-all","instId":"BTC-USDT"}]}')
        assert OKX.rejects((await frames_until(socket, OKX.rejects))[-1])


@each_protocol
async def test_withheld_ids_are_in_no_stream_and_no_record(spoken: Spoken) -> None:
    async with simulator(symbols=SYMBOLS[:1], speed=FAST) as client:
        market = "BTCUSDT_PERP" if spoken is BINANCE_USDM else "BTCUSDT"
        told = await client.faults(withhold=f"{market}:40")
        hidden = told["withheld"][0]
        assert (hidden["symbol"], hidden["last_id"] - hidden["first_id"]) == (market, 39)
        rows = (await listen(client, spoken, SYMBOLS[:1])).rows
        truth = await record(client, spoken, "BTCUSDT")
        begin = truth.index(rows[0])
        assert rows == truth[begin : begin + len(rows)]
        if spoken.from_known is not None:
            ids = {int(row.trade_id) for row in truth}
            assert hidden["last_id"] + 1 in ids
            assert not ids & set(range(hidden["first_id"], hidden["last_id"] + 1))


@each_protocol
async def test_ids_begin_anew_where_they_are_numbers_and_stay_unique_where_not(spoken: Spoken) -> None:
    async with simulator(symbols=SYMBOLS[:1], speed=FAST) as client:
        before = (await record(client, spoken, "BTCUSDT", from_us=PAST_US - MINUTE_US))[-1]
        await client.faults(now="reset")
        rows = (await listen(client, spoken, SYMBOLS[:1])).rows
        truth = await record(client, spoken, "BTCUSDT")
        begin = truth.index(rows[0])
        assert rows == truth[begin : begin + len(rows)]
        assert len({row.trade_id for row in truth}) == len(truth)
        if spoken.from_known is not None:
            assert int(rows[-1].trade_id) < int(before.trade_id) * 0.6


@pytest.mark.parametrize("spoken", [each for each in SPOKEN if each.from_known], ids=lambda spoken: spoken.name)
async def test_a_short_history_refuses_what_is_old_and_says_so(spoken: Spoken) -> None:
    async with simulator(symbols=SYMBOLS[:1], start_us=PAST_US + 60 * MINUTE_US, speed=1.0) as client:
        old = (await record(client, spoken, "BTCUSDT", from_us=PAST_US))[0]
        await client.faults(short_history=60)
        assert spoken.from_known is not None
        page = spoken.read_page("BTCUSDT", (await client.body(spoken.from_known("BTCUSDT", old)))[1])
        assert all(row.time_us > PAST_US + 58 * MINUTE_US for row in page)
        exceptions = await client.exceptions("BTCUSDT", from_us=PAST_US, **spoken.record)
        assert [old.trade_id, "refused"] in [[row[0], row[-1]] for row in exceptions]


@each_protocol
async def test_a_shutdown_is_announced_where_the_exchange_announces_it(spoken: Spoken) -> None:
    async with simulator(symbols=SYMBOLS[:1]) as client, client.stream(spoken.path(SYMBOLS[:1])) as socket:
        for text in spoken.frames(SYMBOLS[:1]):
            await socket.send_str(text)
        await next_frame(socket)
        await client.faults(now="shutdown", shutdown_grace_s=0.2)
        texts = []
        while (message := await asyncio.wait_for(socket.receive(), 5)).type is aiohttp.WSMsgType.TEXT:
            texts.append(message.data)
        assert socket.close_code == 1001
        words = {
            "binance": "serverShutdown",
            "binance-usdm": "serverShutdown",
            "okx": '"64008"',
            "kraken": "maintenance",
        }
        assert sum(words.get(spoken.name, "?!") in text for text in texts) == (spoken.name in words)
