"""What a data folder remembers of its runs: which simulated market its log was made from."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from candlewick.pipeline.plan import RunPlan
from runtime.errors import UsageError

DEFAULT_SEED = 1


@dataclass(frozen=True, kw_only=True)
class SimulatedMarket:
    """The simulated market of a data folder: the whole log can be told from it."""

    seed: int
    symbols: tuple[str, ...]
    """All symbols that were ever run here, as the exchange names them."""
    simulator: tuple[str, ...] = ()
    """What the simulator has to be reminded of, line by line: which ids it gave to nobody, and the like."""
    disturbed: bool = False
    """Whether records may have been delivered more than once: by faults, kills, or a return."""


def recall(home: Path) -> SimulatedMarket | None:
    """The market of this folder; None before its first run."""
    try:
        found: dict[str, Any] = json.loads((home / "run.json").read_bytes())
        before = [f"withheld:{ids}" for ids in found.pop("withheld", ())]  # how it was written down at first
        symbols, lines = tuple(found.pop("symbols", ())), tuple(found.pop("simulator", before))
        return SimulatedMarket(**found, symbols=symbols, simulator=lines)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError):
        raise UsageError(
            f"{home / 'run.json'} is broken: drop the data with candlewick stack reset, or mend the file"
        ) from None


def remember(home: Path, market: SimulatedMarket) -> None:
    """Write the market down, whole or not at all."""
    path = home / "run.json"
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(market)))
    draft.replace(path)


def begin_run(home: Path, plan: RunPlan) -> SimulatedMarket:
    """The market of a run that begins, written down; a real exchange leaves the memory as it is.

    Another seed than that of the data is a usage error.
    """
    known = recall(home)
    if not plan.simulated:
        return known or SimulatedMarket(seed=0, symbols=())
    if known and plan.seed is not None and plan.seed != known.seed:
        raise UsageError(
            f"the data in {home} are of the simulated market with seed {known.seed}, not {plan.seed}: two markets in "
            "one log cannot be told apart. Leave --seed away, or drop the data with candlewick stack reset"
        )
    market = SimulatedMarket(
        seed=known.seed if known else DEFAULT_SEED if plan.seed is None else plan.seed,
        symbols=tuple(dict.fromkeys((*(known.symbols if known else ()), *plan.symbols))),
        simulator=known.simulator if known else (),
        disturbed=plan.disturbed or known is not None,
    )
    remember(home, market)
    return market
