"""``candlewick candles``: trades in, closed 1m candles out, exactly once."""

from typing import Annotated

from cyclopts import Parameter

from candlewick.common import NONE_GIVEN, Common, single_command
from processors.candles.core import CloseOn, Rules
from processors.candles.owned import Config
from processors.candles.worker import run_candles
from runtime.lifecycle import run
from runtime.telemetry import configure_logs


def candles(
    *,
    once: Annotated[bool, Parameter(help="on to the end of the topic as it stands, commit, exit")] = False,
    from_start: Annotated[
        bool, Parameter(help="start without a committed offset although candles were published before")
    ] = False,
    accept_cut: Annotated[
        bool, Parameter(help="go on from the first record where the group's offset is no longer in the log")
    ] = False,
    instance_id: Annotated[
        str | None, Parameter(help="static membership: a restart under the same name causes no rebalance")
    ] = None,
    close_on: Annotated[
        CloseOn, Parameter(help="what closes a minute; event_time for topics filled without markers")
    ] = CloseOn.MARKERS,
    revision_base: Annotated[
        int, Parameter(help="added to every revision, so that they rise on after a recreated topic")
    ] = 0,
    common: Common = NONE_GIVEN,
) -> None:
    """Read md.trades.v1 and write md.candles.1m.v1, with state, position and outputs in one transaction.

    ```
    candlewick candles
    candlewick candles --once
    candlewick candles --instance-id candles-0    (in a StatefulSet: the pod's name)
    ```
    """
    settings = common.settings()
    configure_logs(settings)
    config = Config(
        rules=Rules(close_on=close_on, revision_base=revision_base),
        once=once,
        from_start=from_start,
        accept_cut=accept_cut,
        instance_id=instance_id,
    )
    run(lambda stop: run_candles(settings, config, stop))


app = single_command("candles", candles)
