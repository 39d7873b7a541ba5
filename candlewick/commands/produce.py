"""``candlewick produce``: an exchange's live trades to Kafka."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.stage import begin_stage
from producers.capture.recorder import CaptureSettings
from producers.exchanges import EXCHANGES
from producers.feed.runner import run_feed
from producers.feed.selection import Selection, Shard
from runtime.errors import UsageError
from runtime.lifecycle import run

_MEGABYTE = 1_000_000


def produce(
    exchange: Annotated[str, Parameter(help="the exchange: " + ", ".join(sorted(EXCHANGES)))],
    /,
    *symbols: Annotated[str, Parameter(help="such as BTC-USDT, or as the exchange writes it: BTCUSDT")],
    whole_market: Annotated[bool, Parameter("--all", negative="", help="everything that is traded now")] = False,
    quote: Annotated[tuple[str, ...], Parameter(help="of all, only what is quoted in this; may be repeated")] = (),
    shard: Annotated[str | None, Parameter(help="this producer's share, NUMBER/COUNT from 0/COUNT on")] = None,
    record: Annotated[
        Path | None, Parameter(help="keep the raw frames in this folder, for candlewick playback")
    ] = None,
    record_mb: Annotated[int, Parameter(help="so many megabytes of them at most: then the oldest file goes")] = 4096,
    common: Common = NONE_GIVEN,
) -> None:
    r"""Publish live trades until stopped.

    A symbol goes on where the last producer stopped: missed trades are asked for. A new symbol begins with the next
    minute. With --all, listings and delistings are followed while it runs. Several producers may run for the same
    symbols: nothing is counted twice. CANDLEWICK_<EXCHANGE>_WS and CANDLEWICK_<EXCHANGE>_REST point it elsewhere.

    ```
    candlewick produce binance BTC-USDT ETH-USDT
    candlewick produce binance --all --quote USDT --shard 2/8
    candlewick produce binance BTC-USDT --record frames --record-mb 500
    CANDLEWICK_BINANCE_WS=ws://127.0.0.1:9180 CANDLEWICK_BINANCE_REST=http://127.0.0.1:9180 \
        candlewick produce binance BTCUSDT
    ```
    """
    if symbols and whole_market:
        raise UsageError("name symbols, or give --all: not both")
    if quote and not whole_market:
        raise UsageError("--quote chooses from --all: give that too")
    if record_mb < 1:
        raise UsageError(f"--record-mb {record_mb}: give at least 1")
    capture = None if record is None else CaptureSettings(folder=record, limit_bytes=record_mb * _MEGABYTE)
    share = Shard(0, 1) if shard is None else Shard.parse(shard)
    selection = Selection(symbols, whole_market, frozenset(each.upper() for each in quote), share)
    settings = begin_stage("produce", common, exchange=exchange, symbols=list(symbols))
    run(lambda stop: run_feed(settings, exchange, selection, stop, capture))


app = single_command("produce", produce)
