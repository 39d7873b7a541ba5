"""The id of a run: by it an import is known to be new, interrupted or finished. Pure."""

import hashlib
from collections.abc import Callable, Container

from market.key import MarketKey
from producers.archive.dump import DumpPeriod

_RUN_DIGITS = 16


def run_id(key: MarketKey, span: DumpPeriod, content: bytes, *, repetition: int = 1) -> str:
    """A run's id: equal for equal key, range and content. `repetition` counts the runs with these three, from 1."""
    digits = hashlib.sha256(f"{key}\n{span.from_us}\n{span.until_us}\n".encode() + content).hexdigest()[:_RUN_DIGITS]
    return digits if repetition == 1 else f"{digits}-{repetition}"


def choose_run(
    key: MarketKey,
    span: DumpPeriod,
    content: bytes,
    finished: Container[str],
    is_crossed: Callable[[str], bool],
    *,
    forced: bool,
) -> tuple[str, bool]:
    """The run's id, and whether that run is finished already.

    - Finished before, and not forced: its id, True.
    - Finished before, but forced: the first id of a run that is not finished.
    - Interrupted: its id again; but a new id if another run began after it (`is_crossed`), since the engine may have
      passed minutes that have to be published again.
    - Never begun: its id.
    """
    repetition = 1
    while True:
        run = run_id(key, span, content, repetition=repetition)
        if run in finished and not forced:
            return run, True
        if run not in finished and not is_crossed(run):
            return run, False
        repetition += 1
