"""``candlewick candles``: trades in, closed 1m candles out, exactly once."""

import sys
from datetime import datetime, timedelta
from typing import Annotated

from cyclopts import Parameter

from candlewick.common import NONE_GIVEN, SPAN, Common, single_command
from candlewick.recompute.recompute import RecomputeOptions, recompute
from candlewick.stage import begin_stage
from candlewick.stage_flags import InstanceId, Once, RevisionBase, SkipLostRecords
from processors.candles.config import CandlesConfig
from processors.candles.core import CloseOn, Rules
from processors.candles.worker import run_candles
from runtime.errors import INTERRUPTED
from runtime.lifecycle import run


def candles(
    *,
    once: Once = False,
    from_start: Annotated[
        bool, Parameter(help="start without a committed offset even if candles were published before")
    ] = False,
    accept_truncation: SkipLostRecords = False,
    instance_id: InstanceId = None,
    close_on: Annotated[
        CloseOn, Parameter(help="what closes a minute; event-time for topics filled without markers")
    ] = CloseOn.MARKERS,
    revision_base: RevisionBase = 0,
    grace: Annotated[
        timedelta,
        SPAN,
        Parameter(help="with event-time: how long a minute waits for trades after its end, in their own time"),
    ] = timedelta(seconds=2),
    from_: Annotated[datetime | None, Parameter(name="--from", help="first minute to recompute")] = None,
    until: Annotated[datetime | None, Parameter(help="end of the minutes to recompute")] = None,
    into: Annotated[
        str | None, Parameter(help="name of the recomputation: its topics are the live ones with .NAME behind")
    ] = None,
    lead: Annotated[
        timedelta,
        SPAN,
        Parameter(help="how much of the log before --from is read, so that series have begun"),
    ] = timedelta(hours=1),
    common: Common = NONE_GIVEN,
) -> int:
    """Read md.trades.v1 and write md.candles.1m.v1, with state, position and outputs in one transaction.

    With --from, --until and --into NAME the candles of a range are computed again, by a group of their own, into
    md.candles.1m.v1.NAME; the live topics stay as they are. The command ends when these candles are final. If it is
    interrupted, the same command goes on. A DATETIME is ISO 8601, UTC where it names no zone.

    --close-on event-time is for topics that another producer fills without markers: a minute closes when its key has a
    trade that is later than the minute's end plus the grace. Its candles are `connected`.

    ```
    candlewick candles
    candlewick candles --once
    candlewick candles --instance-id candles-0    (in a StatefulSet: the pod's name)
    candlewick candles --close-on event-time --grace 5s
    candlewick candles --from 2026-01-31T12:00Z --until 2026-01-31T18:00Z --into fix1
    ```
    """
    asked = RecomputeOptions(into=into, from_=from_, until=until, lead=lead)
    settings = begin_stage("candles", common) if not asked.anything else begin_stage("recompute", common, into=into)
    config = CandlesConfig(
        rules=Rules(close_on=close_on, grace_us=grace // timedelta(microseconds=1), revision_base=revision_base),
        once=once,
        from_start=from_start,
        accept_truncation=accept_truncation,
        instance_id=instance_id,
    )
    if not asked.anything:
        run(lambda stop: run_candles(settings, config, stop))
        return 0
    done = run(lambda stop: recompute(settings, config, asked, stop))
    sys.stdout.write(f"{done}\n")
    return 0 if done.is_final else INTERRUPTED


app = single_command("candles", candles)
