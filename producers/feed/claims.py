"""What was said of a symbol's minutes and does not hold: told, and taken back where that is still possible. Pure."""

from typing import TYPE_CHECKING

from market.feed import FeedEventKind
from market.trade import Trade
from producers.feed.round import Round

if TYPE_CHECKING:
    from producers.feed.symbol import SymbolFeed


def lose(
    feed: "SymbolFeed", from_us: int, until_us: int, round_: Round, *, reason: str, ids: tuple[int, int] | None = None
) -> None:
    """Trades between these times will not come: their minutes are `hole`, those already marked too."""
    about: dict[str, str | int] = {"from_us": from_us, "until_us": until_us, "reason": reason}
    if ids is not None:
        about |= {"first_id": str(ids[0]), "last_id": str(ids[1])}
    feed.tell(FeedEventKind.HOLE, round_, **about)
    if feed.clock is not None:
        feed.clock.hole(from_us, until_us)
        take_back(feed, from_us, until_us, round_, reason)


def take_back(feed: "SymbolFeed", from_us: int, until_us: int, round_: Round, reason: str) -> None:
    """The minutes between these times that have a marker, and are not final, get another."""
    clock = feed.clock
    markers = [] if clock is None else list(clock.take_back(from_us, until_us))
    if clock is None or not markers:
        return
    round_.taken_back.extend((feed, marker) for marker in markers)
    until_us = min(until_us, clock.complete_until_us - 1)
    feed.tell(FeedEventKind.TAKEN_BACK, round_, from_us=from_us, until_us=until_us, reason=reason)


def came_late(feed: "SymbolFeed", trade: Trade, round_: Round) -> None:
    """The exchange had shown that it has no such id: what was said of the trade's minute was wrong."""
    if feed.clock is None or trade.time_us >= feed.clock.complete_until_us:
        return
    is_final = trade.time_us < feed.clock.final_us
    feed.tell(
        FeedEventKind.HOLE if is_final else FeedEventKind.TAKEN_BACK,
        round_,
        first_id=trade.trade_id,
        last_id=trade.trade_id,
        from_us=trade.time_us,
        until_us=trade.time_us,
        reason="the exchange gave it after it had shown that it has none: "
        + ("its minute is final, a repair has to publish it" if is_final else "its minute comes out again"),
    )
