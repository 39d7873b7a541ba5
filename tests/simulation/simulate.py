"""Many seeds, over all cores; or one, with all that happened in it.

``simulate.py``                 100,000 seeds, with progress; the failing ones and how to see them again
``simulate.py --first 7 -n 3``  seeds 7, 8 and 9
``simulate.py --trace 716``     one seed's trace and verdict
``simulate.py --digests -n 3``  the digest of each seed's run
``simulate.py --imports``       the law of imports instead of the engine's shell
``simulate.py --klines``        the law of imports with klines among the files
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing import Pool
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parents[1])]

import import_law  # noqa: E402
import kline_law  # noqa: E402
from world import simulate  # noqa: E402

CHUNK = 100


def engine_violations(seed: int) -> Sequence[str]:
    """What is wrong with the engine's shell in a seed's world."""
    return simulate(seed).violations


LAWS: dict[str, Callable[[int], Sequence[str]]] = {
    "engine": engine_violations, "imports": import_law.differences, "klines": kline_law.kline_differences,
}  # fmt: skip


def violating(law: str, seeds: range) -> list[str]:
    """What is wrong with these seeds, one line each."""
    return [f"seed {seed}: {'; '.join(wrong)}" for seed in seeds if (wrong := LAWS[law](seed))]


def run_many(law: str, seeds: range, workers: int) -> Iterator[str]:
    began_s, done = time.monotonic(), 0
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    with Pool(workers, maxtasksperchild=50) as pool:
        for lines in pool.imap_unordered(partial(violating, law), chunks):
            yield from lines
            done += CHUNK
            rate = min(done, len(seeds)) / (time.monotonic() - began_s)
            print(f"\r{min(done, len(seeds)):,} of {len(seeds):,} seeds, {rate:.0f}/s ", end="", file=sys.stderr)
    print(file=sys.stderr)


def show(seed: int) -> int:
    outcome = simulate(seed)
    for event in outcome.trace:
        print(*event)
    print(outcome.plan, outcome.faults, f"{outcome.steps} steps", outcome.digest, sep="\n")
    print("violations:", *(outcome.violations or ["none"]), sep="\n  ")
    return 3 if outcome.violations else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--count", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--trace", type=int, metavar="SEED")
    parser.add_argument("--digests", action="store_true")
    parser.add_argument("--imports", dest="law", action="store_const", const="imports", default="engine")
    parser.add_argument("--klines", dest="law", action="store_const", const="klines")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.count)
    if arguments.trace is not None:
        return show(arguments.trace)
    if arguments.digests:
        for seed in seeds:
            print(seed, simulate(seed).digest)
        return 0
    failing = 0
    for line in run_many(arguments.law, seeds, arguments.workers):
        failing += 1
        seed = line.split(":")[0].split()[1]
        how = f"--trace {seed}" if arguments.law == "engine" else f"--{arguments.law} --first {seed} -n 1"
        print(f"\n{line}\n  again: python {os.path.relpath(__file__)} {how}", flush=True)
    print(f"{len(seeds):,} seeds, {failing} with violations")
    return 3 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
