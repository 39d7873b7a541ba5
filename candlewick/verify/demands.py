"""What may be demanded of a key where the source itself was wrong: computed from the simulator's record and exemptions.

The simulator says of each trade whether a client may lack it through no fault of its own, and why (`ExemptionKind`).
Together with the ids that the log has, this decides what candles may say:

- A minute that lost trades must not be `complete`.
- A minute next to it may be less than `complete`: for all that a client can know, the lost ids belong to it. The same
  holds for refused ids after the feed began again from an earlier minute: it cannot know what it had published.
- Where REST refuses to show even the newest trade that a client knows, and a minute or more passes without another
  one, the minutes until then may be less than `complete`: nobody can know in time that there was none.
- A minute may be anything if its lost trades are withheld ones and the log has no later trade: no id shows them yet.
- Every other minute must be `complete`.

Where ids are texts they show nothing that is missing, and the best that a minute can say is `connected`
(`connected_demands`):

- Without faults and kills every minute must be `connected`, and lack nothing.
- With them a minute may say less. A trade that the log lacks is lost if its minute does, and else missing: so what a
  connection left out without a word is found, which nobody can know but the simulator.

Pure.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from heapq import merge
from itertools import zip_longest
from typing import NamedTuple

from candlewick.verify.expected import (
    ANY_STATUS,
    LESS_THAN_COMPLETE,
    LESS_THAN_CONNECTED,
    MINUTE_US,
    Sent,
    SpanUs,
)
from candlewick.verify.spoken import CONNECTED


class ExemptionKind(StrEnum):
    """Why a client may lack a trade, or have it with other content; the words of the simulator."""

    WITHHELD = "withheld"
    """No source gave the trade. It is in no log: it is lost."""
    SPOILED = "spoiled"
    """Every source gave it with price or quantity 0. It is in no log: it is lost."""
    REFUSED = "refused"
    """REST was asked for it and did not have it any more, and no open connection had carried it.

    The log may have it: received before, or published before a kill. Where the log lacks it, it is lost.
    """
    JUMPED = "jumped"
    """The exchange left this id out: there is no such trade. Given only where REST refused to show that."""
    PASSED_OVER = "passed_over"
    """REST gave the ids before and behind it side by side, without it.

    The log may have it. Where it does not, the exchange's own word was that there is no such trade: nothing can know
    better, and nothing is demanded.
    """
    RETOLD = "retold"
    """It was given with two contents. The one that stands first in the log counts, everywhere."""
    RESET = "reset"
    """Ids begin anew with this trade.

    Nobody can be asked for older trades any more, and a client that was away cannot know where the new ids begin. So
    the trades that the log lacks before it, and right behind it, count as refused (`REACH_US`).
    """


REACH_US = 60 * MINUTE_US
"""How far from a reset trades may be missing because of it: a client's absence and its patience, in market time."""
_DOUBT_US = 10 * MINUTE_US
"""All minutes so near to what a reset cost are doubtful; the last marked minute may lie so far before it."""
NEVER_GIVEN = frozenset({ExemptionKind.WITHHELD, ExemptionKind.SPOILED})
_NOT_PROVED = NEVER_GIVEN | {ExemptionKind.JUMPED, ExemptionKind.REFUSED}


class Exemption(NamedTuple):
    """A trade that a client may lack, or have with this content, and why."""

    trade: Sent
    kind: ExemptionKind


class Demands(NamedTuple):
    """What may be demanded of one key. Minutes are given by their open times in microseconds."""

    absent: frozenset[str] = frozenset()
    """Ids that the log rightly lacks."""
    lost: tuple[Sent, ...] = ()
    """Those trades among them that the exchange had and never gave, in order of time."""
    statuses: Mapping[int, tuple[str, ...]] = {}
    """Minute → what it may say, where that is not the exchange's best alone."""
    retold: Mapping[str, Sent] = {}
    """Id → the other content that it was sent with."""

    def lost_in(self, span: SpanUs) -> int:
        """How many of the lost trades are of a span."""
        return sum(trade.time_us in span for trade in self.lost)

    def lost_minutes(self, span: SpanUs) -> list[int]:
        """The minutes of a span that lack trades."""
        return sorted({_minute(trade) for trade in self.lost if trade.time_us in span})


def demands(
    span: SpanUs,
    record: Sequence[Sent],
    exemptions: Iterable[Exemption],
    *,
    logged: Container[str],
    forgotten: Container[str] = (),
) -> Demands:
    """What follows from the record of a span and its exemptions, given the ids that the log has (`logged`).

    `forgotten` are the logged ids that a feed which began again later could not know of (`KeyLog.forgotten`).
    """
    kinds: dict[str, set[ExemptionKind]] = {}
    recorded = {trade.trade_id for trade in record}
    unrecorded: dict[str, Sent] = {}
    retold: dict[str, Sent] = {}
    resets: list[Sent] = []
    for trade, kind in exemptions:
        if kind is ExemptionKind.RETOLD:
            retold[trade.trade_id] = trade
        elif kind is ExemptionKind.RESET:
            resets.append(trade)
        else:
            kinds.setdefault(trade.trade_id, set()).add(kind)
            if trade.trade_id not in recorded:
                unrecorded.setdefault(trade.trade_id, trade)
    # Both are in the order in which the exchange made them; among trades of one time, ids decide.
    ordered = list(merge(record, unrecorded.values(), key=lambda trade: (trade.time_us, trade.number)))
    doubtful: set[int] = set()
    for reset in resets:
        cost = list(_cost_of(reset, ordered, logged))
        for trade in cost:
            kinds.setdefault(trade.trade_id, set()).add(ExemptionKind.REFUSED)
        times_us = [reset.time_us, *(trade.time_us for trade in cost)]
        first_us, last_us = min(times_us) - _DOUBT_US, max(times_us) + _DOUBT_US
        doubtful.update(range(first_us - first_us % MINUTE_US, last_us, MINUTE_US))
    known = {
        trade_id
        for trade_id, of_trade in kinds.items()
        if ExemptionKind.REFUSED in of_trade and trade_id in logged and trade_id not in forgotten
    }
    doubtful |= _quiet_minutes(span, ordered, known)
    for trade_id in known:
        kinds[trade_id].discard(ExemptionKind.REFUSED)
    absent = frozenset(
        trade_id for trade_id, of_trade in kinds.items() if of_trade & NEVER_GIVEN or trade_id not in logged
    )
    last_us = max((trade.time_us for trade in ordered if trade.trade_id in logged), default=0)
    lost = tuple(
        trade
        for trade in ordered
        if trade.trade_id in absent and _is_lost(kinds[trade.trade_id])
        if trade.time_us <= last_us or ExemptionKind.WITHHELD not in kinds[trade.trade_id]
    )
    statuses: dict[int, tuple[str, ...]] = dict.fromkeys(
        doubtful | _unproved_minutes(span, ordered, kinds, absent), ANY_STATUS
    )
    statuses |= dict.fromkeys((_minute(trade) for trade in lost), LESS_THAN_COMPLETE)
    return Demands(absent, lost, statuses, retold)


def connected_demands(
    record: Iterable[Sent],
    exemptions: Iterable[Exemption],
    *,
    logged: Container[str],
    said: Mapping[int, str],
    disturbed: bool,
) -> Demands:
    """What follows from the record of a span where ids are texts, given the statuses that the log's minutes have.

    `said`: the minute → its status. `disturbed`: there were faults, kills or earlier runs.
    """
    if not disturbed:
        return Demands()
    lost = tuple(
        trade for trade in record if trade.trade_id not in logged and said.get(_minute(trade)) in LESS_THAN_CONNECTED
    )
    retold = {trade.trade_id: trade for trade, kind in exemptions if kind is ExemptionKind.RETOLD}
    statuses = dict.fromkeys(said, (CONNECTED, *LESS_THAN_CONNECTED)) | dict.fromkeys(
        map(_minute, lost), LESS_THAN_CONNECTED
    )
    return Demands(frozenset(trade.trade_id for trade in lost), lost, statuses, retold)


def _is_lost(kinds: set[ExemptionKind]) -> bool:
    """Whether an absent trade of these kinds was one that the exchange had."""
    return bool(kinds & NEVER_GIVEN) or kinds == {ExemptionKind.REFUSED}


def _cost_of(reset: Sent, ordered: Sequence[Sent], logged: Container[str]) -> Iterator[Sent]:
    """What the log lacks because of a reset: all before it, and behind it up to the first trade that the log has."""
    index = next(number for number, trade in enumerate(ordered) if trade.trade_id == reset.trade_id)
    yield from (
        trade for trade in ordered[:index] if trade.trade_id not in logged and reset.time_us - trade.time_us <= REACH_US
    )
    for trade in ordered[index:]:
        if trade.trade_id in logged or trade.time_us - reset.time_us > REACH_US:
            return
        yield trade


def _quiet_minutes(span: SpanUs, ordered: Sequence[Sent], refused: Container[str]) -> set[int]:
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
    span: SpanUs, ordered: Sequence[Sent], kinds: Mapping[str, set[ExemptionKind]], absent: Container[str]
) -> set[int]:
    """The minutes from the last given trade before a trade that is not proved, to the first given trade behind it."""
    minutes: set[int] = set()
    before: Sent | None = None
    first: Sent | None = None
    for trade in ordered:
        if kinds.get(trade.trade_id, set()) & _NOT_PROVED:
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
