"""``candlewick signals``: 1m candles of all markets in, what stands out in them out."""

import sys
import tomllib
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.stage import begin_stage
from candlewick.stage_flags import AllCandlesAgain, InstanceId, Once, SkipLostCandles
from market.errors import MalformedError
from processors.signals.app import run_signals
from processors.signals.rules import SignalRules, as_toml, rules_of
from processors.signals.worker import SignalsConfig
from runtime.errors import UsageError
from runtime.lifecycle import run


def signals(
    *,
    once: Once = False,
    from_start: AllCandlesAgain = False,
    accept_truncation: SkipLostCandles = False,
    instance_id: InstanceId = None,
    rules: Annotated[
        Path | None, Parameter(help="a TOML file of thresholds, fees and pairs; what it leaves out is as by default")
    ] = None,
    show_rules: Annotated[bool, Parameter(negative="", help="print the rules as such a file, and exit")] = False,
    common: Common = NONE_GIVEN,
) -> None:
    """Read md.candles.1m.v1 and write md.signals.v1: scores, regimes, stale markets, outliers, spreads, correlations.

    One process reads all partitions; a second one waits for the first to go. docs/signals.md has the formula of every
    kind.

    ```
    candlewick signals
    candlewick signals --once
    candlewick signals --show-rules > rules.toml
    candlewick signals --rules rules.toml
    ```
    """
    read = read_rules(rules)
    if show_rules:
        sys.stdout.write(as_toml(read))
        return
    settings = begin_stage("signals", common)
    config = SignalsConfig(
        rules=read, once=once, from_start=from_start, accept_truncation=accept_truncation, instance_id=instance_id
    )
    run(lambda stop: run_signals(settings, config, stop))


app = single_command("signals", signals)


def read_rules(path: Path | None) -> SignalRules:
    """The rules of a file, or the defaults; a `UsageError` says what is wrong with the file."""
    if path is None:
        return SignalRules()
    try:
        return rules_of(tomllib.loads(path.read_text()))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (MalformedError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from None
