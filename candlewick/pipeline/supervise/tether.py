"""Run a command that dies with the process that started it, in whatever way that process dies.

``python tether.py PARENT_PID COMMAND…`` replaces itself with the command. Only Linux can tie the two. Elsewhere the
command outlives a supervisor that is killed with SIGKILL; it holds the run lock, so the next run notices it.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Tie this process to its parent, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the tie was made
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606  # the supervisor's own command line


if __name__ == "__main__":
    main()
