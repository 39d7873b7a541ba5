"""``candlewick rolling``: 1m candles in, longer candles and tickers out."""

from typing import Annotated

from cyclopts import Parameter

from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.stage import begin_stage
from processors.rolling.app import run_rolling
from processors.rolling.worker import RollingConfig
from runtime.lifecycle import run


def rolling(
    *,
    once: Annotated[bool, Parameter(help="read to the end of the topic as it is now, commit, exit")] = False,
    from_start: Annotated[
        bool, Parameter(help="read all candles of the log again; only while no other process of the group runs")
    ] = False,
    accept_truncation: Annotated[
        bool, Parameter(help="if the group's offset is no longer in the log, go on from the first candle")
    ] = False,
    instance_id: Annotated[
        str | None, Parameter(help="static membership: a restart causes no rebalance; each process needs its own")
    ] = None,
    common: Common = NONE_GIVEN,
) -> None:
    """Read md.candles.1m.v1 and md.candles.live.v1, write md.candles.3m.v1 to 1M and md.tickers.v1.

    ```
    candlewick rolling
    candlewick rolling --once
    ```
    """
    settings = begin_stage("rolling", common)
    config = RollingConfig(
        once=once, from_start=from_start, accept_truncation=accept_truncation, instance_id=instance_id
    )
    run(lambda stop: run_rolling(settings, config, stop))


app = single_command("rolling", rolling)
