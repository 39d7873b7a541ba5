"""What may be demanded of a key where the source itself was wrong: computed from the simulator's record and exceptions.

The simulator says of each trade whether a client may lack it without a fault of its own, and why (its word for it is a
*fate*). From that, and from which ids the log has, follows what candles may say:

- **withheld** and **spoiled** trades (nobody gives them, or with price or quantity 0) are in no log. They are lost.
- **refused** trades (REST was asked for them and had them no more, and no connection that was open then had carried
  them) may be in the log: got before, or published before a kill. Where they are not, they are lost.
- **jumped** ids are no trades. They are told only where REST was asked for them and refused to show that.
- **passed over** trades (REST gave the ids before and behind them side by side) may be in the log too. Where they are
  not, the exchange's own word was that there are none: nothing can know better, and nothing is demanded.
- **retold** trades have two contents. The copy that comes first in the log counts, everywhere.
- With a **reset** ids begin anew. Nobody can be asked for older trades any more, nor does a client that was away know
  where the new ids begin: what the log lacks before it, and right behind it, is refused (`REACH_US`).
- Where REST refuses to show even the newest trade that a client knows, and a minute or more passes without another
  one, nobody can know in time that there was none.

A minute that lost trades are of must not say `complete`. A minute next to them may say less than `complete`: the lost
ids may belong to it for all that a client can know. So may ids that are refused after the feed began again from an
earlier minute: it cannot know what it had published. Every other minute must be `complete`.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import zip_longest
from typing import NamedTuple

from candlewick.verify.expected import ANY_STATUS, LESS_THAN_COMPLETE, MINUTE_US, Sent, SpanUs

WITHHELD, SPOILED, REFUSED, JUMPED, RETOLD, RESET = "withheld", "spoiled", "refused", "jumped", "retold", "reset"
REACH_US = 60 * MINUTE_US
"""How far from a reset trades may be missing because of it: a client's absence and its patience, in market time."""
_DOUBT_US = 10 * MINUTE_US
"""How far before what a reset cost the last minute that was marked may lie, and how near to it all is doubtful."""
_NEVER_GIVEN = frozenset({WITHHELD, SPOILED})
_NOT_PROVED = frozenset({WITHHELD, SPOILED, JUMPED, REFUSED})


class Exception_(NamedTuple):  # noqa: N801  # the builtin has the plain name
    """A trade that a client may lack, or have with this content, and the fate that says why."""

    trade: Sent
    fate: str


class Demands(NamedTuple):
    """What may be demanded of one key. Minutes are open times in microseconds."""

    absent: frozenset[int] = frozenset()
    """Ids that the log rightly lacks."""
    lost: tuple[Sent, ...] = ()
    """Those of them that the exchange had and never gave, in order of time."""
    statuses: Mapping[int, tuple[str, ...]] = {}
    """Minute → what it may say, where that is not `complete` alone."""
    retold: Mapping[int, Sent] = {}
    """Id → the other content that it was told with."""

    def lost_in(self, span: SpanUs) -> int:
        """How many of the lost trades are of a span."""
        return sum(trade.time_us in span for trade in self.lost)

    def lost_minutes(self, span: SpanUs) -> list[int]:
        """The minutes of a span that lack trades."""
        return sorted({_minute(trade) for trade in self.lost if trade.time_us in span})


def demands(
    span: SpanUs,
    record: Sequence[Sent],
    exceptions: Iterable[Exception_],
    *,
    logged: Container[int],
    forgotten: Container[int] = (),
) -> Demands:
    """What follows from the record of a span and its exceptions, given which ids the log has.

    `forgotten` are those of them that lie before a later beginning of the feed, and after the minute it began with.
    """
    fates: dict[int, set[str]] = {}
    told = {trade.trade_id for trade in record}
    untold: dict[int, Sent] = {}
    retold: dict[int, Sent] = {}
    resets: list[Sent] = []
    for trade, fate in exceptions:
        if fate == RETOLD:
            retold[trade.trade_id] = trade
        elif fate == RESET:
            resets.append(trade)
        else:
            fates.setdefault(trade.trade_id, set()).add(fate)
            if trade.trade_id not in told:
                untold.setdefault(trade.trade_id, trade)
    # Both are in the order in which the exchange made them; of one time, what it left out has its place by id.
    ordered = list(merge(record, untold.values(), key=lambda trade: (trade.time_us, trade.trade_id)))
    doubtful: set[int] = set()
    for reset in resets:
        cost = list(_cost_of(reset, ordered, logged))
        for trade in cost:
            fates.setdefault(trade.trade_id, set()).add(REFUSED)
        times_us = [reset.time_us, *(trade.time_us for trade in cost)]
        first_us, last_us = min(times_us) - _DOUBT_US, max(times_us) + _DOUBT_US
        doubtful.update(range(first_us - first_us % MINUTE_US, last_us, MINUTE_US))
    known = {number for number, why in fates.items() if REFUSED in why and number in logged and number not in forgotten}
    doubtful |= _quiet_minutes(span, ordered, known)
    for number in known:
        fates[number].discard(REFUSED)
    absent = frozenset(number for number, why in fates.items() if why & _NEVER_GIVEN or number not in logged)
    lost = tuple(
        trade
        for trade in ordered
        if trade.trade_id in absent and (fates[trade.trade_id] & _NEVER_GIVEN or fates[trade.trade_id] == {REFUSED})
    )
    statuses: dict[int, tuple[str, ...]] = dict.fromkeys(
        doubtful | _unproved_minutes(span, ordered, fates, absent), ANY_STATUS
    )
    statuses |= dict.fromkeys((_minute(trade) for trade in lost), LESS_THAN_COMPLETE)
    return Demands(absent, lost, statuses, retold)


def _cost_of(reset: Sent, ordered: Sequence[Sent], logged: Container[int]) -> Iterator[Sent]:
    """What the log lacks because of a reset: before it all, behind it what comes before the first that it has."""
    at = next(number for number, trade in enumerate(ordered) if trade.trade_id == reset.trade_id)
    yield from (
        trade for trade in ordered[:at] if trade.trade_id not in logged and reset.time_us - trade.time_us <= REACH_US
    )
    for trade in ordered[at:]:
        if trade.trade_id in logged or trade.time_us - reset.time_us > REACH_US:
            return
        yield trade


def _quiet_minutes(span: Span, ordered: Sequence[Sent], refused: Container[int]) -> set[int]:
    """The minutes behind a trade that REST refused to show, where there was none for a minute.

    A page that does not begin with the newest known trade cannot show that there was nothing after it.
    """
    minutes: set[int] = set()
    for trade, later in zip_longest(ordered, ordered[1:]):
        until_us = span.until_us if later is None else later.time_us + 1
        if trade.trade_id in refused and until_us - trade.time_us > MINUTE_US:
            minutes.update(range(_minute(trade), until_us, MINUTE_US))
    return minutes


def _unproved_minutes(
    span: SpanUs, ordered: Sequence[Sent], fates: Mapping[int, set[str]], absent: Container[int]
) -> set[int]:
    """The minutes from the last given trade before a trade that is not proved to the first given after it."""
    minutes: set[int] = set()
    before: Sent | None = None
    first: Sent | None = None
    for trade in ordered:
        if fates.get(trade.trade_id, set()) & _NOT_PROVED:
            first = first or before or trade
        elif trade.trade_id not in absent:
            if first is not None:
                minutes.update(range(_minute(first), trade.time_us + 1, MINUTE_US))
            before, first = trade, None
    if first is not None:
        minutes.update(range(_minute(first), span.until_us, MINUTE_US))
    return minutes


def _minute(trade: Sent) -> int:
    return trade.time_us - trade.time_us % MINUTE_US
