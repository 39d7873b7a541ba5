"""Run a command and write down what the kernel counted for it: ``waited.py FILE COMMAND…``.

A small process between the benchmark and the engine: the kernel's peak memory of a process begins with that of the
one that started it, and the benchmark's own may be the larger.
"""

import json
import os
import sys
import time

KIB = 1 if sys.platform == "linux" else 1024
"""Units of `ru_maxrss` in a KiB: Linux counts in KiB, others in bytes."""

began_s = time.perf_counter()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
figures = {
    "cpu_s": usage.ru_utime + usage.ru_stime,
    "wall_s": time.perf_counter() - began_s,
    "peak_mb": usage.ru_maxrss / KIB / 1024,
}
with open(sys.argv[1], "w") as file:  # noqa: PTH123  # pathlib costs memory and time here
    json.dump(figures, file)
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
