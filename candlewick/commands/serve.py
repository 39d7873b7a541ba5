"""``candlewick serve``: all tiers behind one HTTP interface."""

from typing import Annotated

from cyclopts import Parameter

from candlewick.common import NONE_GIVEN, Common, single_command
from runtime.lifecycle import run
from runtime.telemetry import configure_logs
from serving.server import DEFAULT_PORT, ServeSettings
from serving.server import serve as serve_until


def serve(
    *,
    host: Annotated[str, Parameter(help="the address to listen on")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="the port to listen on; 0: any free one")] = DEFAULT_PORT,
    common: Common = NONE_GIVEN,
) -> None:
    """Serve until stopped; requests that have begun are answered first.

    Every answer says which tiers it comes from, which tiers do not answer, and what is missing in it (docs/api.md).

    ```
    candlewick serve
    candlewick serve --host 0.0.0.0 --port 80
    curl 'localhost:8080/v1/candles?exchange=binance&symbol=BTC-USDT&limit=10'
    curl 'localhost:8080/v1/trades?exchange=binance&symbol=BTC-USDT&limit=50'
    curl 'localhost:8080/v1/tickers?exchange=binance&symbols=BTC-USDT,ETH-USDT'
    curl 'localhost:8080/v1/health'
    ```
    """
    settings = common.settings()
    configure_logs(settings)
    where = ServeSettings(host=host, port=port)
    run(lambda stop: serve_until(settings, where, stop))


app = single_command("serve", serve)
