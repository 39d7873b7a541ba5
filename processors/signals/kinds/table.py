"""All kinds of signals: a new one is a function in this folder, rules in `processors.signals.rules`, a line here."""

from typing import NamedTuple

from processors.signals.kinds.correlations import measure_correlations, measure_matrix
from processors.signals.kinds.exchanges import measure_outliers, measure_spreads
from processors.signals.kinds.regime import measure_regimes
from processors.signals.kinds.scores import measure_returns, measure_volumes
from processors.signals.kinds.stale import measure_silences
from processors.signals.scene import Measuring


class SignalKind(NamedTuple):
    """A kind and the function that measures it."""

    name: str
    """As in the records, and of its rules."""
    measure: Measuring


AGAINST_THE_DAY_BEFORE = (
    SignalKind("volume_zscore", measure_volumes),
    SignalKind("return_zscore", measure_returns),
)
"""They see the last 1,440 minutes without the one that is looked at."""
WITHIN_THE_DAY = (
    SignalKind("volatility_regime", measure_regimes),
    SignalKind("stale", measure_silences),
    SignalKind("price_outlier", measure_outliers),
    SignalKind("spread", measure_spreads),
    SignalKind("correlation", measure_correlations),
    SignalKind("correlation_matrix", measure_matrix),
)
"""They see the minute that is looked at as the last of the 1,440."""
