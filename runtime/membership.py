"""Two processes under one instance id: each takes the group membership from the other, again and again."""

import time
from collections import deque
from collections.abc import Hashable, Iterable

from runtime.telemetry import Meter, logger

REPEATS = 5
WITHIN_S = 60.0
"""So many assignments in a row, all alike, within this time: nobody else came or went, so the own id was taken."""


class MembershipWatch:
    """Looks at assignments; the caller gives the clock."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque(maxlen=REPEATS)
        self._partitions: frozenset[Hashable] | None = None

    def is_contested(self, partitions: frozenset[Hashable], now_s: float) -> bool:
        """Whether `partitions`, assigned now, were assigned again and again; true once for each `REPEATS` times."""
        if partitions != self._partitions:
            self._times_s.clear()
        self._partitions = partitions
        self._times_s.append(now_s)
        contested = len(self._times_s) == REPEATS and now_s - self._times_s[0] <= WITHIN_S
        if contested:
            self._times_s.clear()
        return contested


_watches: dict[str, MembershipWatch] = {}
"""By stage: a watch outlives one membership, a process has few stages."""


def note_assigned(meter: Meter, partitions: Iterable[Hashable], instance_id: str | None) -> None:
    """Count a rebalance, and warn where another process seems to run under the same `instance_id`."""
    meter.add("rebalances")
    if instance_id is None:
        return
    watch = _watches.setdefault(meter.stage, MembershipWatch())
    if watch.is_contested(frozenset(partitions), time.monotonic()):
        logger(meter.stage).warning(
            "the instance id is in use twice",
            reason=f"this process joined anew {REPEATS} times and got the same partitions each time: another process "
            f"runs with --instance-id {instance_id} too, and each takes the partitions from the other; give each "
            "process an id of its own",
        )
