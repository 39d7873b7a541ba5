"""Our adapters against the simulator: what each reads of its own protocol is the simulator's record."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal

import pytest
from simulator_client import PAST_US, Client, simulator
from spoken import Row, recorded

from market.trade import Side, Trade
from producers.exchange import Exchange, Message, TradesRequest, contracts_of
from producers.exchanges import EXCHANGES
from producers.simulator.faults import Faults
from runtime.settings import Settings, load_settings

MARKETS = ("BTCUSDT", "ETHUSDT", "XRPETH")
MINUTE_US = 60_000_000
FAST = 400.0

NOT_SPOKEN = {"bitstamp"}
"""The exercise of `docs/exchanges.md`: the simulator does not speak its protocol."""

each_exchange = pytest.mark.parametrize("name", sorted(EXCHANGES.keys() - NOT_SPOKEN))


def adapter(client: Client, name: str) -> Exchange:
    field = name.replace("-", "_")
    hosts = {f"{field}_ws": client.address.replace("http", "ws"), f"{field}_rest": client.address}
    known = {host: address for host, address in hosts.items() if host in Settings.model_fields}
    return EXCHANGES[name](load_settings().model_copy(update=known))


def row_of(trade: Trade) -> Row:
    market = "".join(trade.symbol.split("-")[:2])
    return Row(market, trade.trade_id, trade.price, trade.qty, trade.time_us, trade.side is Side.SELL)


async def record(client: Client, name: str, market: str, **span: int) -> list[Row]:
    return [recorded(market, cells) for cells in await client.record(market, protocol=name, **span)]


async def listed_by(client: Client, exchange: Exchange) -> tuple[Exchange, Mapping[str, str]]:
    """The exchange as it knows the list of instruments, and our symbols by the native names, of all markets."""
    listed = exchange.read_instruments((await client.body(exchange.instruments([]).path))[1])
    assert {f"{each.base}{each.quote}" for each in listed} == set(MARKETS)
    assert all(each.native == exchange.native(each.symbol) for each in listed)
    assert all(each.tick and each.lot for each in listed)
    known = exchange.knowing(contracts_of({each.native: each for each in listed}))
    return known, {each.native: each.symbol for each in listed}


async def read_for_a_while(client: Client, exchange: Exchange, symbols: Mapping[str, str]) -> list[Message]:
    opening, messages = exchange.opening(list(symbols)), []
    async with client.stream(opening.path) as socket:
        for frame in opening.frames:
            await socket.send_str(frame)
        if exchange.keepalive is not None:
            await socket.send_str(exchange.keepalive.frame)
        deadline_s = asyncio.get_running_loop().time() + 0.5
        while (left_s := deadline_s - asyncio.get_running_loop().time()) > 0:
            try:
                text = await asyncio.wait_for(socket.receive_str(), left_s)
            except TimeoutError:
                break
            messages.append(exchange.read(text.encode(), symbols, 0))
    return messages


@each_exchange
async def test_what_it_reads_of_the_stream_is_the_record(name: str) -> None:
    async with simulator(symbols=MARKETS, speed=FAST) as client:
        exchange, symbols = await listed_by(client, adapter(client, name))
        messages = await read_for_a_while(client, exchange, symbols)
        now_us = (await client.get("/sim/now"))["now_us"]
        assert not [refused for message in messages for refused in message.refused]
        assert not [message for message in messages if message.rejected]
        if exchange.opening(list(symbols)).acknowledged:
            assert {native for message in messages for native in message.accepted} >= set(symbols)
        assert PAST_US < max(message.server_us for message in messages) <= now_us
        for market in MARKETS[:2]:
            trades = [row_of(trade) for message in messages for trade in message.trades]
            rows = [row for row in trades if row.symbol == market]
            truth = await record(client, name, market)
            begin = truth.index(rows[0])
            assert rows == truth[begin : begin + len(rows)]
            assert len(rows) > 10


@each_exchange
async def test_what_it_reads_of_pages_and_klines_is_the_record(name: str) -> None:
    async with simulator(symbols=MARKETS, start_us=PAST_US + 60 * MINUTE_US, speed=1.0) as client:
        exchange, symbols = await listed_by(client, adapter(client, name))
        native = next(native for native, symbol in symbols.items() if symbol.startswith("ETH-"))
        truth = await record(client, name, "ETHUSDT", from_us=PAST_US)

        async def page(limit: int, known: Row | None) -> list[Row]:
            wanted = TradesRequest(
                native,
                symbols[native],
                limit,
                None if known is None else int(known.trade_id),
                0 if known is None else known.time_us,
            )
            body = (await client.body(exchange.trades(wanted).path))[1]
            rows = exchange.read_trades(body, wanted, 0).rows
            return [row_of(row) for row in rows if isinstance(row, Trade)]

        newest = await page(exchange.page_trades, None)
        truth_now = await record(client, name, "ETHUSDT", from_us=PAST_US)
        end = truth_now.index(newest[-1]) + 1
        assert newest == truth_now[end - len(newest) : end]
        if exchange.ids_prove:
            taken = [truth[0]]
            for limit in (3, 20, exchange.page_trades, exchange.page_trades):
                rows = await page(limit, taken[-1])
                taken += rows[rows.index(taken[-1]) + 1 :]
            assert taken == truth[: len(taken)]
            assert len(taken) > exchange.page_trades
        request = exchange.klines(native, PAST_US // 1_000 + 10 * 60_000, PAST_US // 1_000 + 20 * 60_000)
        candles = exchange.read_klines((await client.body(request.path))[1])
        within = [candle for candle in candles if 10 <= (candle.open_time_ms * 1_000 - PAST_US) // MINUTE_US < 20]
        assert len(within) == 10
        for candle in within:
            begin_us = candle.open_time_ms * 1_000
            rows = [row for row in truth if begin_us <= row.time_us < begin_us + MINUTE_US]
            prices = [row.price for row in rows]
            assert (candle.open, candle.close) == (prices[0], prices[-1])
            assert (candle.high, candle.low) == (max(prices), min(prices))
            assert candle.volume == sum((row.qty for row in rows), Decimal(0))


@each_exchange
async def test_trades_with_zeros_and_absurd_times_are_refused_and_no_other(name: str) -> None:
    async with simulator(symbols=MARKETS, speed=FAST, faults=Faults(zero=0.2, absurd_time=0.2)) as client:
        exchange, symbols = await listed_by(client, adapter(client, name))
        messages = await read_for_a_while(client, exchange, symbols)
        refused = sum(len(message.refused) for message in messages)
        done = (await client.get("/sim/faults"))["done"]
        assert 0 < refused <= done["zeros"] + done["absurd_times"]
        truth = {row.trade_id: row for row in await record(client, name, "BTCUSDT")}
        rows = [row_of(trade) for message in messages for trade in message.trades]
        assert all(row == truth[row.trade_id] for row in rows if row.symbol == "BTCUSDT")
        assert len(rows) > 50
