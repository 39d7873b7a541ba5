"""What happens to feeds: the events of `md.feeds.v1`, and the runs among them."""

from enum import StrEnum

from msgspec import Struct

from market.fields import Name, TimeMs, TimeUs
from market.key import OfMarket


class FeedEventKind(StrEnum):
    """What happened."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    GAP_OPENED = "gap_opened"
    GAP_FILLED = "gap_filled"
    HOLE = "hole"
    RESET = "reset"
    TAKEN_BACK = "taken_back"
    """Minutes were called complete, but lack trades."""
    CONFLICT = "conflict"
    """One id came with two contents: the first copy counts."""
    CLOCK_IGNORED = "clock_ignored"
    """The exchange's clock gave a time that cannot be."""
    CLOCK_AWAY = "clock_away"
    """The clock stays wrong: no minute is marked until it is right again."""
    CLOCK_BACK = "clock_back"
    RUN_BEGUN = "run_begun"
    RUN_ENDED = "run_ended"


class FeedEvent(OfMarket, frozen=True, kw_only=True, omit_defaults=True):
    """One event. Ids are inclusive; times are market time, UTC microseconds; `at_ms` is by the producer's clock."""

    event: FeedEventKind
    at_ms: TimeMs
    first_id: Name | None = None
    last_id: Name | None = None
    from_us: TimeUs | None = None
    until_us: TimeUs | None = None
    run: Name | None = None
    reason: str | None = None


class Progress(Struct, frozen=True, kw_only=True):
    """A value of `md.progress.v1`: the newest marker of a key (the record carries its headers), or how far a run is.

    If the exchange reset its trade ids after the marker, `reset_id` and `reset_us` are id and time of the first trade
    that surely has a new id: a producer that starts with this record goes on from there.
    """

    key: str
    complete_until_us: TimeUs
    run: Name | None = None
    finished: bool = False
    reset_id: Name | None = None
    reset_us: TimeUs | None = None
    last_trade_us: TimeUs | None = None
    """Time of the marker's last trade. Ids that turn out to be missing behind it may be of any minute since then."""
