"""``candlewick run``: the whole pipeline on this machine."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from candlewick.commands.stack import bring_up
from candlewick.common import NONE_GIVEN, SPAN, Common, single_command
from candlewick.pipeline.memory import begin_run
from candlewick.pipeline.plan import RunPlan, chosen_symbols, parse_kills
from candlewick.pipeline.run import PipelineRun
from candlewick.pipeline.supervise.lock import run_lock
from candlewick.pipeline.view.board import Board
from candlewick.pipeline.view.show import Show, showing, write_line
from candlewick.verify.findings import Findings
from deploy.local import stack
from deploy.local.status import status
from runtime import lifecycle
from runtime.errors import WrongDataError
from runtime.settings import Settings

INTERRUPTED = 130


def run(
    *,
    for_: Annotated[
        timedelta | None,
        SPAN,
        Parameter(name="--for", help="stop by itself after so long: 90s, 2m, 1h; unset: at Ctrl-C"),
    ] = None,
    headless: Annotated[bool, Parameter(help="one summary line every few seconds, no live view")] = False,
    speed: Annotated[float, Parameter(help="simulated market seconds a second, 1 to 1000")] = 10.0,
    symbols: Annotated[
        str | None, Parameter(help="how many of the simulated symbols (20), or which: BTCUSDT,ETHUSDT")
    ] = None,
    exchange: Annotated[str | None, Parameter(help="a real exchange, such as binance; unset: the simulator")] = None,
    seed: Annotated[int | None, Parameter(help="which simulated market; fixed for the life of the data")] = None,
    market_start: Annotated[
        timedelta | None,
        SPAN,
        Parameter(help="how long ago the simulated market begins: 3h; unset: where the log ends"),
    ] = None,
    fault: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="fault of the simulator, such as drop_every_s=10; repeated (candlewick simulate --help lists them)",
        ),
    ] = (),
    kill: Annotated[
        tuple[str, ...], Parameter(negative="", help="SIGKILL a stage every so many seconds, STAGE=SECONDS; repeated")
    ] = (),
    common: Common = NONE_GIVEN,
) -> int:
    """Start the local stack, an exchange, the producer, the processors and the sinks, and watch them work.

    At the end everything is drained, and on the simulator verified against its own record: exit code 0 where Kafka,
    ClickHouse, Parquet and Redis all hold what they must, 3 where something differs. Where faults made the simulator
    lose trades, no minute that lacks one may say `complete`, and all others must. The stack is left as it was
    found: running if it ran before. Data stay until `candlewick stack reset`.

    ```
    candlewick run
    candlewick run --for 60s --headless
    candlewick run --for 2m --speed 60 --fault drop_every_s=10 --fault duplicate=0.05 --kill candles=20
    candlewick run --exchange binance --symbols BTCUSDT,ETHUSDT
    ```
    """
    settings = common.settings()
    settings = settings.model_copy(update={"home": settings.home.expanduser().absolute()})
    plan = RunPlan(
        for_s=for_.total_seconds() if for_ else None,
        headless=headless or not sys.stdout.isatty(),
        speed=speed,
        exchange=exchange,
        symbols=chosen_symbols(symbols, exchange),
        seed=seed,
        faults=fault,
        kills=parse_kills(kill),
        market_start_s=market_start.total_seconds() if market_start else None,
    )
    with run_lock(settings.home) as lock:
        return _run(settings, plan, lock)


app = single_command("run", run)


def _run(settings: Settings, plan: RunPlan, lock: int) -> int:
    market = begin_run(settings.home, plan)
    was_up = all(part.up for part in status(settings))
    show = Show(Board(), as_lines=plan.headless)

    async def part(stop: asyncio.Event) -> Findings | None:
        async with showing(show, title=plan.title, live=not plan.headless):
            return await PipelineRun(settings, plan, market, show=show, inherit=[lock]).run(stop)

    try:
        bring_up(settings, progress=write_line)
        findings = lifecycle.run(part, grace_s=None)
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


def report(findings: Findings) -> int:
    """Print what a verification found; the exit code."""
    for sentence in findings.named:
        write_line(f"  {sentence}")
    if findings.more:
        write_line(f"  … and {findings.more:,} more")
    if findings.redelivered:
        write_line(f"redelivered: {findings.redelivered:,} (trades at a second offset of the log: harmless)")
    if line := findings.lost_line():
        write_line(line)
    write_line(findings.summary())
    return 0 if findings.right else WrongDataError.exit_code


def _shown(path: Path) -> Path:
    """Relative to the working folder where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
