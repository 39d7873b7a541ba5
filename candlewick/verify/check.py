"""One key compared with the simulator's record: its trades and its candles, in the log and in every store. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from candlewick.verify.amounts import clock
from candlewick.verify.demands import Demands
from candlewick.verify.expected import MINUTE_US, Fields, Sent, SpanUs, differences
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.log import KeyLog, trade_digest


class StoredTrade(NamedTuple):
    """A trade as a store has it: its id and its digest."""

    trade_id: str
    digest: int


def digests_of(key: str, trades: Iterable[Sent]) -> dict[str, int]:
    """Trade id → digest."""
    return {
        trade.trade_id: trade_digest(
            key=key,
            trade_id=trade.trade_id,
            price=trade.price,
            qty=trade.qty,
            side=trade.side,
            time_us=trade.time_us,
        )
        for trade in trades
    }


def check_log(
    key: str, log: KeyLog, sent: Mapping[str, int], span: SpanUs, findings: Findings, *, also: Mapping[str, int]
) -> None:
    """The log must have each trade of a span that was sent, at least once, unchanged, and no others.

    `also` has the digests of the other content of ids that were sent with two contents.
    """
    seen: set[str] = set()
    for trade_id, digest, time_us in zip(log.ids, log.digests, log.times_us, strict=True):
        if trade_id in sent:
            if digest != sent[trade_id] and not (trade_id in seen and digest == also.get(trade_id)):
                findings.add(FindingKind.DIFFERENT, f"the log's trade {trade_id} of {key} at {clock(time_us)}")
            elif trade_id in seen:
                findings.redelivered += 1
            seen.add(trade_id)
        elif time_us in span:
            findings.add(FindingKind.DIFFERENT, f"the log has a trade {trade_id} of {key} that was never sent")
    for trade_id in sent.keys() - seen:
        findings.add(FindingKind.MISSING, f"trade {trade_id} of {key} in the log")


def check_store(
    store: str, key: str, stored: Iterable[StoredTrade], sent: Mapping[str, int], findings: Findings
) -> None:
    """A store must have each trade of a span that was sent, exactly once, unchanged, and no others."""
    left = dict(sent)
    for trade_id, digest in stored:
        if trade_id not in sent:
            findings.add(FindingKind.DIFFERENT, f"{store} has a trade {trade_id} of {key} that was never sent")
        elif trade_id not in left:
            findings.add(FindingKind.DUPLICATE, f"trade {trade_id} of {key} in {store}")
        elif left.pop(trade_id) != digest:
            findings.add(FindingKind.DIFFERENT, f"trade {trade_id} of {key} in {store}")
    for trade_id in left:
        findings.add(FindingKind.MISSING, f"trade {trade_id} of {key} in {store}")


def check_candles(
    place: str, key: str, candles: Mapping[int, Fields], expected: Sequence[Fields], findings: Findings
) -> None:
    """A place must have all expected candles. `candles`: open time (milliseconds) → the one of the highest revision."""
    for fields in expected:
        open_ms = fields["open_time_ms"]
        name = f"the candle of {key} at {clock(open_ms * 1000)} in {place}"
        if open_ms not in candles:
            findings.add(FindingKind.MISSING, name)
        elif differing := differences(fields, candles[open_ms]):
            findings.add(FindingKind.DIFFERENT, f"{name}: {differing}")


def check_markers(key: str, log: KeyLog, span: SpanUs, findings: Findings) -> None:
    """There must be a marker for every minute of the span."""
    for open_us in span.minutes():
        if open_us + MINUTE_US not in log.marked:
            findings.add(FindingKind.MISSING, f"the marker of {key} for the minute {clock(open_us)}")


def count_lost(log: KeyLog, lost: Demands, span: SpanUs, findings: Findings) -> None:
    """Count the trades that the source lost, their minutes, and those of the minutes that still say `complete`."""
    minutes = lost.lost_minutes(span)
    statuses = [log.status(open_us) for open_us in minutes]
    findings.lost += lost.lost_in(span)
    findings.lost_minutes += len(minutes)
    findings.lost_complete += statuses.count("complete")


def first_in_log(key: str, log: KeyLog, retold: Mapping[str, Sent]) -> dict[str, Sent]:
    """Of the ids that were sent with two contents: those whose other content (`retold`) stands first in the log."""
    if not retold:
        return {}
    others = digests_of(key, retold.values())
    first: dict[str, Sent] = {}
    seen: set[str] = set()
    for trade_id, digest in zip(log.ids, log.digests, strict=True):
        if trade_id in retold and trade_id not in seen:
            seen.add(trade_id)
            if digest == others[trade_id]:
                first[trade_id] = retold[trade_id]
    return first
