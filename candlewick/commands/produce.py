"""``candlewick produce``: an exchange's live trades to Kafka."""

from typing import Annotated

from cyclopts import Parameter

from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.stage import begin_stage
from producers.feed.runner import run_feed
from runtime.lifecycle import run


def produce(
    exchange: Annotated[str, Parameter(help="the exchange, such as binance")],
    /,
    *symbols: Annotated[str, Parameter(help="such as BTC-USDT, or as the exchange writes it: BTCUSDT")],
    common: Common = NONE_GIVEN,
) -> None:
    r"""Publish live trades until stopped.

    A symbol goes on where the last producer stopped: missed trades are asked for. A new symbol begins with the next
    minute. CANDLEWICK_BINANCE_WS and CANDLEWICK_BINANCE_REST point it at a simulator.

    ```
    candlewick produce binance BTC-USDT ETH-USDT
    CANDLEWICK_BINANCE_WS=ws://127.0.0.1:9180 CANDLEWICK_BINANCE_REST=http://127.0.0.1:9180 \
        candlewick produce binance BTCUSDT
    ```
    """
    settings = begin_stage("produce", common, exchange=exchange, symbols=list(symbols))
    run(lambda stop: run_feed(settings, exchange, symbols, stop))


app = single_command("produce", produce)
