"""Records of the cold store by time, as Arrow tables in their topics' form (`sinks.record_forms`).

Of a day only the files of the market's partition are looked at, of those only the row groups whose bounds fit, and of
these only the columns that are told. All raise what the client
raises (`sinks.parquet.connect.cold_errors` translates it), and `MalformedError` for a file that is damaged or not ours.
"""

import asyncio
import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.compute as pc
from obstore.store import ObjectStore

from market.feed import FeedEventKind
from market.funding import FundingKind
from market.key import MarketKey
from market.partition import partition_of
from market.timeframe import MINUTE_MS, MINUTE_US, Timeframe
from sinks.decode import malformed_rows
from sinks.parquet.file_parts import FileParts, get_parts
from sinks.parquet.footers import Footers, ListedFile, RowGroup
from sinks.parquet.schema import BARS, CANDLES, FEEDS, FUNDING, SIGNALS, TRADES, Dataset
from sinks.record_forms import FORMS, PRECEDENCE, RecordKind
from sinks.rows import precedences

_AT_ONCE = 8
_partition_in = re.compile(r"-(\d+)-\d+-\d+\.parquet$").search
_SETTLED = pa.scalar(1 << 63, pa.uint64())
_NOT_SETTLED = pa.scalar(0, pa.uint64())
_US_A_MS = 1000
_DAY_US = 86_400_000_000
_EPOCH = dt.date(1970, 1, 1)
_SAMPLE = 200
_TIMES = {"from_us": "from_time", "until_us": "until_time"}
"""Columns of times that do not have the topic's name without its unit."""
_ADDED_LATER = {"seq"}
"""Columns that files of earlier versions do not have."""
_GAPS = pa.array(
    [
        event.value
        for event in (
            FeedEventKind.GAP_OPENED,
            FeedEventKind.GAP_FILLED,
            FeedEventKind.HOLE,
            FeedEventKind.TAKEN_BACK,
        )
    ]
)
DATASETS: Mapping[RecordKind, Dataset] = {
    RecordKind.TRADES: TRADES,
    RecordKind.CANDLES: CANDLES,
    RecordKind.SIGNALS: SIGNALS,
    RecordKind.BARS: BARS,
    RecordKind.FUNDING: FUNDING,
    RecordKind.GAPS: FEEDS,
}


class ColdPlace(NamedTuple):
    """Where to read: the store, what is known of its files, and how many partitions the topics have."""

    store: ObjectStore
    footers: Footers
    partitions: int | None


async def find_groups(place: ColdPlace, kind: RecordKind, market: MarketKey, days: Iterable[dt.date]) -> list[RowGroup]:
    """The row groups of these UTC days that may hold records of a market."""
    files = await _files(place, DATASETS[kind], market, days)
    groups = await place.footers.of(place.store, files, DATASETS[kind].time)
    return [group for group in groups if group.may_hold(market.symbol)]


async def estimate_rows(
    place: ColdPlace, kind: RecordKind, market: MarketKey, spans_us: Sequence[tuple[int, int]]
) -> int:
    """How many rows the row groups have that may hold records of a market in these spans, [from, until).

    Of many files the footers of `_SAMPLE` are read, and what they tell is taken for all by their sizes.
    """
    days = sorted({day for from_us, until_us in spans_us for day in range(from_us // _DAY_US, -(-until_us // _DAY_US))})
    files = await _files(place, DATASETS[kind], market, [_EPOCH + dt.timedelta(days=day) for day in days])
    sample = files[:: -(-len(files) // _SAMPLE)] if files else []
    groups = await place.footers.of(place.store, sample, DATASETS[kind].time)
    rows = sum(
        group.rows
        for group in groups
        if group.may_hold(market.symbol) and any(group.overlaps(from_us, until_us) for from_us, until_us in spans_us)
    )
    read_bytes = sum(file.size_bytes for file in sample)
    return rows * sum(file.size_bytes for file in files) // read_bytes if read_bytes else 0


async def read_dates(store: ObjectStore, dataset: str) -> dict[str, list[dt.date]]:
    """Exchange → the UTC days of which a dataset has files, in order; only names of folders are read."""
    exchanges = await _folders(store, f"{dataset}/")
    return {
        unquote(exchange.removeprefix("exchange=")): sorted(
            dt.date.fromisoformat(date.removeprefix("date="))
            for date in await _folders(store, f"{dataset}/{exchange}/")
            if date.startswith("date=")
        )
        for exchange in exchanges
        if exchange.startswith("exchange=")
    }


async def _folders(store: ObjectStore, prefix: str) -> list[str]:
    listed = await obstore.list_with_delimiter_async(store, prefix=prefix)
    return [path.rstrip("/").rpartition("/")[2] for path in listed["common_prefixes"]]


async def _files(place: ColdPlace, dataset: Dataset, market: MarketKey, days: Iterable[dt.date]) -> list[ListedFile]:
    """Those of the market's partition."""
    partition = None if place.partitions is None else partition_of(str(market).encode(), place.partitions)
    return [
        ListedFile(entry["path"], entry["size"])
        for date in days
        async for entries in obstore.list(
            place.store, prefix=f"{dataset.name}/exchange={quote(market.exchange, safe='')}/date={date.isoformat()}/"
        )
        for entry in entries
        if entry["path"].endswith(".parquet") and _may_hold(entry["path"], partition)
    ]


def first_minutes(groups: Sequence[RowGroup], from_minute: int, until_minute: int, most_rows: int) -> int:
    """Where to stop so that groups of at most so many rows have to be read, or those of one minute. Pure."""
    end = until_minute
    rows = 0
    for group in sorted(groups, key=lambda group: group.from_us):
        if not group.overlaps(from_minute * MINUTE_US, end * MINUTE_US):
            continue
        rows += group.rows
        begin = group.from_us // MINUTE_US
        if rows > most_rows and begin > from_minute:
            return min(end, begin)
    return end


async def read_records(
    place: ColdPlace,
    kind: RecordKind,
    market: MarketKey,
    parameters: Mapping[str, str],
    groups: Sequence[RowGroup],
    *,
    from_minute: int,
    until_minute: int,
) -> pa.Table:
    """The records of minutes since 1970 in [from_minute, until_minute) that are in these groups: all copies of each.

    `parameters` are kind and threshold of bars.
    """
    wanted: dict[ListedFile, list[RowGroup]] = {}
    for group in groups:
        if group.overlaps(from_minute * MINUTE_US, until_minute * MINUTE_US):
            wanted.setdefault(group.file, []).append(group)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def content_of(file: ListedFile, of_file: list[RowGroup]) -> FileParts:
        async with slots:
            return await get_parts(place.store, file, of_file)

    contents = await asyncio.gather(*(content_of(*of_file) for of_file in wanted.items()))

    def rows() -> pa.Table:
        """In one thread: many would wait for each other."""
        numbers = [[group.number for group in of_file] for of_file in wanted.values()]
        tables = [_read(content, kind, of_file, market) for content, of_file in zip(contents, numbers, strict=True)]
        if not tables:
            return FORMS[kind].schema.empty_table()
        together = pa.concat_tables(tables, promote_options="default").combine_chunks()
        return _told(kind, market, _wanted(kind, together, parameters, (from_minute, until_minute)))

    with malformed_rows(f"cold file of {kind}"):
        return await asyncio.to_thread(rows)


def _may_hold(path: str, partition: int | None) -> bool:
    """Whether a file may have rows of a partition: not if its name tells another."""
    told = _partition_in(path)
    return partition is None or told is None or int(told[1]) == partition


def _read(content: FileParts, kind: RecordKind, groups: list[int], market: MarketKey) -> pa.Table:
    """The rows of a market, in the columns that are needed."""
    with content.opened() as file:
        names = [name for name in file.schema_arrow.names if name in _NEEDED[kind]]
        rows = file.read_row_groups(groups, columns=names, use_threads=False)
    places = np.flatnonzero(pc.equal(rows["symbol"], market.symbol).to_numpy())
    count = len(places)
    if count and places[-1] - places[0] == count - 1:  # sorted by symbol, as all files but those of earlier versions
        return rows.slice(places[0], count)
    return rows.take(pa.array(places))


def _wanted(kind: RecordKind, rows: pa.Table, parameters: Mapping[str, str], minutes: tuple[int, int]) -> pa.Table:
    """Those of these minutes; no other bars, no events that are no gaps."""
    times = rows[DATASETS[kind].time]
    from_time, until_time = (pa.scalar(minute * MINUTE_US, pa.int64()).cast(times.type) for minute in minutes)
    is_wanted = pc.and_(pc.greater_equal(times, from_time), pc.less(times, until_time))
    if kind is RecordKind.BARS:
        threshold = pa.scalar(parameters["threshold"]).cast(rows["threshold"].type)
        is_same = pc.and_(pc.equal(rows["kind"], parameters["kind"]), pc.equal(rows["threshold"], threshold))
        is_wanted = pc.and_(is_wanted, pc.and_(is_same, pc.is_null(rows["run"])))
    elif kind is RecordKind.GAPS:
        is_wanted = pc.and_(is_wanted, pc.is_in(rows["event"], _GAPS))
    return rows.filter(is_wanted)


def _told(kind: RecordKind, market: MarketKey, rows: pa.Table) -> pa.Table:
    """The rows in the form of their kind."""
    form = FORMS[kind]
    columns = {name: pa.repeat(value, len(rows)) for name, value in market._asdict().items()}
    if kind is RecordKind.CANDLES:
        columns["timeframe"] = pa.repeat(Timeframe.M1.value, len(rows))
        columns["close_time_ms"] = pc.add(_column(rows, form.told.field("open_time_ms")), MINUTE_MS - 1)
    columns |= {field.name: _column(rows, field) for field in (*form.told, *form.place) if field.name not in columns}
    return pa.table({**columns, PRECEDENCE: _precedence(kind, rows)}).select(form.schema.names).cast(form.schema)


def _column(rows: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    name = _cold_name(field.name)
    if name in _ADDED_LATER and name not in rows.column_names:
        return pa.chunked_array([pa.nulls(len(rows), field.type)])
    if name == field.name:
        return rows[name]
    times = rows[name].cast(pa.int64())
    return pc.divide(times, _US_A_MS) if field.name.endswith("_ms") else times


def _cold_name(name: str) -> str:
    """The column of a field: times have other names in files."""
    return _TIMES.get(name) or (name[:-3] if name.endswith(("_us", "_ms")) else name)


_NEEDED: Mapping[RecordKind, set[str]] = {
    kind: {_cold_name(name) for name in FORMS[kind].schema.names} - {"exchange"} | {"offset"} for kind in DATASETS
}
"""Columns that are read: each one of each file takes its time."""
_NEEDED[RecordKind.TRADES].add("run")
_NEEDED[RecordKind.BARS].add("run")
_NEEDED[RecordKind.CANDLES].difference_update({"timeframe", "close_time", "offset"})


def _precedence(kind: RecordKind, rows: pa.Table) -> pa.Array:
    """As the warm store has it."""
    if "revision" in rows.column_names:
        return rows["revision"]
    offsets = rows["offset"].to_numpy()
    if kind is RecordKind.TRADES:
        return pa.array(precedences(pc.is_null(rows["run"]).to_numpy(), offsets))
    if kind is RecordKind.FUNDING:
        is_settled = pc.equal(rows["kind"], FundingKind.SETTLED.value)
        return pc.add(pa.array(offsets.astype("uint64")), pc.if_else(is_settled, _SETTLED, _NOT_SETTLED))
    return pa.array(offsets)
