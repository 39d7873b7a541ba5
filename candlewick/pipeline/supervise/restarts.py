"""When a stage that died is started again: a decision without a clock and without a process."""

from typing import NamedTuple

from runtime.backoff import pause_s

QUICK_DEATH_S = 10.0
"""A life shorter than this counts against the stage; a longer one clears its record."""
MAX_QUICK_DEATHS = 5
_FIRST_DELAY_S = 0.2
_MAX_DELAY_S = 5.0
_USAGE_ERROR = 2


class Decision(NamedTuple):
    """What to do about a death."""

    restart_after_s: float | None
    """None: give up."""
    quick_deaths: int
    """For the next decision."""


def decide(*, exit_code: int, lived_s: float, quick_deaths: int, wanted: bool = False) -> Decision:
    """What to do about a stage that ended with `exit_code` after `lived_s`, having died quickly `quick_deaths` times.

    A death that was `wanted` (killed on purpose) does not count. After a usage error a new start would only fail again.
    """
    if wanted:
        return Decision(_FIRST_DELAY_S, quick_deaths)
    if exit_code == _USAGE_ERROR:
        return Decision(None, quick_deaths)
    if lived_s >= QUICK_DEATH_S:
        return Decision(_FIRST_DELAY_S, 0)
    deaths = quick_deaths + 1
    if deaths >= MAX_QUICK_DEATHS:
        return Decision(None, deaths)
    return Decision(pause_s(quick_deaths, first_s=_FIRST_DELAY_S, longest_s=_MAX_DELAY_S), deaths)


def describe_end(exit_code: int) -> str:
    """An exit code in words, as in ``died (signal 9)``."""
    if exit_code < 0:
        return f"died (signal {-exit_code})"
    return f"ended with code {exit_code}" if exit_code else "ended by itself"
