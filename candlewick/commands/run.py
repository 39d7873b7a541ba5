"""``candlewick run``: the whole pipeline on this machine."""

import asyncio
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import stamina.instrumentation
from cyclopts import Parameter

from candlewick.commands.bars import read_thresholds
from candlewick.commands.stack import WITH, bring_up
from candlewick.common import NONE_GIVEN, SPAN, Common, single_command
from candlewick.pipeline.memory import begin_run
from candlewick.pipeline.plan import RunPlan, parse_kills, require_separate
from candlewick.pipeline.run import PipelineRun
from candlewick.pipeline.supervise.lock import run_lock
from candlewick.pipeline.symbols import exchange_markets, simulated_markets
from candlewick.pipeline.view.board import Board
from candlewick.pipeline.view.screen import Surroundings
from candlewick.pipeline.view.show import Show, showing, write_line
from candlewick.verify.findings import Findings
from candlewick.verify.spoken import SPOKEN
from deploy.local import stack
from deploy.local.plan import Extra
from deploy.local.ports import HOST, any_free_port, first_free_port, is_free
from deploy.local.status import addresses, status
from runtime import lifecycle
from runtime.errors import UsageError, WrongDataError
from runtime.settings import Settings

INTERRUPTED = 130
DEFAULT_API_PORT = 8080
SIMULATED = "binance"


def run(
    *,
    for_: Annotated[
        timedelta | None,
        SPAN,
        Parameter(name="--for", help="stop by itself after so long: 90s, 2m, 1h; unset: at Ctrl-C"),
    ] = None,
    headless: Annotated[bool, Parameter(help="one summary line every few seconds, no live view")] = False,
    speed: Annotated[
        float,
        Parameter(help="simulated market seconds a second, 1 to 1000; above 1 so that candles close while one watches"),
    ] = 10.0,
    symbols: Annotated[
        str | None, Parameter(help="how many of the simulated symbols (20), or which: BTCUSDT,ETHUSDT")
    ] = None,
    exchange: Annotated[
        str | None, Parameter(help="a real exchange, such as binance, or several: binance,kraken; unset: the simulator")
    ] = None,
    simulate: Annotated[
        str | None,
        Parameter(help=f"which exchanges the simulator speaks for, binance unless you say: {', '.join(SPOKEN)}"),
    ] = None,
    seed: Annotated[int | None, Parameter(help="which simulated market; fixed for the life of the data")] = None,
    market_start: Annotated[
        timedelta | None,
        SPAN,
        Parameter(help="how long ago the simulated market begins: 3h; unset: where the data end"),
    ] = None,
    api_port: Annotated[
        int | None, Parameter(help="port of the API; unset: 8080 or the next free one; 0: any free one")
    ] = None,
    fault: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="fault of the simulator, such as drop_every_s=10; repeated (candlewick simulate --help lists them)",
        ),
    ] = (),
    kill: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="SIGKILL a stage every so many seconds, such as candles=20; repeated"),
    ] = (),
    with_: Annotated[tuple[Extra, ...], WITH] = (),
    signals: Annotated[
        bool,
        Parameter(negative="", help="tell signals too (candlewick signals --help); of the kinds scores are verified"),
    ] = False,
    bars: Annotated[
        Path | None,
        Parameter(help="make bars too, as this file says (candlewick bars --help)"),
    ] = None,
    common: Common = NONE_GIVEN,
) -> int:
    """Start the local stack, an exchange, the producer, the processors, the sinks and the API, and watch them work.

    At the end everything is drained, and on the simulator verified against its own record: exit code 0 where Kafka and
    all stores hold what they must and the API gives it, 3 where something differs. A run that was too short for a whole
    minute of market time says so: exit code 0. Where faults made the simulator lose trades, no minute that lacks one
    may say `complete`, and all others must. The stack is left as it was found: running if it ran before. Data stay
    until `candlewick stack reset`.

    --exchange is for real exchanges, --simulate for the simulator in the protocol of an exchange. Either may name
    several: each then has a producer of its own, of the same symbols, and all else is shared.

    Lag is how many records of a stage's input its group has not committed yet, ? where that is not known. Parquet
    commits when a file ends; its lag is what it has not read yet. The producer's is how far its slowest symbol's newest
    marker is behind market time. A stage whose lag grows for ten seconds and more does not keep up: that is said, and
    when it has caught up.

    ```
    candlewick run
    candlewick run --for 60s --headless
    candlewick run --for 2m --speed 60 --fault drop_every_s=10 --fault duplicate=0.05 --kill candles=20
    candlewick run --simulate kraken,bybit --symbols 5
    candlewick run --exchange binance,kraken --symbols BTC-USDT,ETH-USDT
    candlewick run --with postgres
    candlewick run --signals --simulate binance,kraken,okx
    candlewick run --bars bars.toml
    ```
    """
    stamina.instrumentation.set_on_retry_hooks([])  # they would write across the view
    settings = common.settings()
    settings = settings.model_copy(update={"home": settings.home.expanduser().absolute()})
    if bars is not None:
        read_thresholds(bars)  # what is wrong in it is told before anything is started
    plan = RunPlan(
        for_s=for_.total_seconds() if for_ else None,
        headless=headless or not sys.stdout.isatty(),
        speed=speed,
        simulated=exchange is None,
        markets=_markets(settings, exchange, simulate, symbols),
        seed=seed,
        faults=fault,
        kills=parse_kills(kill, postgres=Extra.POSTGRES in with_, signals=signals, bars=bars is not None),
        postgres=Extra.POSTGRES in with_,
        signals=signals,
        bars=bars and bars.absolute(),
        market_start_s=market_start.total_seconds() if market_start else None,
    )
    require_separate(plan.markets, plan.faults)
    stack.require_startable(settings, with_)
    port = _api_port(api_port)
    with run_lock(settings.home) as lock:
        return _run(settings, plan, lock, port)


app = single_command("run", run)


def _markets(
    settings: Settings, exchange: str | None, simulate: str | None, symbols: str | None
) -> dict[str, tuple[str, ...]]:
    if exchange is None:
        return simulated_markets(SIMULATED if simulate is None else simulate, symbols)
    if simulate is not None:
        raise UsageError("--exchange is for real exchanges, --simulate for simulated ones: give one of the two")
    return asyncio.run(exchange_markets(settings, exchange, symbols))


def _api_port(given: int | None) -> int:
    if given and not is_free(given):
        raise UsageError(f"port {given} is in use: give another one with --api-port, or 0 for any free one")
    return given or (any_free_port() if given == 0 else first_free_port(DEFAULT_API_PORT) or any_free_port())


def _run(settings: Settings, plan: RunPlan, lock: int, api_port: int) -> int:
    market = begin_run(settings.home, plan, now_us=time.time_ns() // 1000)
    was_up = all(server.up for server in status(settings))

    async def watched(stop: asyncio.Event) -> Findings | None:
        show = Show(Board(), _surroundings(settings, plan, api_port), as_lines=plan.headless)
        async with showing(show, live=not plan.headless):
            pipeline = PipelineRun(settings, plan, market, show=show, api_port=api_port, inherit=[lock])
            return await pipeline.run(stop)

    try:
        bring_up(settings, extras=[Extra.POSTGRES] if plan.postgres else [], progress=write_line)
        if plan.headless:
            write_line(f"API at http://{HOST}:{api_port}; Ctrl-C drains{' and verifies' if plan.simulated else ''}")
        findings = lifecycle.run(watched, grace_s=None)
    except asyncio.CancelledError:  # a second Ctrl-C
        write_line("stopped at once: not drained and not verified; the next run goes on from here")
        return INTERRUPTED
    finally:
        if not was_up:
            stack.down(settings)
            write_line("the stack is stopped again")
    if not plan.headless:
        write_line(f"the logs are in {_shown(settings.home / 'logs')}")
    write_line(f"the data stay in {_shown(settings.home)} until candlewick stack reset")
    return 0 if findings is None else report(findings)


def _surroundings(settings: Settings, plan: RunPlan, api_port: int) -> Surroundings:
    servers, names = addresses(settings), ", ".join(plan.markets)
    return Surroundings(
        title=f"simulated {names} at {plan.speed:g}x" if plan.simulated else names,
        speed=plan.speed if plan.simulated else None,
        addresses={
            "Kafka": servers["kafka"],
            "Redis": servers["redis"],
            "ClickHouse": servers["clickhouse"],
            **({"PostgreSQL": servers["postgres"]} if plan.postgres else {}),
            "API": f"http://{HOST}:{api_port}",
            "cold store": servers["cold"] if settings.cold else str(_shown(settings.home / "cold")),
        },
    )


def report(findings: Findings) -> int:
    """Print what a verification found; the exit code."""
    for sentence in findings.named:
        write_line(f"  {sentence}")
    if findings.more:
        write_line(f"  … and {findings.more:,} more")
    if findings.asked:
        write_line(findings.asked_line())
    if findings.redelivered:
        write_line(f"redelivered: {findings.redelivered:,} (trades at a second offset of the log: harmless)")
    lines = (findings.lost_line(), findings.young_line(), findings.live_line(), findings.scores_line())
    for line in filter(None, (*lines, *findings.stored_lines())):
        write_line(line)
    write_line(findings.summary())
    return 0 if findings.right else WrongDataError.exit_code


def _shown(path: Path) -> Path:
    """Relative to the working folder where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
