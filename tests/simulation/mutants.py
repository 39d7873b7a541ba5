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
IMPORT_SEEDS = 4_000


class Edit(NamedTuple):
    """A module, and what stands there instead."""

    module: str
    old: str
    new: str


ASSIGNED, WORKER = "processors.engine.assigned_partition", "processors.engine.worker"
STATE, SERIES, CORE = "processors.candles.state", "processors.candles.series", "processors.candles.core"
CONSUMER, LOG, TRANSACTION = "runtime.kafka.consumer", "runtime.kafka.log", "runtime.kafka.transaction"
OFFSET = "await transaction.commit_offset(self._subscription.group, self.tp.topic, partition, position)"

MUTANTS: dict[str, tuple[Edit, ...]] = {
    "the offset outside of the transaction": (
        Edit(ASSIGNED, f"            {OFFSET}\n", ""),
        Edit(ASSIGNED, "        return outputs\n", "        await self._subscription.commit({self.tp: position})\n        return outputs\n"),
    ),
    "the offset before the transaction": (Edit(
        ASSIGNED,
        "        async with self._publisher.transaction() as transaction:",
        "        await self._subscription.commit({self.tp: position})\n"
        "        async with self._publisher.transaction() as transaction:",
    ),),
    "the state read before fencing": (Edit(
        ASSIGNED,
        "        await self._publisher.__aenter__()\n        try:\n            try:\n                await self._restore()\n",
        "        try:\n            try:\n                await self._restore()\n                await self._publisher.__aenter__()\n",
    ),),
    "each owner with an id of its own": (Edit(
        ASSIGNED, '{tp.topic}.{tp.partition}")', '{tp.topic}.{tp.partition}.{time.monotonic()}")'
    ),),
    "sends not waited for": (Edit(TRANSACTION, "await transaction.await_acknowledgements()", "pass"),),
    "outputs kept after a commit": (Edit(
        ASSIGNED, "        self._outputs = self._engine.outputs()\n        self._committed_position = position", "        self._committed_position = position"
    ),),
    "a failed commit passed over": (Edit(
        WORKER,
        "            outputs = self._commits.pop(tp).result()\n",
        "            commit = self._commits.pop(tp)\n"
        "            if commit.exception():\n                continue\n"
        "            outputs = commit.result()\n",
    ),),
    "two commits of a partition at once": (Edit(WORKER, "if assigned.tp not in self._commits:", "if True:"),),
    "what was polled before a rebalance taken as it is": (
        Edit(WORKER, "            return  # what was polled", "            pass  # what was polled"),
        Edit(ASSIGNED, "if records and records[0].offset < self.core.position:", "if False:"),
    ),
    "what is held kept over a rebalance": (
        Edit(WORKER, "if tp in changes.revoked | changes.assigned])", "if tp not in changes.assigned])"),
        Edit(
            WORKER, "for tp in sorted(changes.assigned)\n", "for tp in sorted(changes.assigned) if tp not in self._assigned\n"
        ),
    ),
    "released minutes left in the state": (Edit(
        STATE, "        for open_us in series.dirty_minutes:", "        for open_us in series.dirty_minutes & series.minutes.keys():"
    ),),
    "changes noted as written one commit too many": (Edit(
        STATE, "        if series.is_dirty:", "        if series.is_dirty and core.position % 3:"
    ),),
    "no commit without output": (Edit(
        ASSIGNED, "return self.is_changed and now_s", "return False and now_s"
    ),),
    "no second try after a broker was away": (Edit(
        WORKER, "(FencedError, UnavailableError)", "(FencedError,)"
    ),),
    "uncommitted state read": (Edit(LOG, '"read_committed" if committed', '"read_uncommitted" if committed'),),
    "uncommitted trades read": (Edit(
        CONSUMER, '            isolation_level="read_committed",\n', '            isolation_level="read_uncommitted",\n'
    ),),
    "read on where aiokafka would": (Edit(ASSIGNED, "        self._subscription.seek(self.tp, self.core.position)", ""),),
    "outputs of records that are read again published again": (
        Edit(ASSIGNED, "if self.core.position < self._committed_position:  # their", "if False:  # their"),
    ),
    "records behind the checkpoint not read again": (
        Edit(ASSIGNED, "seek(self.tp, self.core.position)", "seek(self.tp, start.position)"),
    ),
    "no word of what is committed": (Edit(ASSIGNED, "[committed(position, partition), *self", "[*self"),),
    "the last record read again": (Edit(CORE, "records[-1].offset + 1", "records[-1].offset"),),
    "a rebalance without an offset is a failure": (Edit(CONSUMER, "if not self._notes.rebalanced:", "if True:"),),
    "a late owner is a wrong set-up": (
        Edit(ASSIGNED, "await self._publisher.confirm(self._subscription.group, self.tp)", "pass"),
    ),
    "one copy of late trades told": (Edit(CORE, "late_until_us[symbol] = series.final_until_us", "one_by_one += places.tolist()"),),
    "flat minutes not told of a changed close": (Edit(
        SERIES, "        right_after_us = open_us + MINUTE_US\n", "        return\n        right_after_us = open_us + MINUTE_US\n"
    ),),
    "minutes behind the final boundary corrected": (Edit(
        SERIES, "if self.final_until_us is not None and trade.time_us < self.final_until_us:", "if False:"
    ),),
    "a changed minute not emitted again": (Edit(SERIES, "        minute.changed = True\n        minute.newest", "        minute.newest"),),
}  # fmt: skip

PLAN, PROOF, LOGGED = "producers.archive.plan", "producers.archive.proof", "producers.archive.logged"
COPIES, SURVEY, RUN_ID = "producers.archive.copies", "producers.archive.survey", "producers.archive.run_id"

IMPORT_MUTANTS: dict[str, tuple[Edit, ...]] = {
    "the minutes of the first and the last id proved": (Edit(
        PROOF, "return counting.first_us < open_us < counting.last_us and", "return counting.first_us <= open_us <= counting.last_us and"
    ),),
    "claims never taken back": (Edit(PLAN, "if self.proofs.lacks(open_us):", "if False:"),),
    "claims taken back where others are not made": (Edit(
        PROOF, "if all(open_us in claimed for open_us in gap.minutes())", "if True"
    ),),
    "gaps passed over": (Edit(PROOF, " and not self._in_doubt.holds(open_us)", ""),),
    "minutes that nobody claims left out": (Edit(PLAN, "*self.proofs.whole_minutes(), ", ""),),
    "the log's trades not read back": (Edit(
        PLAN, "            self._read_back.add(open_us)\n", "            pass\n"
    ),),
    "rows of unfinished minutes thrown away": (Edit(
        COPIES, "return None if row.time_us >= self._until_us or self._is_logged(row, open_us) else row", "return None"
    ),),
    "quiet minutes left at an old close": (Edit(
        PLAN, "return not count and last is not None and current.close != last.price", "return False"
    ),),
    "what a file claims not told": (Edit(PLAN, "or union.claims_more(open_us):", "or False:"),),
    "an interrupted run goes on behind another": (Edit(
        RUN_ID, "if run not in finished and not is_crossed(run):", "if run not in finished:"
    ),),
    "ids that leave numbers out taken for missing trades": (Edit(
        PROOF, "return IdKind.CONTIGUOUS if 2 * follow >= len(numbers) - 1 else IdKind.ORDERED", "return IdKind.CONTIGUOUS"
    ),),
    "rows passed over forgotten": (Edit(SURVEY, "                claims[open_us] = Status.HOLE\n", "                pass\n"),),
    "a marker that the engine has not read passed over": (Edit(LOGGED, "and offset < processed:", "and True:"),),
}  # fmt: skip
"""Of imports, which `import_law` has to see."""


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
    sys.meta_path.insert(0, _Finder((MUTANTS | IMPORT_MUTANTS)[name]))
    if name in IMPORT_MUTANTS:
        from import_law import differences  # noqa: PLC0415  # with the mutant in its place
    else:
        from world import simulate  # noqa: PLC0415  # likewise

    for seed in range(seeds):
        if violations := differences(seed) if name in IMPORT_MUTANTS else simulate(seed).violations:
            return seed, violations[0]
    return None


def main(arguments: list[str]) -> int:
    if not arguments:
        return max(
            subprocess.run([sys.executable, __file__, name], check=False).returncode
            for name in MUTANTS | IMPORT_MUTANTS
        )
    found = caught(
        arguments[0], int(arguments[1]) if arguments[1:] else IMPORT_SEEDS if arguments[0] in IMPORT_MUTANTS else SEEDS
    )
    print(f"{arguments[0]}: {f'seed {found[0]}: {found[1]}' if found else 'NOT SEEN'}"[:200], flush=True)
    return 0 if found else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
