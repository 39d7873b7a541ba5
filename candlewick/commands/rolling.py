"""``candlewick rolling``: 1m candles in, longer candles and tickers out."""

from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.stage import begin_stage
from candlewick.stage_flags import AllCandlesAgain, InstanceId, Once, SkipLostCandles
from processors.config import ProcessorConfig
from processors.rolling.app import run_rolling
from runtime.lifecycle import run


def rolling(
    *,
    once: Once = False,
    from_start: AllCandlesAgain = False,
    accept_truncation: SkipLostCandles = False,
    instance_id: InstanceId = None,
    common: Common = NONE_GIVEN,
) -> None:
    """Read md.candles.1m.v1 and md.candles.live.v1, write md.candles.3m.v1 to 1M and md.tickers.v1.

    ```
    candlewick rolling
    candlewick rolling --once
    ```
    """
    settings = begin_stage("rolling", common)
    config = ProcessorConfig(
        once=once, from_start=from_start, accept_truncation=accept_truncation, instance_id=instance_id
    )
    run(lambda stop: run_rolling(settings, config, stop))


app = single_command("rolling", rolling)
