"""A backfill over REST of each exchange that the simulator speaks for, into the real Kafka."""

import asyncio
from collections import Counter

import orjson
import pytest
from candle_engine import one_pass, read_all
from feed_log import published, read_log
from simulator_client import simulator

from candlewick.verify.spoken import SPOKEN
from market.topics import Topics
from market.trade import Proof
from producers.backfill.backfill import BackfillRequest, backfill
from producers.backfill.symbol import Backfilled
from producers.exchanges import exchange_named
from runtime.errors import UsageError
from runtime.settings import Settings

MINUTE = 60_000_000
START = 1_700_000_040_000_000
FROM, UNTIL = START - 12 * MINUTE, START - 2 * MINUTE


async def backfilled(settings: Settings, exchange: str, symbol: str, *, klines: bool = False) -> Backfilled:
    request = BackfillRequest(exchange=exchange, symbols=[symbol], from_us=FROM, until_us=UNTIL, klines=klines)
    results: list[Backfilled] = []
    await backfill(settings, request, lambda *_: None, results.append, asyncio.Event())
    (result,) = results
    return result


async def statuses(settings: Settings) -> Counter[str]:
    """Of the newest candle of each minute."""
    candles = [orjson.loads(record.value or b"") for record in await read_all(settings, settings.topics.candles())]
    newest = {each["open_time_ms"]: each["status"] for each in sorted(candles, key=lambda each: each["revision"])}
    return Counter(newest.values())


@pytest.mark.parametrize("name", SPOKEN)
async def test_klines_stand_in_and_trades_are_better(
    name: str,
    settings: Settings,
    topics: Topics,  # noqa: ARG001  # they have to be there
) -> None:
    symbol = f"LTC-USDT{SPOKEN[name].suffix}"
    async with simulator(symbols=("LTCUSDT",), speed=1.0, start_us=START) as client:
        hosts = [field for field in Settings.model_fields if field.endswith("_rest")]
        settings = settings.model_copy(update=dict.fromkeys(hosts, client.address))
        given = await backfilled(settings, name, symbol, klines=True)
        assert (given.minutes, given.span.until_us) == ({Proof.KLINE: 10}, UNTIL)
        await one_pass(settings)
        assert await statuses(settings) == {"kline": 10}
        if not exchange_named(name, settings).ids_prove:
            with pytest.raises(UsageError, match="their ids prove nothing"):
                await backfilled(settings, name, symbol)
            return
        fetched = await backfilled(settings, name, symbol)
        assert (fetched.minutes, fetched.holes, fetched.out_of_reach) == ({Proof.IDS: 10}, [], 0)
        rows = await client.record("LTCUSDT", protocol=name, from_us=FROM, until_us=UNTIL)
        sides = {"true": "sell", "false": "buy"}
        truth = [
            {"trade_id": row[0], "price": row[1], "qty": row[2], "time_us": int(row[3]), "side": sides[row[4]]}
            for row in rows
        ]
        logs = await read_log(settings)
        assert published(logs[symbol].trades, FROM, UNTIL) == published(truth, FROM, UNTIL)
        await one_pass(settings)
        assert await statuses(settings) == {"complete": 10}
        assert (await backfilled(settings, name, symbol)).wanted == 0
