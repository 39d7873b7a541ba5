"""``correlation`` and ``correlation_matrix``: Pearson's coefficient of 1m log returns, told at regular times.

Of the minutes in which both markets have a return; at least half of the window has to be there.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import combinations

from market.fields import MAX_COUNT
from processors.signals.market_day import MarketDay
from processors.signals.numbers import rounded
from processors.signals.pairs import PairKey, Pairs
from processors.signals.rules import MatrixRules, SignalRules
from processors.signals.scene import Measure, Scene

PLACES = 8
TOP = "top"
"""In place of the exchange in the key of a matrix, as in ``top:20``: no exchange of ours is called so."""


def watch_pairs(pairs: Pairs, minute: int, days: Mapping[str, MarketDay], rules: SignalRules) -> None:
    """Watch what this minute's end tells; the greatest markets may be others than before."""
    if not _is_due(minute, rules.correlation_matrix.every_minutes) and not _is_due(
        minute, rules.correlation.every_minutes
    ):
        return
    pairs.watch([*_chosen(rules), *_of_matrix(_greatest(days, rules.correlation_matrix), rules)], days)


def measure_correlations(scene: Scene) -> Iterator[Measure]:
    """Of each chosen pair and window."""
    if not _is_due(scene.minute, scene.rules.correlation.every_minutes):
        return
    for pair in _chosen(scene.rules):
        told = _coefficient(scene.pairs, pair)
        if told is None:
            continue

        def values(told: tuple[Decimal, int] = told) -> dict[str, Decimal]:
            return {"correlation": told[0], "minutes": Decimal(told[1])}

        revision = sum(scene.days[market].last_revision for market in pair[:2])
        yield Measure(pair.first, None, revision, pair.window_minutes, values, pair.second)


def measure_matrix(scene: Scene) -> Iterator[Measure]:
    """One record of all pairs among the greatest markets; each number's name is the two keys with a bar between."""
    rules = scene.rules.correlation_matrix
    if not _is_due(scene.minute, rules.every_minutes):
        return
    greatest = _greatest(scene.days, rules)
    told = {
        f"{pair.first}|{pair.second}": coefficient[0]
        for pair in _of_matrix(greatest, scene.rules)
        if (coefficient := _coefficient(scene.pairs, pair)) is not None
    }
    if told:
        revision = min(MAX_COUNT, sum(scene.days[market].last_revision for market in greatest))
        yield Measure(f"{TOP}:{rules.top}", None, revision, rules.window_minutes, lambda: told)


def _is_due(minute: int, every_minutes: int) -> bool:
    return (minute + 1) % every_minutes == 0


def _chosen(rules: SignalRules) -> list[PairKey]:
    of = rules.correlation
    return [PairKey(first, second, window) for first, second in of.pairs for window in of.windows_minutes]


def _of_matrix(markets: list[str], rules: SignalRules) -> list[PairKey]:
    window = rules.correlation_matrix.window_minutes
    return [PairKey(first, second, window) for first, second in combinations(markets, 2)]


def _greatest(days: Mapping[str, MarketDay], rules: MatrixRules) -> list[str]:
    """By quote volume of the last day, and of equal ones by key; in the order of their keys."""
    comparable = [market for market in days if _quote(market) in rules.quotes]
    return sorted(sorted(comparable, key=lambda market: (-days[market].quote_volume, market))[: rules.top])


def _quote(market: str) -> str:
    return market.removesuffix("-PERP").rpartition("-")[2]


def _coefficient(pairs: Pairs, pair: PairKey) -> tuple[Decimal, int] | None:
    sums = pairs.sums(pair)
    if sums is None or sums.count < pair.window_minutes // 2:
        return None
    coefficient = sums.correlation()
    return None if coefficient is None else (rounded(coefficient, PLACES), sums.count)
