"""``candlewick produce``: an exchange's live trades to Kafka."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from candlewick.common import NONE_GIVEN, SPAN, Common, single_command
from candlewick.proving.prove import prove_exchange
from candlewick.stage import begin_stage
from producers.capture.recorder import CaptureSettings
from producers.ccxt_bridge.server import bridged
from producers.exchanges import EXCHANGES
from producers.feed.runner import run_feed
from producers.feed.selection import Selection, Shard
from runtime.errors import UsageError, WrongDataError
from runtime.lifecycle import run
from runtime.settings import Settings

_CHECK_S = 120.0
_MEGABYTE = 1_000_000


def produce(
    exchange: Annotated[str, Parameter(help=f"the exchange: {', '.join(sorted(EXCHANGES))}, or ccxt:NAME")],
    /,
    *symbols: Annotated[str, Parameter(help="such as BTC-USDT, or as the exchange writes it: BTCUSDT")],
    whole_market: Annotated[bool, Parameter("--all", negative="", help="everything that is traded now")] = False,
    quote: Annotated[tuple[str, ...], Parameter(help="of all, only what is quoted in this; may be repeated")] = (),
    shard: Annotated[str | None, Parameter(help="this producer's share, NUMBER/COUNT from 0/COUNT on")] = None,
    for_: Annotated[timedelta | None, SPAN, Parameter(name="--for", help="stop by itself: 90s, 2m, 1h")] = None,
    check: Annotated[bool, Parameter(negative="", help="with --for: prove the exchange, and say a verdict")] = False,
    record: Annotated[
        Path | None, Parameter(help="keep the raw frames in this folder, for candlewick playback")
    ] = None,
    record_mb: Annotated[int, Parameter(help="so many megabytes of them at most: then the oldest file goes")] = 4096,
    common: Common = NONE_GIVEN,
) -> int:
    r"""Publish live trades until stopped.

    A symbol goes on where the last producer stopped: missed trades are asked for. A new symbol begins with the next
    minute. With --all, listings and delistings are followed while it runs. Several producers may run for the same
    symbols: nothing is counted twice.

    --check proves that an exchange can be fed from here: half-way all connections are broken, and at the end minutes
    are held against the exchange's own klines. One line for each symbol says the verdict; exit code 3: not proved.

    ccxt:NAME feeds an exchange that only the library ccxt knows (pip install 'candlewick[ccxt]'). ccxt proves less: its
    minutes are `connected` at best, and its clock is estimated. See docs/exchanges.md.

    CANDLEWICK_BINANCE_WS and CANDLEWICK_BINANCE_REST, and those of the others, point it elsewhere.

    ```
    candlewick produce binance BTC-USDT ETH-USDT
    candlewick produce binance --all --quote USDT --shard 2/8
    candlewick produce kraken BTC-USD --for 3m --check
    candlewick produce binance BTC-USDT --record frames --record-mb 500
    candlewick produce ccxt:kucoin BTC-USDT
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
    for_s = None if for_ is None else for_.total_seconds()
    if check:
        return run(lambda stop: _prove(settings, exchange, selection, for_s or _CHECK_S, stop, capture=capture))
    run(lambda stop: _feed(settings, exchange, selection, for_s, stop, capture=capture))
    return 0


async def _feed(
    settings: Settings,
    exchange: str,
    selection: Selection,
    for_s: float | None,
    stop: asyncio.Event,
    *,
    capture: CaptureSettings | None,
) -> None:
    timer = None if for_s is None else asyncio.get_running_loop().call_later(for_s, stop.set)
    try:
        async with bridged(settings, exchange) as reached:
            await run_feed(reached, exchange, selection, stop, capture=capture)
    finally:
        if timer is not None:
            timer.cancel()


async def _prove(
    settings: Settings,
    exchange: str,
    selection: Selection,
    for_s: float,
    stop: asyncio.Event,
    *,
    capture: CaptureSettings | None,
) -> int:
    if selection.whole_market:
        raise UsageError("--check proves symbols that are named: not --all")
    async with bridged(settings, exchange) as reached:
        is_proved, sentences = await prove_exchange(reached, exchange, selection, for_s, stop, capture=capture)
    sys.stdout.write("".join(f"{sentence}\n" for sentence in sentences))
    return 0 if is_proved else WrongDataError.exit_code


app = single_command("produce", produce)
