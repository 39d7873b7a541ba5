"""The bar engine, killed by SIGKILL as it comes to a step for the N-th time: ``killed_bars.py STEP N FILE``."""

import sys

from kill_points import arm
from killed_candles import STEPS

from candlewick.cli import main

if __name__ == "__main__":
    arm(STEPS[sys.argv[1]], int(sys.argv[2]))
    sys.exit(main(["bars", sys.argv[3], "--instance-id", "one"]))
