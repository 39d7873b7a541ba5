"""A verification apart from a run: the simulator is started again, for its record alone."""

import time

from candlewick.health.progress import newest_markers
from candlewick.pipeline.memory import recall
from candlewick.pipeline.plan import RunPlan
from candlewick.pipeline.simulator import HOST, remind, simulator, until_answering
from candlewick.pipeline.supervise.supervisor import Supervisor
from candlewick.verify.findings import Findings
from candlewick.verify.verify import AROUND_US, verify
from deploy.local.ports import any_free_port
from runtime.errors import UsageError
from runtime.settings import Settings, child_environment


async def verify_again(settings: Settings, *, postgres: bool = False) -> Findings:
    """Hold the data of this folder against the market that they came from; `UsageError` where there is none."""
    market = recall(settings.home)
    if market is None:
        raise UsageError(f"{settings.home} remembers no simulated run to verify: candlewick run makes one")
    newest_us = max((await newest_markers(settings)).values(), default=time.time_ns() // 1000)
    port = any_free_port()
    url = f"http://{HOST}:{port}"
    async with Supervisor(
        settings.home / "logs", on_event=lambda _: None, on_entry=lambda _name, _entry: None
    ) as supervisor:
        supervisor.start(
            simulator(
                RunPlan(speed=1.0),
                port=port,
                seed=market.seed,
                symbols=market.symbols,
                start_us=newest_us + AROUND_US,  # its record ends at its own time
                environment=child_environment(settings),
            )
        )
        await until_answering(url)
        await remind(url, market.simulator)
        return await verify(
            settings,
            url,
            markets=market.markets,
            disturbed=market.disturbed,
            may_be_young=market.young,
            postgres=postgres,
        )
