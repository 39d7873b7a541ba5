"""What stores must have of tickers, bars and signals: what is right passes, and what was spoiled is named."""

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cold_rows import files, record

from candlewick.verify.cold import ColdFiles
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.kept import KeptPlace, check_by_offset, check_kept, in_pieces, newest_kept
from candlewick.verify.logged import KeptKind, KeptRow, LoggedKind, LoggedMarket, LoggedVersion, row_of, rows_of
from runtime.settings import load_settings
from sinks.parquet.files import parquet_bytes
from sinks.parquet.schema import BARS, SIGNALS, Dataset

KEY = "binance:BTC-USDT"
MINUTE_MS = 60_000
START_MS = 1_700_000_040_000
WINDOW = {
    "minutes": 60, "open": "1.5", "high": "2", "low": "1", "close": "1.75", "change": "0.25",
    "change_percent": "16.6667", "vwap": "1.5", "volume": "3", "quote_volume": "4.5", "taker_buy_volume": "1",
    "trades": 5, "status": "complete", "since_ms": START_MS - 59 * MINUTE_MS, "missing": 0,
    "taker_buy_share": "0.333333", "realised_volatility": None,
}  # fmt: skip


def ticker(number: int, revision: int, **fields: Any) -> dict[str, Any]:
    shared = {"exchange": "binance", "symbol": "BTC-USDT", "time_ms": START_MS + number * MINUTE_MS, "last": "1.75"}
    return {**shared, "live": False, "revision": revision, "windows": {"1h": WINDOW, "24h": WINDOW}, **fields}


def bar(number: int, revision: int, **fields: Any) -> dict[str, Any]:
    time_us = START_MS * 1000 + number
    return {
        "exchange": "binance", "symbol": "BTC-USDT", "kind": "tick", "threshold": "7",
        "series_begin_us": START_MS * 1000, "number": number, "open_time_us": time_us, "close_time_us": time_us + 1,
        "open": "1.5", "high": "2", "low": "1", "close": "1.75", "volume": "3", "quote_volume": "4.5", "trades": 7,
        "taker_buy_volume": "1", "taker_buy_quote_volume": "1.5", "first_trade_id": str(number),
        "last_trade_id": str(number + 6), "remainder": "0", "late_trades": 0, "revision": revision,
        "status": "complete", **fields,
    }  # fmt: skip


def signal(number: int, revision: int, **fields: Any) -> dict[str, Any]:
    return {
        "exchange": "binance", "symbol": "BTC-USDT", "kind": "spread", "state": "begin", "severity": "warning",
        "time_ms": START_MS + number * MINUTE_MS, "revision": revision, "other": "kraken:BTC-USDT",
        "window_minutes": 1, "values": {"spread_bps": "31.5", "bought": "100", "sold": "101.25"}, **fields,
    }  # fmt: skip


MADE = {KeptKind.TICKER: ticker, KeptKind.BAR: bar, KeptKind.SIGNAL: signal}


def logged(kind: KeptKind, records: Iterable[dict[str, Any]], *, run: str = "") -> LoggedKind:
    of_kind = LoggedKind(kind)
    headers = [("run", run.encode())] if run else []
    for offset, fields in enumerate(records):
        of_kind.take(record(fields, offset, headers)._replace(key=KEY.encode()))
    return of_kind


def market(kind: KeptKind, records: Iterable[dict[str, Any]]) -> LoggedMarket:
    return logged(kind, records).markets[KEY]


def rows(kind: KeptKind, records: Iterable[dict[str, Any]]) -> list[KeptRow]:
    return [row for fields in records for row in rows_of(kind, fields)]


def checked(
    kind: KeptKind, in_log: Sequence[dict[str, Any]], stored: Sequence[KeptRow], *, may_have_more: bool = False
) -> Findings:
    findings = Findings()
    versions = market(kind, in_log).values()
    check_kept(KeptPlace("PostgreSQL", KEY, kind), versions, stored, findings, may_have_more=may_have_more)
    return findings


@pytest.mark.parametrize("kind", MADE)
def test_a_store_with_the_newest_revision_of_each_record_is_right(kind: KeptKind) -> None:
    made = MADE[kind]
    in_log = [made(1, 5), made(2, 6), made(1, 7, status="hole"), made(3, 8), made(3, 4)]
    stored = rows(kind, [made(1, 7, status="hole"), made(2, 6), made(3, 8)])
    findings = checked(kind, in_log, stored)
    assert findings.named == []
    assert findings.stored["PostgreSQL"][kind] == len(stored)


SPOILT = {
    KeptKind.TICKER: ("vwap", "9"), KeptKind.BAR: ("volume", "9"), KeptKind.SIGNAL: ("values", {"spread_bps": "9"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", MADE)
def test_what_a_store_has_otherwise_is_named_with_both_values(kind: KeptKind) -> None:
    made, (field, value) = MADE[kind], SPOILT[kind]
    stored = rows(kind, [made(1, 5), made(2, 6)])
    stored[-1] = stored[-1]._replace(fields=stored[-1].fields | {field: value})
    findings = checked(kind, [made(1, 5), made(2, 6)], stored)
    [named] = findings.named
    assert findings.counts[FindingKind.DIFFERENT] == 1
    assert f"{KEY} " in named
    assert "in PostgreSQL: " in named
    assert f"{field} is {value!r}, not " in named


@pytest.mark.parametrize("kind", MADE)
def test_what_is_missing_there_twice_or_of_an_older_revision_is_named(kind: KeptKind) -> None:
    made = MADE[kind]
    in_log = [made(1, 5), made(2, 6), made(2, 9)]
    one, new, old = (rows(kind, [made(*which)]) for which in ((1, 5), (2, 9), (2, 6)))
    assert checked(kind, in_log, one).counts[FindingKind.MISSING] == len(new)
    assert checked(kind, in_log, [*one, *new, *new]).counts[FindingKind.DUPLICATE] == len(new)
    assert all("revision is 6, not 9" in named for named in checked(kind, in_log, [*one, *old]).named)
    assert checked(kind, in_log, [*one, *old]).counts[FindingKind.DIFFERENT] == len(old)


@pytest.mark.parametrize("may_have_more", [True, False])
def test_what_only_the_store_has_is_wrong_unless_the_log_was_compacted(*, may_have_more: bool) -> None:
    stored = rows(KeptKind.TICKER, [ticker(1, 5), ticker(2, 6)])
    findings = checked(KeptKind.TICKER, [ticker(2, 6)], stored, may_have_more=may_have_more)
    assert findings.counts[FindingKind.DIFFERENT] == (0 if may_have_more else 2)


def test_of_two_forms_of_one_revision_a_store_may_have_either() -> None:
    told, retold = signal(1, 5), signal(1, 5, severity="critical")
    for stored in (told, retold):
        assert checked(KeptKind.SIGNAL, [told, retold], rows(KeptKind.SIGNAL, [stored])).named == []
    other = rows(KeptKind.SIGNAL, [signal(1, 5, severity="info")])
    assert checked(KeptKind.SIGNAL, [told, retold], other).counts[FindingKind.DIFFERENT] == 1


def test_redis_has_to_have_the_newest_of_a_list_and_may_lack_what_has_expired() -> None:
    held = market(KeptKind.BAR, [bar(number, number) for number in range(1, 11)])
    for count, numbers in (
        (20, range(1, 11)),
        (10, range(1, 11)),
        (4, range(8, 11)),
    ):  # 7: another of its time may stay
        assert sorted(name[-1] for name in newest_kept(held, count, 0)) == list(numbers)
    assert newest_kept(held, 20, next(iter(held.values())).written_ms + 1) == set()
    assert newest_kept({}, 20, 0) == set()


def test_all_of_time_is_asked_for_once_and_records_of_one_time_stay_together() -> None:
    times = [number // 3 for number in range(25_000)]
    held = {(n,): LoggedVersion(1, time_us, (b"{}",), "", 0) for n, time_us in enumerate(times)}
    pieces = list(in_pieces(held))
    assert len(pieces) == 5
    assert [version.time_us for _, versions in pieces for version in versions] == sorted(times)
    assert all(version.time_us in span for span, versions in pieces for version in versions)
    assert all(before.until_us == after.from_us for (before, _), (after, _) in pairwise(pieces))
    assert (pieces[0][0].from_us, len(list(in_pieces({})))) == (0, 1)


@pytest.mark.parametrize(("kind", "dataset"), [(KeptKind.BAR, BARS), (KeptKind.SIGNAL, SIGNALS)])
@pytest.mark.parametrize("spoilt", [False, True])
def test_files_are_held_against_the_log_offset_by_offset(
    kind: KeptKind, dataset: Dataset, tmp_path: Path, *, spoilt: bool
) -> None:
    made, (field, value) = MADE[kind], SPOILT[kind]
    records = [made(1, 5), made(2, 6), made(1, 7)]
    of_kind = logged(kind, records, run="r1" if kind is KeptKind.BAR else "")
    headers = [("run", b"r1")] if kind is KeptKind.BAR else []
    in_files = [records[0], records[1], records[2] | ({field: value} if spoilt else {})]
    [file] = files(dataset, [record(fields, offset, headers) for offset, fields in enumerate(in_files)])
    (tmp_path / "rows.parquet").write_bytes(parquet_bytes(dataset, file.rows))
    cold = ColdFiles(load_settings(home=tmp_path, cold=tmp_path.as_uri()))
    findings = Findings()
    check_by_offset(kind, "topic partition 0", of_kind.by_offset, cold.kept(kind, 0), findings)
    assert findings.counts[FindingKind.DIFFERENT] == sum(findings.counts.values()) == spoilt
    if spoilt:
        assert "in Parquet" in findings.named[0]
        assert "(topic partition 0 offset 2)" in findings.named[0]
        assert f"{field} is {value!r}, not " in findings.named[0]


def test_offsets_that_files_lack_or_have_twice_or_alone_are_named() -> None:
    of_kind, row = logged(KeptKind.BAR, [bar(1, 5), bar(2, 6)]), row_of(KeptKind.BAR, bar(1, 5))
    findings = Findings()
    check_by_offset(KeptKind.BAR, "t", of_kind.by_offset, [(0, row), (0, row), (9, row)], findings)
    assert findings.counts == {FindingKind.MISSING: 1, FindingKind.DUPLICATE: 1, FindingKind.DIFFERENT: 1}
    assert any("missing: bar 2 of tick 7" in named and "t offset 1" in named for named in findings.named)


def test_a_signal_of_a_matrix_is_named_in_words() -> None:
    matrix = json.loads(json.dumps(signal(1, 5, kind="correlation_matrix", other=None)))
    [name] = market(KeptKind.SIGNAL, [matrix])
    assert KeptPlace("Redis", "top:20", KeptKind.SIGNAL).words(name) == (
        "the signal correlation_matrix (1 minutes) of top:20 at 2023-11-14 22:15 in Redis"
    )
