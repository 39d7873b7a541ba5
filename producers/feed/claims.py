"""Claims about a symbol's minutes that prove wrong: reported, and taken back where that is still possible. Pure."""

from typing import TYPE_CHECKING

from msgspec import structs

from market.feed import FeedEventKind
from market.trade import Trade
from producers.feed.outbox import Outbox

if TYPE_CHECKING:
    from producers.feed.any_symbol import AnySymbol


def mark_hole(
    feed: "AnySymbol", from_us: int, until_us: int, outbox: Outbox, *, reason: str, ids: tuple[int, int] | None = None
) -> None:
    """Trades between these times will not come: their minutes become `hole`, even if they have a marker already."""
    about: dict[str, str | int] = {"from_us": from_us, "until_us": until_us, "reason": reason}
    if ids is not None:
        about |= {"first_id": str(ids[0]), "last_id": str(ids[1])}
    feed.report(FeedEventKind.HOLE, outbox, **about)
    if feed.clock is not None:
        feed.clock.hole(from_us, until_us)
        take_back(feed, from_us, until_us, outbox, reason)


def take_back(feed: "AnySymbol", from_us: int, until_us: int, outbox: Outbox, reason: str) -> None:
    """The minutes between these times that have a marker, and are not final, get another marker, `hole`."""
    clock = feed.clock
    markers = [] if clock is None else list(clock.take_back(from_us, until_us))
    if clock is None or not markers:
        return
    outbox.taken_back.extend((feed, marker) for marker in markers)
    from_us, until_us = max(from_us, clock.final_until_us), min(until_us, clock.complete_until_us - 1)
    feed.report(FeedEventKind.TAKEN_BACK, outbox, from_us=from_us, until_us=until_us, reason=reason)


def report_late(feed: "AnySymbol", trade: Trade, outbox: Outbox) -> None:
    """Report a trade whose id the exchange had shown to be absent: the claim about its minute was wrong."""
    if feed.clock is None or trade.time_us >= feed.clock.complete_until_us:
        return
    is_final = trade.time_us < feed.clock.final_until_us
    _report_trade(
        feed,
        FeedEventKind.HOLE if is_final else FeedEventKind.TAKEN_BACK,
        trade,
        outbox,
        reason="the exchange sent this trade after it had shown that there is no such id: "
        + ("the minute is final, a repair has to publish it" if is_final else "the minute is published again"),
    )


def report_final(feed: "AnySymbol", trade: Trade, outbox: Outbox) -> None:
    """Report a new trade whose minute is final. The stream left it out, and no later trade showed that in time.

    Trades with consecutive ids share one event.
    """
    if feed.clock is None or trade.time_us >= feed.clock.final_until_us:
        return
    reason = "the trade was found when its minute was final: a repair has to publish it"
    told = outbox.events[-1] if outbox.events else None
    exchange, symbol = feed.market
    if (
        told is not None
        and (told.exchange, told.symbol, told.event, told.reason) == (exchange, symbol, FeedEventKind.HOLE, reason)
        and told.last_id == str(int(trade.trade_id) - 1)
    ):
        from_us, until_us = min(told.from_us or 0, trade.time_us), max(told.until_us or 0, trade.time_us)
        outbox.events[-1] = structs.replace(told, last_id=trade.trade_id, from_us=from_us, until_us=until_us)
        return
    _report_trade(feed, FeedEventKind.HOLE, trade, outbox, reason=reason)


def _report_trade(feed: "AnySymbol", kind: FeedEventKind, trade: Trade, outbox: Outbox, *, reason: str) -> None:
    number, time_us = trade.trade_id, trade.time_us
    feed.report(kind, outbox, first_id=number, last_id=number, from_us=time_us, until_us=time_us, reason=reason)
