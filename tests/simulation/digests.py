"""``digests.py FIRST LAST``: the digest of each seed's run, to be compared between processes."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parents[1])]

from world import simulate  # noqa: E402

if __name__ == "__main__":
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        print(seed, simulate(seed).digest)  # noqa: T201
