"""Plain faust: the 24 h ticker as a windowed table, hopping by a minute. Each candle changes 1,440 windows.

``faust_tickers.py KAFKA INPUT OUTPUT CANDLES``
"""

import os
import sys
from datetime import timedelta
from decimal import Decimal
from typing import Any

import mode.loop

mode.loop.use("uvloop")

import faust  # noqa: E402  # the loop is chosen before faust is loaded
import orjson  # noqa: E402
from result import Result  # noqa: E402

kafka, source, output, candles = sys.argv[1:5]
result = Result(int(candles))
app = faust.App(
    output,
    broker=f"kafka://{kafka}",
    store="memory://",
    datadir="faust",
    topic_partitions=4,
    topic_disable_leader=True,
    stream_wait_empty=False,
    broker_max_poll_records=1_000,
    consumer_auto_offset_reset="earliest",
    broker_commit_interval=1.0,
    producer_linger=0.05,
    web_enabled=False,
)
candles_topic = app.topic(source, key_type=str, value_type=bytes, key_serializer="raw", value_serializer="raw")
tickers_topic = app.topic(output, key_type=str, value_type=bytes, key_serializer="raw", value_serializer="raw")
hops = faust.HoppingWindow(timedelta(days=1), timedelta(minutes=1))


def opened_s(event: "faust.EventT[Any] | None") -> float:
    """A candle's own time: the log has append times."""
    assert event is not None
    return float(orjson.loads(event.value)["open_time_ms"] / 1000)


days = app.Table("days", default=list, partitions=4).hopping(
    timedelta(days=1), timedelta(minutes=1), expires=timedelta(days=1)
)
days_by_candle = days.relative_to(opened_s)


def folded(day: list[Any], minute: list[Any]) -> list[Any]:
    """A window with one more minute: minutes, open, high, low, close, volume, quote volume, taker's volume, trades."""
    if not day:
        return minute
    return [
        day[0] + 1,
        day[1],
        max(day[2], minute[2]),
        min(day[3], minute[3]),
        minute[4],
        *(whole + part for whole, part in zip(day[5:], minute[5:], strict=True)),
    ]


def minute_of(candle: dict[str, Any]) -> list[Any]:
    """A window of one candle."""
    prices = (Decimal(candle[name]) for name in ("open", "high", "low", "close"))
    volumes = (Decimal(candle[name]) for name in ("volume", "quote_volume", "taker_buy_volume"))
    return [1, *prices, *volumes, candle["trades"]]


def encoded(key: str, end_ms: int, day: list[Any]) -> bytes:
    """As JSON, the fields named as in a window of ``md.tickers.v1``."""
    exchange, symbol = key.split(":")
    minutes, first, high, low, last, volume, quote, taker, trades = day
    return orjson.dumps(
        {
            "exchange": exchange,
            "symbol": symbol,
            "time_ms": end_ms,
            "minutes": minutes,
            "open": str(first),
            "high": str(high),
            "low": str(low),
            "close": str(last),
            "volume": str(volume),
            "quote_volume": str(quote),
            "taker_buy_volume": str(taker),
            "trades": trades,
        }
    )


@app.agent(candles_topic)
async def fold(stream: "faust.StreamT[bytes]") -> None:
    """Of all windows that hold a minute, the earliest ends with it: that is the ticker."""
    async for event in stream.events():
        result.count()
        candle, key = orjson.loads(event.value), event.key
        days_by_candle[key].apply(folded, minute_of(candle))
        open_ms = candle["open_time_ms"]
        day = days[key][hops.earliest(open_ms / 1000)]
        await tickers_topic.send(key=key, value=encoded(key, open_ms + 60_000, day))
        if result.trades == int(candles):
            await app.producer.flush()
            await app.consumer.commit()
            result.tell()
            os._exit(0)


if __name__ == "__main__":
    sys.argv = [sys.argv[0], "worker", "-l", "warn", "--without-web"]
    app.main()
