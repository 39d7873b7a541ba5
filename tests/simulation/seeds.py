"""Every violation ever found, by its seed: what it was. They are run on every commit."""

FOUND = {
    19: "a slow owner looked for output after its successor had written some, and ended the process for good",
    295: "of late trades that came many at once, only one copy each went to late",
    716: "members that read where nothing was committed left at each rebalance, and so made the next: no progress",
    1761: "as 19, where the output could be seen a moment before the offset",
}
