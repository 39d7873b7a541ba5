"""``candlewick simulate``: a server that speaks six exchanges' protocols, over a history made from a seed."""

from inspect import getdoc
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from candlewick.common import NONE_GIVEN, Common, single_command
from producers.simulator.faults import Faults
from producers.simulator.instruments import parse_symbols
from producers.simulator.server import simulate
from producers.simulator.settings import DEFAULT_PORT, SimulatorSettings
from runtime.errors import UsageError
from runtime.lifecycle import run
from runtime.telemetry import configure_logs


def serve(
    *,
    symbols: Annotated[str, Parameter(help="how many (the busiest first), or which: BTCUSDT,ETHUSDT")] = "20",
    speed: Annotated[float, Parameter(help="market seconds in a second, 1 to 1000")] = 10.0,
    seed: Annotated[int, Parameter(help="the same seed makes the same history")] = 1,
    start: Annotated[
        int | None, Parameter(help="market time of the beginning, µs; unset: 15 minutes times speed ago")
    ] = None,
    recording: Annotated[Path | None, Parameter(help="replay this CSV of Binance's trades dumps instead")] = None,
    fault: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="NAME=VALUE, such as skip=0.001; all names below; repeat for more"),
    ] = (),
    host: Annotated[str, Parameter(help="the address to listen on")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="the port to listen on; 0: any free one")] = DEFAULT_PORT,
    common: Common = NONE_GIVEN,
) -> None:
    """Serve until stopped.

    It speaks the protocols of Binance (spot and USD-M), Coinbase Exchange, Kraken, OKX and Bybit at once, over the same
    markets: point CANDLEWICK_<EXCHANGE>_WS and CANDLEWICK_<EXCHANGE>_REST at its address.

    Market time runs `speed` times as fast as the wall clock and never passes it. The simulator tells what it did:

    - /sim/now: its clock, its symbols and its counters.
    - /sim/record?symbol=BTCUSDT: the trades so far, as CSV; &protocol=bybit or binance-usdm: in their ids.
    - /sim/exceptions?symbol=BTCUSDT: the trades that a client may lack, and why.
    - /sim/faults: the faults; POST changes them.

    ```
    candlewick simulate
    CANDLEWICK_OKX_WS=ws://127.0.0.1:9180 CANDLEWICK_OKX_REST=http://127.0.0.1:9180 candlewick produce okx BTC-USDT
    candlewick simulate --symbols 40 --speed 60 --fault drop_every_s=20 --fault duplicate=0.01
    candlewick simulate --symbols BTCUSDT --recording BTCUSDT-trades-2021-01-08.csv --speed 1
    ```
    """
    configure_logs(common.settings())
    settings = SimulatorSettings(
        symbols=parse_symbols(symbols),
        speed=speed,
        seed=seed,
        start_us=start,
        recording=recording,
        faults=_faults(fault),
        host=host,
        port=port,
    )
    run(lambda stop: simulate(settings, stop))


app = single_command("simulate", serve)
app.help_epilogue = f"## Faults\n\n{getdoc(Faults)}"


def _faults(given: tuple[str, ...]) -> Faults:
    values = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--fault {text} is not NAME=VALUE, such as --fault skip=0.001")
        values[name] = value
    return Faults().changed(values)
