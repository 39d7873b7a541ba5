"""``stale``: a market that is usually traded is not.

If trades come independently of one another, the time without any is exponentially distributed, and the level is how
unlikely it is: a silence of k mean gaps comes with probability exp(-k).
"""

from collections.abc import Iterator
from decimal import Decimal

from processors.signals.market_day import DAY_MINUTES
from processors.signals.numbers import rounded
from processors.signals.scene import Measure, Scene


def measure_silences(scene: Scene) -> Iterator[Measure]:
    """Of each market of the last day; `level` is the silence in mean gaps between traded minutes, 0 if it is short.

    A minute without candle, without trades, or of status `hole` is silent.
    """
    rules = scene.rules.stale
    for market, day in scene.days.items():
        if day.last_alive is None or day.alive_minutes < rules.min_traded_minutes:
            continue
        silent = scene.minute - day.last_alive
        spoken = day.last_alive - day.oldest + 1
        level = silent * day.alive_minutes / spoken if silent >= rules.min_silent_minutes else 0.0

        def values(silent: int = silent, spoken: int = spoken, traded: int = day.alive_minutes) -> dict[str, Decimal]:
            return {
                "silent_minutes": Decimal(silent),
                "mean_gap_minutes": rounded(spoken / traded, 4),
                "traded_minutes": Decimal(traded),
            }

        yield Measure(market, level, day.last_revision, DAY_MINUTES, values)
