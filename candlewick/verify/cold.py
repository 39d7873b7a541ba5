"""The cold store's side: its Parquet files, read with pyarrow's own file systems, whatever they are named."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from candlewick.verify.amounts import trimmed
from candlewick.verify.expected import Fields
from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.log import PartitionLog, candle_digest, trade_digest
from candlewick.verify.logged import CANDLE_AMOUNTS, KEPT_AMOUNTS, KEPT_FIELDS, KeptKind, KeptRow, row_of
from runtime.errors import CandlewickError
from runtime.settings import Settings, cold_address

_TRADE_COLUMNS = ("partition", "offset", "exchange", "symbol", "trade_id", "price", "qty", "side", "time")
_CANDLE_COLUMNS = (
    "partition", "offset", "run", "exchange", "symbol", "timeframe", "open_time", "close_time", *CANDLE_AMOUNTS,
    "trades", "first_trade_id", "last_trade_id", "revision", "status",
)  # fmt: skip
_KEPT_COLUMNS = {
    KeptKind.BAR: (
        "partition", "offset", "run", "exchange", "symbol", *KEPT_FIELDS[KeptKind.BAR], *KEPT_AMOUNTS[KeptKind.BAR],
        "series_begin", "open_time", "close_time",
    ),
    KeptKind.SIGNAL: (
        "partition", "offset", "exchange", "symbol", *KEPT_FIELDS[KeptKind.SIGNAL], "other", "time", "values",
    ),
}  # fmt: skip


@dataclass
class _Files:
    """Paths of one kind of file, by the partitions that their statistics say they hold."""

    by_partition: dict[int, list[str]] = field(default_factory=dict)

    def add(self, path: str, partitions: range) -> None:
        for partition in partitions:
            self.by_partition.setdefault(partition, []).append(path)


class ColdFiles:
    """The files of the cold store, listed once; rows are read partition by partition."""

    def __init__(self, settings: Settings) -> None:
        self._topics = settings.topics
        self._store, root = _file_system(cold_address(settings))
        self._trades, self._candles = _Files(), _Files()
        self._kept = {KeptKind.BAR: _Files(), KeptKind.SIGNAL: _Files()}
        self._best: dict[str, dict[int, Fields]] = {}
        for path in _parquet_files(self._store, root):
            metadata = pq.read_metadata(path, filesystem=self._store)
            for column, files in (
                ("trade_id", self._trades),
                ("timeframe", self._candles),
                ("threshold", self._kept[KeptKind.BAR]),
                ("severity", self._kept[KeptKind.SIGNAL]),
            ):
                if column in metadata.schema.names:
                    files.add(path, _partitions(metadata, path))

    def check_partition(self, log: PartitionLog, findings: Findings) -> None:
        """The files must have each record of a partition of the log, exactly once, unchanged, and no others."""
        trades = (
            (row["offset"], _trade_digest(row)) for row in self._rows(self._trades, _TRADE_COLUMNS, log.partition)
        )
        _check(self._topics.trades, log.partition, log.trades, trades, findings)
        _check(self._topics.candles(), log.partition, log.candles, self._candle_rows(log.partition), findings)

    def candles(self, key: str) -> Mapping[int, Fields]:
        """Of the partition that was checked last: open time in milliseconds → the candle of the highest revision."""
        return self._best.get(key, {})

    def kept(self, kind: KeptKind, partition: int) -> Iterator[tuple[int, KeptRow]]:
        """The bars or signals of a partition, each with its offset."""
        for row in self._rows(self._kept[kind], _KEPT_COLUMNS[kind], partition):
            yield row["offset"], _kept_row(kind, row)

    def _candle_rows(self, partition: int) -> Iterator[tuple[int, int]]:
        self._best = {}
        for row in self._rows(self._candles, _CANDLE_COLUMNS, partition):
            fields = _candle(row)
            if not row["run"]:
                best = self._best.setdefault(f"{fields['exchange']}:{fields['symbol']}", {})
                known = best.get(fields["open_time_ms"])
                if known is None or known["revision"] < fields["revision"]:
                    best[fields["open_time_ms"]] = fields
            yield row["offset"], candle_digest(fields)

    def _rows(self, files: _Files, columns: tuple[str, ...], partition: int) -> Iterator[dict[str, Any]]:
        for path in files.by_partition.get(partition, ()):
            with pq.ParquetFile(path, filesystem=self._store) as file:
                for batch in file.iter_batches(columns=list(columns)):
                    names = batch.schema.names
                    values = (_plain(column) for column in batch.columns)
                    for row in zip(*values, strict=True):
                        named = dict(zip(names, row, strict=True))
                        if named["partition"] == partition:
                            yield named


def _check(
    topic: str, partition: int, in_log: Mapping[int, int], rows: Iterator[tuple[int, int]], findings: Findings
) -> None:
    left = dict(in_log)
    for offset, digest in rows:
        where = f"{topic} partition {partition} offset {offset}"
        if offset not in in_log:
            findings.add(FindingKind.DIFFERENT, f"{where} in Parquet is no record of the log")
        elif offset not in left:
            findings.add(FindingKind.DUPLICATE, f"{where} in Parquet")
        elif left.pop(offset) != digest:
            findings.add(FindingKind.DIFFERENT, f"{where} in Parquet")
    for offset in left:
        findings.add(FindingKind.MISSING, f"{topic} partition {partition} offset {offset} in Parquet")


def _file_system(url: str) -> tuple[Any, str]:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return fs.LocalFileSystem(), unquote(parts.path)
    try:
        store, root = fs.FileSystem.from_uri(url)
    except (pa.ArrowInvalid, OSError) as error:
        raise CandlewickError(f"the cold store {url} cannot be read for verifying: {error}") from error
    return store, root


def _parquet_files(store: Any, root: str) -> list[str]:
    entries = store.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    return sorted(entry.path for entry in entries if entry.is_file and Path(entry.path).suffix == ".parquet")


def _partitions(metadata: Any, path: str) -> range:
    """The partitions that a file may hold, by the statistics of that column."""
    column = metadata.schema.names.index("partition")
    of_groups = [metadata.row_group(group).column(column).statistics for group in range(metadata.num_row_groups)]
    if not all(statistics and statistics.has_min_max for statistics in of_groups):
        raise CandlewickError(f"{path} has no statistics of its column partition: no file of ours")
    least = min((statistics.min for statistics in of_groups), default=0)
    greatest = max((statistics.max for statistics in of_groups), default=-1)
    return range(least, greatest + 1)


def _plain(column: Any) -> list[Any]:
    """The values of a column: decimals as canonical text, times as whole microseconds."""
    if pa.types.is_decimal(column.type):
        return [trimmed(format(value, "f")) for value in column.to_pylist()]
    if pa.types.is_timestamp(column.type):
        return list(column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_pylist())
    return list(column.to_pylist())


def _trade_digest(row: Mapping[str, Any]) -> int:
    return trade_digest(
        key=f"{row['exchange']}:{row['symbol']}",
        trade_id=row["trade_id"],
        price=row["price"],
        qty=row["qty"],
        side=row["side"],
        time_us=row["time"],
    )


def _candle(row: Mapping[str, Any]) -> Fields:
    """A row in the names and units of the topic."""
    named = {name: value for name, value in row.items() if name not in ("partition", "offset", "run")}
    times = {f"{name}_ms": named.pop(name) // 1000 for name in ("open_time", "close_time")}
    return {**named, **times}


def _kept_row(kind: KeptKind, row: Mapping[str, Any]) -> KeptRow:
    """A row in the names and units of the topic."""
    fields = {name: value for name, value in row.items() if name not in ("partition", "offset", "run")}
    if kind is KeptKind.BAR:
        times = {f"{name}_us": fields.pop(name) for name in ("series_begin", "open_time", "close_time")}
        return row_of(kind, {**fields, **times}, row["run"] or "")
    values = {name: trimmed(format(value, "f")) for name, value in fields["values"]}
    time_ms = fields.pop("time") // 1000
    return row_of(kind, {**fields, "values": values, "time_ms": time_ms})
