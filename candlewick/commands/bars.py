"""``candlewick bars``: trades in, bars of ticks, volume and dollars out, exactly once."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.stage import begin_stage
from candlewick.stage_flags import InstanceId, Once, RevisionBase, SkipLostRecords
from processors.bars.config import BarsConfig
from processors.bars.core import BarRules
from processors.bars.thresholds import BarThresholds, parse_thresholds
from processors.bars.worker import run_bars
from runtime.errors import UsageError
from runtime.lifecycle import run


def bars(
    thresholds: Annotated[Path, Parameter(help="TOML file: which bars of which market")],
    *,
    once: Once = False,
    from_start: Annotated[
        bool, Parameter(help="start without a committed offset even if bars were published before")
    ] = False,
    accept_truncation: SkipLostRecords = False,
    instance_id: InstanceId = None,
    revision_base: RevisionBase = 0,
    common: Common = NONE_GIVEN,
) -> None:
    """Read md.trades.v1 and write md.bars.v1, with state, position and outputs in one transaction.

    In the file a table is a market, or a pattern with `*`; in it stand thresholds of the kinds tick (trades), volume
    (base units) and dollar (quote units). Decimals are written in quotes. A market's own table counts alone; without
    one, the first pattern that matches. All processes of the group need the same file. It is read at the start: another
    threshold begins its bars anew, with number 1.

    ```
    candlewick bars bars.toml
    candlewick bars bars.toml --once
    candlewick bars bars.toml --instance-id bars-0    (in a StatefulSet: the pod's name)

    bars.toml:
        ["binance:BTC-USDT"]
        tick = [1000]
        dollar = ["1000000", "5000000"]
        ["binance:*"]
        volume = ["0.5"]
    ```
    """
    config = BarsConfig(
        thresholds=read_thresholds(thresholds),
        rules=BarRules(revision_base=revision_base),
        once=once,
        from_start=from_start,
        accept_truncation=accept_truncation,
        instance_id=instance_id,
    )
    settings = begin_stage("bars", common, thresholds=str(config.thresholds))
    run(lambda stop: run_bars(settings, config, stop))


def read_thresholds(path: Path) -> BarThresholds:
    """The thresholds of a file; `UsageError` where it cannot be read, or says what it may not."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"cannot read the thresholds in {path}: {reason}") from error
    return parse_thresholds(text, str(path))


app = single_command("bars", bars)
