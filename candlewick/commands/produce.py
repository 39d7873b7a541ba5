"""``candlewick produce``: an exchange's live trades to Kafka."""

from typing import Annotated

from cyclopts import Parameter

from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.stage import begin_stage
from producers.exchanges import EXCHANGES
from producers.feed.runner import run_feed
from producers.feed.selection import Selection, Shard
from runtime.errors import UsageError
from runtime.lifecycle import run


def produce(
    exchange: Annotated[str, Parameter(help="the exchange: " + ", ".join(sorted(EXCHANGES)))],
    /,
    *symbols: Annotated[str, Parameter(help="such as BTC-USDT, or as the exchange writes it: BTCUSDT")],
    whole_market: Annotated[bool, Parameter("--all", negative="", help="everything that is traded now")] = False,
    quote: Annotated[tuple[str, ...], Parameter(help="of all, only what is quoted in this; may be repeated")] = (),
    shard: Annotated[str | None, Parameter(help="this producer's share, NUMBER/COUNT from 0/COUNT on")] = None,
    common: Common = NONE_GIVEN,
) -> None:
    r"""Publish live trades until stopped.

    A symbol goes on where the last producer stopped: missed trades are asked for. A new symbol begins with the next
    minute. With --all, listings and delistings are followed while it runs. Several producers may run for the same
    symbols: nothing is counted twice. CANDLEWICK_<EXCHANGE>_WS and CANDLEWICK_<EXCHANGE>_REST point it elsewhere.

    ```
    candlewick produce binance BTC-USDT ETH-USDT
    candlewick produce binance --all --quote USDT --shard 2/8
    CANDLEWICK_BINANCE_WS=ws://127.0.0.1:9180 CANDLEWICK_BINANCE_REST=http://127.0.0.1:9180 \
        candlewick produce binance BTCUSDT
    ```
    """
    if symbols and whole_market:
        raise UsageError("name symbols, or give --all: not both")
    if quote and not whole_market:
        raise UsageError("--quote chooses from --all: give that too")
    share = Shard(0, 1) if shard is None else Shard.parse(shard)
    selection = Selection(symbols, whole_market, frozenset(each.upper() for each in quote), share)
    settings = begin_stage("produce", common, exchange=exchange, symbols=list(symbols))
    run(lambda stop: run_feed(settings, exchange, selection, stop))


app = single_command("produce", produce)
