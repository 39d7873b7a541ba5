"""How long to wait before the next try. Pure: each caller waits in its own way, so that it still hears a signal.

What is to be tried again within one call is `stamina`'s, which sleeps by itself.
"""

_MOST_DOUBLINGS = 64


def pause_s(failures: int, *, first_s: float = 0.5, longest_s: float = 10.0) -> float:
    """Seconds to wait: `first_s` where nothing failed before, twice as long for each earlier failure in a row."""
    return min(first_s * 2.0 ** min(failures, _MOST_DOUBLINGS), longest_s)
