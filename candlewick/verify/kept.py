"""What a store must have of the longer candles, tickers, bars and signals of the log. Pure."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from candlewick.verify.differences import exact_differences
from candlewick.verify.expected import Fields, SpanUs
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.logged import DataKey, KeptKind, KeptRow, LoggedMarket, LoggedVersion, row_of
from candlewick.verify.names import record_name

_PIECE_RECORDS = 5_000
"""About so many records of a market are compared at a time."""
_FOREVER_US = 7_258_118_400_000_000
"""2200-01-01: no record is of a later time."""


class KeptPlace(NamedTuple):
    """Where records are compared."""

    store: str
    key: str
    kind: KeptKind

    def words(self, name: DataKey) -> str:
        """A record there, in words."""
        return record_name(self.kind, self.key, name, self.store)


def in_pieces(market: LoggedMarket) -> Iterator[tuple[SpanUs, list[LoggedVersion]]]:
    """A market's records in order of time, some at a time, each with its part of all time."""
    versions = sorted(market.values(), key=lambda version: version.time_us)
    from_us = first = 0
    while True:
        last = first + _PIECE_RECORDS
        while last < len(versions) and versions[last].time_us == versions[last - 1].time_us:
            last += 1  # those of one time stay together
        if last >= len(versions):
            yield SpanUs(from_us, _FOREVER_US), versions[first:]
            return
        until_us = versions[last].time_us
        yield SpanUs(from_us, until_us), versions[first:last]
        from_us, first = until_us, last


def newest_kept(market: LoggedMarket, count: int, since_ms: int) -> set[DataKey]:
    """Of one list of Redis the records that have to be there: of the newest `count` those written since then.

    Of several of one time, at the end of a full list, any may have gone.
    """
    newest = sorted(market.items(), key=lambda item: item[1].time_us)[-count:]
    edge_us = newest[0][1].time_us if len(market) > count else -1
    return {name for name, version in newest if version.time_us > edge_us and version.written_ms >= since_ms}


def check_kept(
    place: KeptPlace,
    logged: Iterable[LoggedVersion],
    stored: Iterable[KeptRow],
    findings: Findings,
    *,
    optional: Iterable[LoggedVersion] = (),
    may_have_more: bool = False,
) -> None:
    """A store must have each of these records, in a form of the highest revision, once, and no others.

    `optional` are others of the log, which it may lack; `may_have_more` says that the log was compacted.
    """
    left, may_lack = _by_name(place.kind, logged), _by_name(place.kind, optional)
    seen: set[DataKey] = set()
    for name, fields in stored:
        words = place.words(name)
        if name in seen:
            findings.add(FindingKind.DUPLICATE, words)
        elif versions := left.pop(name, None) or may_lack.get(name):
            findings.count_stored(place.store, place.kind)
            differing = [exact_differences(version, fields) for version in versions]
            if all(differing):
                findings.add(FindingKind.DIFFERENT, f"{words}: {differing[-1]}")
        elif not may_have_more:
            findings.add(FindingKind.DIFFERENT, f"{words}: the log has none, or a newer one in its place")
        seen.add(name)
    for name in left:
        findings.add(FindingKind.MISSING, place.words(name))


def _by_name(kind: KeptKind, versions: Iterable[LoggedVersion]) -> dict[DataKey, list[Fields]]:
    by_name: dict[DataKey, list[Fields]] = {}
    for version in versions:
        for name, fields in version.rows(kind):
            by_name.setdefault(name, []).append(fields)
    return by_name


def check_by_offset(
    kind: KeptKind,
    source: str,
    logged: Mapping[int, tuple[bytes, str]],
    stored: Iterable[tuple[int, KeptRow]],
    findings: Findings,
) -> None:
    """Parquet must have each record of a partition of the log, once, unchanged, and no others.

    `source` are topic and partition; `logged` has values and runs by offset, `stored` are offsets and rows.
    """
    left = dict(logged)

    def words(offset: int, row: KeptRow) -> str:
        key = f"{row.fields['exchange']}:{row.fields['symbol']}"
        return f"{record_name(kind, key, row.name, 'Parquet')} ({source} offset {offset})"

    for offset, row in stored:
        if offset in left:
            findings.count_stored("Parquet", kind)
            expected = _row_of_value(kind, *left.pop(offset))
            if differing := exact_differences(expected.fields, row.fields):
                findings.add(FindingKind.DIFFERENT, f"{words(offset, row)}: {differing}")
            elif row.name != expected.name:
                findings.add(FindingKind.DIFFERENT, f"{words(offset, row)}: the log has another run")
        elif offset in logged:
            findings.add(FindingKind.DUPLICATE, words(offset, row))
        else:
            findings.add(FindingKind.DIFFERENT, f"{words(offset, row)} is no record of the log")
    for offset, (value, run) in left.items():
        findings.add(FindingKind.MISSING, words(offset, _row_of_value(kind, value, run)))


def _row_of_value(kind: KeptKind, value: bytes, run: str) -> KeptRow:
    return row_of(kind, json.loads(value.decode()), run)


def sizes_in(markets: Collection[DataKey]) -> set[tuple[str, str]]:
    """Kind and threshold of these live bars."""
    return {(kind, threshold) for run, kind, threshold, _, _ in markets if not run}
