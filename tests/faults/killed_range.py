"""A recomputation, killed as it comes to a step for the N-th time: ``killed_range.py STEP N FLAGS…``."""

import sys

from kill_points import arm
from killed_candles import STEPS

from candlewick.cli import main
from processors.engine import worker

if __name__ == "__main__":
    worker.POLL_BATCHES = worker.COMMITTING_BATCHES = 1  # many transactions
    arm(STEPS[sys.argv[1]], int(sys.argv[2]))
    sys.exit(main(["candles", "--instance-id", "one", *sys.argv[3:]]))
