"""Which minutes a run publishes. Pure.

The plan looks at the log and the file together. A minute is published if the candle made of both would differ from the
candle that is there. So candles depend on all that was ever imported, not on the order or the grouping of imports.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from market.candle import STATUS_OF_PROOF, Status, trade_order
from market.given_candle import GivenCandle
from market.ids import SeenIds
from market.timeframe import MINUTE_US, minute_us, next_minute_us
from market.trade import Proof
from producers.archive.dump import DumpPeriod
from producers.archive.logged import Current, LoggedMinute, LogSurvey, count_of
from producers.archive.proof import IdKind, MissingIds, Proofs, kind_of, prove
from producers.archive.survey import MinuteTrades, SkippedRows, Survey
from runtime.errors import UsageError

PROOF_OF_STATUS = {status: proof for proof, status in STATUS_OF_PROOF.items()}


class Last(NamedTuple):
    """Id and price of the last trade before some time."""

    trade_id: str | None
    price: Decimal


class PlannedMinute(NamedTuple):
    """A minute to publish; its marker is due once `after_row` rows of the file are published."""

    open_us: int
    proof: Proof
    claim: Proof | None
    """What files and live feeds said of the minute, apart from what ids prove."""
    trades: int
    last: Last | None
    """The last trade before its end."""
    after_row: int
    kline: GivenCandle | None = None
    """The exchange's own candle, if the proof is `kline`."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one file changes."""

    minutes: Sequence[PlannedMinute]
    """In order; empty: nothing is published but rows that are kept for later imports."""
    before: Last | None
    """The last trade before the first of `minutes`."""
    gaps: Sequence[MissingIds]
    """The missing ids that are the reason for holes among `minutes`."""
    left: int
    """How many minutes of the file are left as they are: their candles already say as much."""
    skipped: Sequence[SkippedRows] = ()
    """The skipped rows of the file that may be trades."""
    out_of_reach: Sequence[int] = ()
    """Open times of minutes that should be published, but need trades that are no longer in the log."""
    compare: frozenset[int] = frozenset()
    """Minutes with ids that both log and file have: their contents have to be compared."""
    read_back: frozenset[int] = frozenset()
    """Minutes with trades in the log that have to be published again."""
    kind: IdKind = IdKind.CONTIGUOUS
    unfinished: int = 0
    """How many trades lie in minutes that neither a file nor ids call whole."""
    kept: int = 0
    """How many trades lie in minutes that are not published; the log keeps them for later imports."""

    @property
    def publishes(self) -> bool:
        """Whether there is anything to publish."""
        return bool(self.minutes or self.kept)


def covered(
    survey: Survey, named: DumpPeriod | None, *, from_us: int | None = None, until_us: int | None = None
) -> DumpPeriod:
    """The minutes that a file is taken to hold completely; the period may be empty.

    - `named` (the day or month in the file's name): all of its minutes.
    - No `named`: the minutes between the first trade's minute and the last trade's minute, without these two, since the
      file may begin or end within them.
    - `from_us`, `until_us` (what was asked for) replace the beginning or the end. A part of a minute does not count,
      and the period never begins before the minute of the first trade, or before `named`.

    Raises `UsageError` if no trade lies in `named`.
    """
    opening_us = minute_us(survey.first_us)
    if named and until_us is None and (survey.newest_us < named.from_us or survey.first_us >= named.until_us):
        raise UsageError(
            "no trade lies in the time that the file's name says: rename it, or say its end with --complete-until"
        )
    earliest_us = min(named.from_us, opening_us) if named else opening_us
    if from_us is not None:
        begin_us = max(next_minute_us(from_us), earliest_us)
    else:
        begin_us = named.from_us if named else opening_us + MINUTE_US
    last_us = named.until_us if named else survey.newest_us
    end_us = minute_us(last_us if until_us is None else until_us)
    return DumpPeriod(begin_us, max(begin_us, end_us))


def plan(
    survey: Survey,
    claims: Mapping[int, Status],
    log: LogSurvey,
    *,
    until_us: int,
    kind: IdKind | None = None,
    forced: bool = False,
) -> Plan:
    """What a run of the file changes. `until_us`: from here on live data count. `kind` None: the ids show it."""
    union = _Union(survey, claims, log, kind)
    return _Planning(union, until_us=until_us, forced=forced).plan()


class _Union:
    """What file and log hold of a market, together."""

    def __init__(self, survey: Survey, claims: Mapping[int, Status], log: LogSurvey, kind: IdKind | None) -> None:
        self.survey, self.claims, self.log = survey, claims, log
        self.ids = {open_us: ids for open_us, minute in log.minutes.items() if count_of(ids := minute.ids())}
        for open_us, minute in survey.minutes.items():
            self.ids[open_us] = _together(self.ids.get(open_us), minute.ids)
        self.claimed: dict[int, Status] = dict(claims)
        for open_us in log.minutes:
            logged, own = log.claim(open_us), claims.get(open_us)
            if logged is not None and (own is None or logged.rank < own.rank):
                self.claimed[open_us] = logged
        self.kind = kind or kind_of(self.ids.values())
        self.proofs: Proofs = prove(self.ids, self.kind, self.claimed)

    def minutes(self) -> list[int]:
        """Open times of all minutes that anything is known of, in order."""
        return sorted({*self.ids, *self.claimed, *self.proofs.whole_minutes(), *self.log.minutes})

    def status(self, open_us: int) -> Status | None:
        """The status that the minute's candle should have; None: it should have no candle.

        An exchange's own candle counts until the minute's trades are known, or a source calls it whole.
        """
        return self._status(open_us) if self._kline_close(open_us) is None else Status.KLINE

    def _status(self, open_us: int) -> Status | None:
        if self.proofs.lacks(open_us):
            return Status.HOLE
        return Status.COMPLETE if self.proofs.is_whole(open_us) else self.claimed.get(open_us)

    def claims_more(self, open_us: int) -> bool:
        """Whether the file claims more for the minute than the log does: later imports have to know it."""
        own, logged = self.claims.get(open_us), self.log.claim(open_us)
        return own is not None and (logged is None or own.rank < logged.rank)

    def last(self, open_us: int) -> Last | None:
        """The last trade of the minute; the price that the exchange itself gives for it, if its kline stands in."""
        kline_close = self._kline_close(open_us)
        if kline_close is not None:
            return Last(None, kline_close)
        in_file, logged = self.survey.minutes.get(open_us), self.log.minutes.get(open_us)
        trades = [trade for trade in (in_file and in_file.last, logged and logged.last()) if trade]
        if trades:
            trade = max(trades, key=trade_order)
            return Last(trade.trade_id, trade.price)
        candle = logged.candle if logged else None
        is_of_trades = candle is not None and candle.trades and candle.status is not Status.KLINE
        return Last(candle.last_id, candle.close) if candle is not None and is_of_trades else None

    def _kline_close(self, open_us: int) -> Decimal | None:
        logged = self.log.minutes.get(open_us)
        current = None if logged is None else logged.current(self.log.processed)
        if current is None or current.status is not Status.KLINE:
            return None
        status = self._status(open_us)
        return current.close if status is None or status.rank >= Status.KLINE.rank else None


class _Planning:
    def __init__(self, union: _Union, *, until_us: int, forced: bool) -> None:
        self._union = union
        self._until_us = until_us
        self._forced = forced
        self._minutes: list[PlannedMinute] = []
        self._out_of_reach: list[int] = []
        self._compare: set[int] = set()
        self._read_back: set[int] = set()
        self._before: Last | None = None

    def plan(self) -> Plan:
        union, last, after_row = self._union, None, 0
        for open_us in union.minutes():
            if open_us >= self._until_us:
                break
            before = last
            last = union.last(open_us) or last or self._flat_price(open_us)
            in_file = union.survey.minutes.get(open_us)
            if in_file is not None:
                after_row = max(after_row, in_file.last_row)
            logged = union.log.minutes.get(open_us)
            if in_file is not None and logged is not None and _must_compare(in_file, logged):
                self._compare.add(open_us)
            status = union.status(open_us)
            if status is None or not self._changes(open_us, status, last):
                continue
            if logged is not None and not self._reach(open_us, in_file, logged):
                self._out_of_reach.append(open_us)
                continue
            if not self._minutes:
                self._before = before
            claimed, count = union.claimed.get(open_us), count_of(union.ids.get(open_us, _NO_IDS))
            claim = None if claimed is None else PROOF_OF_STATUS[claimed]
            kline = logged.kline() if logged is not None and status is Status.KLINE else None
            self._minutes.append(PlannedMinute(open_us, PROOF_OF_STATUS[status], claim, count, last, after_row, kline))
        return self._result()

    def _flat_price(self, open_us: int) -> Last | None:
        """The price of a minute before the first known trade: what its markers or its candle say."""
        logged = self._union.log.minutes.get(open_us)
        current = None if logged is None else logged.current(self._union.log.processed)
        return None if current is None or current.close is None else Last(None, current.close)

    def _changes(self, open_us: int, status: Status, last: Last | None) -> bool:
        """Whether a candle with this status and last trade differs from the candle that is there."""
        union = self._union
        logged = union.log.minutes.get(open_us)
        current = None if logged is None else logged.current(union.log.processed)
        if status is Status.KLINE:  # nothing changes, but later imports have to know what files claim
            return logged is not None and logged.kline() is not None and union.claims_more(open_us)
        if (self._forced and open_us in union.claims) or union.claims_more(open_us):
            return True
        if current is None:
            return last is not None  # without any price there is no candle
        return _differs(current, status, count_of(union.ids.get(open_us, _NO_IDS)), last)

    def _reach(self, open_us: int, in_file: MinuteTrades | None, logged: LoggedMinute) -> bool:
        """Whether all trades of the minute can be published; notes if the log's trades have to be read back."""
        known = logged.ids()
        is_superset = in_file is not None and _holds(in_file.ids, known)
        if not is_superset and logged.from_offset >= 0:
            self._read_back.add(open_us)
        if logged.has_all():
            return True
        if in_file is None or logged.candle is None:
            return False
        return is_superset and (logged.is_exact or count_of(in_file.ids) > logged.candle.trades)

    def _result(self) -> Plan:
        union = self._union
        published = {minute.open_us: minute.proof for minute in self._minutes}
        in_file = [(open_us, minute) for open_us, minute in union.survey.minutes.items() if open_us < self._until_us]
        unfinished = sum(count_of(minute.ids) for open_us, minute in in_file if union.status(open_us) is None)
        kept = sum(self._new_ids(open_us) for open_us, _ in in_file if open_us not in published)
        holes = {open_us for open_us, proof in published.items() if proof is Proof.HOLE}
        return Plan(
            minutes=self._minutes,
            before=self._before,
            gaps=[gap for gap in union.proofs.gaps if any(open_us in holes for open_us in gap.minutes())],
            left=sum(1 for open_us in union.claims if open_us not in published),
            skipped=union.survey.skipped(self._until_us),
            out_of_reach=self._out_of_reach,
            compare=frozenset(self._compare),
            read_back=frozenset(self._read_back | self._compare),
            kind=union.kind,
            unfinished=unfinished,
            kept=kept,
        )

    def _new_ids(self, open_us: int) -> int:
        """How many trades of a minute are in the file but not in the log."""
        logged = self._union.log.minutes.get(open_us)
        known = _NO_IDS if logged is None else logged.ids()
        return count_of(self._union.ids[open_us]) - count_of(known)


_NO_IDS = SeenIds()


def _differs(current: Current, status: Status, count: int, last: Last | None) -> bool:
    if (current.status, current.trades) != (status, count):
        return True
    return not count and last is not None and current.close != last.price


def _must_compare(in_file: MinuteTrades, logged: LoggedMinute) -> bool:
    """Whether both have copies of an id that may differ."""
    for series in logged.series.values():
        trades = series.trades
        same = trades.digest == in_file.digest and _equal(trades.ids, in_file.ids)
        if not same and _overlap(trades.ids, in_file.ids):
            return True
    return False


def _equal(first: SeenIds, second: SeenIds) -> bool:
    return first.numbers == second.numbers and first.texts == second.texts


def _overlap(first: SeenIds, second: SeenIds) -> bool:
    return count_of(_together(first, second)) < count_of(first) + count_of(second)


def _holds(ids: SeenIds, others: SeenIds) -> bool:
    return count_of(_together(ids, others)) == count_of(ids)


def _together(known: SeenIds | None, more: SeenIds) -> SeenIds:
    ids = SeenIds(more.numbers, more.texts)
    if known is not None:
        for first, last in known.numbers:
            ids.numbers.cover(first, last)
        for text in known.texts:
            ids.add(text, None)
    return ids
