"""How far behind filling is."""

from producers.feed.filling import WINDOW_S, Filling
from producers.feed.ledger import Gap, Ledger

SECOND_US = 1_000_000


def gaps() -> list[Gap]:
    """101 to 199 and 201 to 299 are missing, since second 10."""
    ledger = Ledger(100, 10 * SECOND_US)
    ledger.add(200, 20 * SECOND_US, 0.0)
    ledger.add(300, 30 * SECOND_US, 0.0)
    return ledger.gaps


def test_what_is_missing_and_how_long_it_takes_at_the_rate_so_far() -> None:
    filling = Filling()
    for second in range(10):
        filling.add(33, float(second))
    state = filling.state(gaps(), 70 * SECOND_US, 10.0)
    assert (state.missing, state.behind_us) == (198, 60 * SECOND_US)
    assert state.rest_s == 6.0


def test_nothing_missing_is_done_and_nothing_coming_is_unknown() -> None:
    filling = Filling()
    assert filling.state([], 70 * SECOND_US, 1.0) == (0, 0, 0.0)
    assert filling.state(gaps(), 70 * SECOND_US, 1.0).rest_s is None
    filling.add(50, 1.0)
    assert filling.state(gaps(), 70 * SECOND_US, 2.0).rest_s == 198 / 50
    assert filling.state(gaps(), 70 * SECOND_US, 2.0 + WINDOW_S).rest_s is None, "that was long ago"
