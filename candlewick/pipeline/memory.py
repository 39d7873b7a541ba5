"""What a data folder remembers of its runs: the simulated market that its log was made from, and how far it went."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from candlewick.pipeline.plan import RunPlan
from candlewick.pipeline.words import duration, utc_minute
from runtime.errors import UsageError

DEFAULT_SEED = 1


@dataclass(frozen=True, kw_only=True)
class SimulatedMarket:
    """The simulated market of a data folder: the whole log can be told from it."""

    seed: int
    markets: Mapping[str, tuple[str, ...]]
    """Exchange → all symbols that were ever run here, as the simulator names both."""
    simulator: tuple[str, ...] = ()
    """What the simulator has to be reminded of, line by line: which ids it gave to nobody, and the like."""
    disturbed: bool = False
    """Whether records may have been delivered more than once: by faults, kills, or a second run."""
    reached_us: int = 0
    """Market time that the last run reached, or began at where it did not end in order; UTC microseconds.

    The next run begins there, so that market time never goes back. 0: not known.
    """
    young: bool = False
    """Whether the last run was too short, or its producer too slow, for every symbol to have a whole minute."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of all exchanges."""
        return tuple(dict.fromkeys(symbol for symbols in self.markets.values() for symbol in symbols))


def recall(home: Path) -> SimulatedMarket | None:
    """The market of this folder; None before its first run. A file that cannot be read is a usage error."""
    try:
        stored: dict[str, Any] = json.loads((home / "run.json").read_bytes())
        before = [f"withheld:{ids}" for ids in stored.pop("withheld", ())]  # how it was written down at first
        if "symbols" in stored:  # ... when Binance was the only exchange
            stored["markets"] = {"binance": stored.pop("symbols")}
        markets = {name: tuple(symbols) for name, symbols in stored.pop("markets").items()}
        lines = tuple(stored.pop("simulator", before))
        return SimulatedMarket(**stored, markets=markets, simulator=lines)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError, KeyError):
        raise UsageError(
            f"{home / 'run.json'} is broken: drop the data with candlewick stack reset, or mend the file"
        ) from None


def remember(home: Path, market: SimulatedMarket) -> None:
    """Write the market down, whole or not at all."""
    path = home / "run.json"
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(market)))
    draft.replace(path)


def begin_run(home: Path, plan: RunPlan, *, now_us: int) -> SimulatedMarket:
    """The market of a run that begins, written down; a real exchange leaves the memory as it is.

    Raises:
        UsageError: another seed than that of the data, or a market that would begin before their end.
    """
    known = recall(home)
    if not plan.simulated:
        return known or SimulatedMarket(seed=0, markets={})
    if known and plan.seed is not None and plan.seed != known.seed:
        raise UsageError(
            f"the data in {home} are of the simulated market with seed {known.seed}, not {plan.seed}: two markets in "
            "one log cannot be told apart. Leave --seed away, or drop the data with candlewick stack reset"
        )
    if known and plan.market_start_s is not None:
        require_not_before(now_us - round(plan.market_start_s * 1e6), known.reached_us)
    market = SimulatedMarket(
        seed=known.seed if known else DEFAULT_SEED if plan.seed is None else plan.seed,
        markets=_joined(known.markets if known else {}, plan.markets),
        simulator=known.simulator if known else (),
        disturbed=plan.disturbed or known is not None,
        reached_us=known.reached_us if known else 0,
        young=known.young if known else False,
    )
    remember(home, market)
    return market


def _joined(before: Mapping[str, tuple[str, ...]], added: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(dict.fromkeys((*before.get(name, ()), *added.get(name, ())))) for name in {**before, **added}}


def require_not_before(start_us: int, reached_us: int) -> None:
    """Raise `UsageError` where the market would begin before what the data hold already."""
    if start_us < reached_us:
        raise UsageError(
            f"--market-start means {utc_minute(start_us)}, but the data reach to {utc_minute(reached_us)} already, "
            f"{duration((reached_us - start_us) / 1e6)} later, and market time cannot go back: leave --market-start "
            "away to go on from there, or drop the data with candlewick stack reset"
        )
