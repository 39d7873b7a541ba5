"""``candlewick candles``: trades in, closed 1m candles out, exactly once."""

import sys
from typing import Annotated

from cyclopts import Parameter

from candlewick.common import NONE_GIVEN, Common, parse_span, single_command
from candlewick.recompute.recompute import Asked, recompute
from processors.candles.assigned_partition import CandlesConfig
from processors.candles.core import CloseOn, Rules
from processors.candles.worker import run_candles
from runtime.lifecycle import run
from runtime.telemetry import configure_logs


def candles(
    *,
    once: Annotated[bool, Parameter(help="on to the end of the topic as it stands, commit, exit")] = False,
    from_start: Annotated[
        bool, Parameter(help="start without a committed offset although candles were published before")
    ] = False,
    accept_truncation: Annotated[
        bool, Parameter(help="go on from the first record where the group's offset is no longer in the log")
    ] = False,
    instance_id: Annotated[
        str | None, Parameter(help="static membership: a restart under the same name causes no rebalance")
    ] = None,
    close_on: Annotated[
        CloseOn, Parameter(help="what closes a minute; event-time for topics filled without markers")
    ] = CloseOn.MARKERS,
    revision_base: Annotated[
        int, Parameter(help="added to every revision, so that they rise on after a recreated topic")
    ] = 0,
    grace: Annotated[
        str, Parameter(help="with event-time: how long a minute waits for trades after its end, in their own time")
    ] = "2s",
    from_: Annotated[str | None, Parameter(name="--from", help="first minute to recompute, TIME")] = None,
    until: Annotated[str | None, Parameter(help="end of the minutes to recompute, TIME")] = None,
    into: Annotated[
        str | None, Parameter(help="recompute beside the live topics, into those with this name behind theirs")
    ] = None,
    lead: Annotated[str, Parameter(help="how much of the log before --from is read, so that series have begun")] = "1h",
    common: Common = NONE_GIVEN,
) -> int:
    """Read md.trades.v1 and write md.candles.1m.v1, with state, position and outputs in one transaction.

    With --from, --until and --into the candles of a range are computed again beside the live topics, which stay as
    they are: in a group of their own, into md.candles.1m.v1.NAME. It ends by itself when they are final; interrupted,
    the same command goes on. TIME is ISO 8601, UTC where it names no zone.

    With --close-on event-time a minute closes when its key has a trade that is later than its end and the grace: for
    topics that another producer fills without markers. Its candles are `connected`.

    ```
    candlewick candles
    candlewick candles --once
    candlewick candles --instance-id candles-0    (in a StatefulSet: the pod's name)
    candlewick candles --close-on event-time --grace 5s
    candlewick candles --from 2026-01-31T12:00Z --until 2026-01-31T18:00Z --into fix1
    ```
    """
    settings = common.settings()
    configure_logs(settings)
    config = CandlesConfig(
        rules=Rules(close_on=close_on, grace_us=round(parse_span(grace) * 1_000_000), revision_base=revision_base),
        once=once,
        from_start=from_start,
        accept_truncation=accept_truncation,
        instance_id=instance_id,
    )
    asked = Asked(into=into, from_=from_, until=until, lead_s=parse_span(lead))
    if not asked.anything:
        run(lambda stop: run_candles(settings, config, stop))
        return 0
    done = run(lambda stop: recompute(settings, config, asked, stop))
    sys.stdout.write(f"{done}\n")
    return 0 if done.is_final else INTERRUPTED


INTERRUPTED = 130

app = single_command("candles", candles)
