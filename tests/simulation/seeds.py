"""Every violation that the simulation found in the engine, by a seed that shows it where its mend is undone.

Seeds change their meaning as the simulation grows: `mutants.py`, which undoes each mend, says which they are now.
"""

FOUND = {
    8: "a slow owner saw what its successor had just written, took it for a wrong set-up, and ended the process",
    10: "members that read where nothing was committed left at each rebalance, and so made the next: no progress",
    54: "of late trades that came many at once only one copy each went to late",
}
