"""The engine with one thing wrong at a time: what the simulation is worth is how soon it sees each.

``mutants.py``            every mutant: the first seed that catches it, and by what
``mutants.py NAME [N]``   one of them, up to N seeds
"""

import importlib.abc
import importlib.machinery
import subprocess
import sys
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

HERE = Path(__file__).parent
SEEDS = 400


class Edit(NamedTuple):
    """A module, and what stands there instead."""

    module: str
    old: str
    new: str


OWNED, WORKER = "processors.candles.owned", "processors.candles.worker"
STATE, LANE, CORE = "processors.candles.state", "processors.candles.lane", "processors.candles.core"
CONSUMER, LOG, TRANSACTION = "runtime.kafka.consumer", "runtime.kafka.log", "runtime.kafka.transaction"
OFFSET = "await transaction.commit_offset(self._subscription.group, self.tp.topic, partition, position)"

MUTANTS: dict[str, tuple[Edit, ...]] = {
    "the offset outside of the transaction": (
        Edit(OWNED, f"            {OFFSET}\n", ""),
        Edit(OWNED, "        return outputs\n", "        await self._subscription.commit({self.tp: position})\n        return outputs\n"),
    ),
    "the offset before the transaction": (Edit(
        OWNED,
        "        async with self._publisher.transaction() as transaction:",
        "        await self._subscription.commit({self.tp: position})\n"
        "        async with self._publisher.transaction() as transaction:",
    ),),
    "the state read before fencing": (Edit(
        OWNED,
        "        await self._publisher.__aenter__()\n        try:\n            try:\n                await self._restore()\n",
        "        try:\n            try:\n                await self._restore()\n                await self._publisher.__aenter__()\n",
    ),),
    "each owner with an id of its own": (Edit(
        OWNED, '{tp.topic}.{tp.partition}")', '{tp.topic}.{tp.partition}.{time.monotonic()}")'
    ),),
    "sends not waited for": (Edit(TRANSACTION, "await transaction.settle()", "pass"),),
    "outputs kept after a commit": (Edit(
        OWNED, "        self._outputs = Outputs()\n        self._committed_position = position", "        self._committed_position = position"
    ),),
    "a failed commit passed over": (Edit(
        WORKER,
        "            outputs = self._commits.pop(tp).result()\n",
        "            commit = self._commits.pop(tp)\n"
        "            if commit.exception():\n                continue\n"
        "            outputs = commit.result()\n",
    ),),
    "two commits of a partition at once": (Edit(WORKER, "if owned.tp not in self._commits:", "if True:"),),
    "what was polled before a rebalance taken as it is": (
        Edit(WORKER, "            return  # what was polled", "            pass  # what was polled"),
        Edit(OWNED, "if records and records[0].offset < self.core.position:", "if False:"),
    ),
    "what is held kept over a rebalance": (
        Edit(WORKER, "if tp in changes.revoked | changes.assigned])", "if tp not in changes.assigned])"),
        Edit(
            WORKER, "for tp in sorted(changes.assigned)\n", "for tp in sorted(changes.assigned) if tp not in self._owned\n"
        ),
    ),
    "minutes let go left in the state": (Edit(
        STATE, "        for open_us in lane.touched:", "        for open_us in lane.touched & lane.minutes.keys():"
    ),),
    "changes noted as written one commit too many": (Edit(
        STATE, "        if lane.moved:", "        if lane.moved and core.position % 3:"
    ),),
    "no commit without output": (Edit(
        OWNED, "return self.is_changed and now_s", "return False and now_s"
    ),),
    "no second try after a broker was away": (Edit(
        WORKER, "(FencedError, UnavailableError)", "(FencedError,)"
    ),),
    "uncommitted state read": (Edit(LOG, '"read_committed" if committed', '"read_uncommitted" if committed'),),
    "uncommitted trades read": (Edit(
        CONSUMER, '            isolation_level="read_committed",\n', '            isolation_level="read_uncommitted",\n'
    ),),
    "read on where aiokafka would": (Edit(OWNED, "        self._subscription.seek(self.tp, self.core.position)", ""),),
    "outputs of records that are read again published again": (
        Edit(OWNED, "if self.core.position < self._committed_position:  # their", "if False:  # their"),
    ),
    "records behind the checkpoint not read again": (
        Edit(OWNED, "seek(self.tp, self.core.position)", "seek(self.tp, start.position)"),
    ),
    "no word of what is committed": (Edit(OWNED, "[committed(self.core), *self", "[*self"),),
    "the last record read again": (Edit(CORE, "records[-1].offset + 1", "records[-1].offset"),),
    "a rebalance without an offset is a failure": (Edit(CONSUMER, "if not self._notes.rebalanced:", "if True:"),),
    "a late owner is a wrong set-up": (
        Edit(OWNED, "await self._publisher.confirm(self._subscription.group, self.tp)", "pass"),
    ),
    "one copy of late trades told": (Edit(CORE, "behind[symbol] = lane.line_us", "one_by_one += places.tolist()"),),
    "flat minutes not told of a changed close": (Edit(
        LANE, "        right_after_us = open_us + MINUTE_US\n", "        return\n        right_after_us = open_us + MINUTE_US\n"
    ),),
    "minutes behind the line corrected": (Edit(
        LANE, "if self.line_us is not None and trade.time_us < self.line_us:", "if False:"
    ),),
    "a changed minute not emitted again": (Edit(LANE, "        minute.changed = True\n        minute.newest", "        minute.newest"),),
}  # fmt: skip


class _Loader(importlib.machinery.SourceFileLoader):
    """Reads a module with something else in one place."""

    def __init__(self, name: str, path: str, edits: list[Edit]) -> None:
        super().__init__(name, path)
        self._edits = edits

    def get_code(self, fullname: str) -> CodeType:
        source = Path(self.get_filename(fullname)).read_text()
        for edit in self._edits:
            assert source.count(edit.old) == 1, f"{source.count(edit.old)} places for {edit}"
            source = source.replace(edit.old, edit.new)
        return compile(source, self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: tuple[Edit, ...]) -> None:
        self._mutant = mutant

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        edits = [edit for edit in self._mutant if edit.module == fullname]
        if not edits:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Loader(fullname, spec.origin, edits)
        return spec


def caught(name: str, seeds: int) -> tuple[int, str] | None:
    """The first seed that sees the mutant, and what it says; in this very process, so once."""
    sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parents[1])]
    sys.meta_path.insert(0, _Finder(MUTANTS[name]))
    from world import simulate  # noqa: PLC0415  # with the mutant in its place

    for seed in range(seeds):
        if violations := simulate(seed).violations:
            return seed, violations[0]
    return None


def main(arguments: list[str]) -> int:
    if not arguments:
        return max(subprocess.run([sys.executable, __file__, name], check=False).returncode for name in MUTANTS)
    found = caught(arguments[0], int(arguments[1]) if arguments[1:] else SEEDS)
    print(f"{arguments[0]}: {f'seed {found[0]}: {found[1]}' if found else 'NOT SEEN'}"[:200], flush=True)
    return 0 if found else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
