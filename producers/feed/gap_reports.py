"""The events of a symbol's gaps: when they opened, and when all of them are filled. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from market.feed import FeedEventKind
from market.trade import Trade
from producers.feed.ledger import OPEN_US, REORDER_S
from producers.feed.outbox import Outbox

if TYPE_CHECKING:
    from producers.feed.any_symbol import AnySymbol
    from producers.feed.symbol import SymbolFeed


class GapReports:
    """One `gap_opened` for all gaps of a symbol that are open together, and one `gap_filled` for them."""

    def __init__(self) -> None:
        self._opened: tuple[int, int] | None = None
        """The first and the last id that were reported as missing, until they are filled."""

    @property
    def is_open(self) -> bool:
        """Whether gaps were reported that are not reported as filled."""
        return self._opened is not None

    def update(self, feed: "SymbolFeed", outbox: Outbox) -> None:
        """Report gaps older than `REORDER_S`; or, once all gaps are filled, report that."""
        gaps = feed.gaps
        if self._opened is None:
            if gaps and gaps[0].opened_s + REORDER_S <= outbox.now_s:
                self._opened = (gaps[0].first, gaps[-1].last)
                about: dict[str, str | int] = {"first_id": str(gaps[0].first), "last_id": str(gaps[-1].last)}
                if gaps[-1].until_us != OPEN_US:
                    about["until_us"] = gaps[-1].until_us
                feed.report(FeedEventKind.GAP_OPENED, outbox, from_us=gaps[0].from_us, **about)
        elif not gaps:
            first, last = self._opened
            self._opened = None
            feed.report(FeedEventKind.GAP_FILLED, outbox, first_id=str(first), last_id=str(last))

    def forget(self) -> None:
        """Forget the open gaps: they ended in another way, and another event says so."""
        self._opened = None


def report_filled_at_once(feed: "AnySymbol", trades: Sequence[Trade], outbox: Outbox) -> None:
    """Report a gap that one page both showed and filled with these trades."""
    first, last = trades[0], trades[-1]
    for kind in (FeedEventKind.GAP_OPENED, FeedEventKind.GAP_FILLED):
        feed.report(
            kind, outbox, first_id=first.trade_id, last_id=last.trade_id, from_us=first.time_us, until_us=last.time_us
        )
