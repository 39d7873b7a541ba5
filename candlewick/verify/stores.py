"""The comparison of the stores with what the log says of longer candles, tickers, bars and signals."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from candlewick.verify.check import StoredTrade
from candlewick.verify.cold import ColdFiles
from candlewick.verify.expected import Fields, SpanUs
from candlewick.verify.findings import Findings
from candlewick.verify.hot import HotRows
from candlewick.verify.kept import KeptPlace, check_by_offset, check_kept, in_pieces, newest_kept, sizes_in
from candlewick.verify.logged import KeptKind, KeptRow, LoggedKind, LoggedMarket
from candlewick.verify.windows import TIMEFRAMES

_KEPT_IN_REDIS = {KeptKind.CANDLE: 500, KeptKind.TICKER: 1, KeptKind.BAR: 500, KeptKind.SIGNAL: 100}
"""So many of the newest of a list have to be there."""
_SURE_MS = 24 * 3600 * 1000
"""So long nothing expires in Redis; what was written before may be gone, and has to be right where it is there."""


class StoredRows(Protocol):
    """A store that has tables."""

    async def trades(self, key: str, span: SpanUs) -> Iterable[StoredTrade]:
        """The trades of a span."""

    async def candles(self, key: str, span: SpanUs) -> Mapping[int, Fields]:
        """Open time in milliseconds → the live 1m candle of the highest revision."""

    async def kept(self, kind: KeptKind, key: str, span: SpanUs) -> Iterable[KeptRow]:
        """Tickers, bars or signals of a span, of each data key the highest revision."""


class StoresCheck:
    """Holds each store against the log, market by market. `now_ms` is the wall clock."""

    def __init__(
        self, tables: Mapping[str, StoredRows], hot: HotRows, cold: ColdFiles, findings: Findings, *, now_ms: int
    ) -> None:
        self._tables = tables
        self._hot = hot
        self._cold = cold
        self._findings = findings
        self._since_ms = now_ms - _SURE_MS

    async def candles(self, key: str, logged: LoggedMarket) -> None:
        """The longer candles of a market: only Redis keeps them, some of each timeframe."""
        for timeframe in TIMEFRAMES:
            of_timeframe = {name: version for name, version in logged.items() if name[0] == timeframe}
            await self._in_redis(KeptKind.CANDLE, key, of_timeframe, timeframe)

    async def tickers(self, key: str, logged: LoggedMarket, *, is_compacted: bool) -> None:
        """The tickers of a market: Redis keeps the newest, tables keep all. Compaction may have been at the topic."""
        newest_us = max((version.time_us for version in logged.values()), default=0)
        newest = {name: version for name, version in logged.items() if version.time_us == newest_us}
        await self._in_redis(KeptKind.TICKER, key, newest)
        await self._in_tables(KeptKind.TICKER, key, logged, may_have_more=is_compacted)

    async def bars(self, key: str, logged: LoggedMarket) -> None:
        """The bars of a market: Redis keeps some live ones of each size, tables keep all."""
        for size in sorted(sizes_in(logged)):
            of_size = {name: version for name, version in logged.items() if name[:3] == ("", *size)}
            await self._in_redis(KeptKind.BAR, key, of_size, ":".join(size))
        await self._in_tables(KeptKind.BAR, key, logged)

    async def signals(self, key: str, logged: LoggedMarket) -> None:
        """The signals of a market: Redis keeps some, tables keep all."""
        await self._in_redis(KeptKind.SIGNAL, key, logged)
        await self._in_tables(KeptKind.SIGNAL, key, logged)

    def files(self, topic: str, partition: int, logged: LoggedKind) -> None:
        """The Parquet files of a partition of bars or signals."""
        rows = self._cold.kept(logged.kind, partition)
        check_by_offset(logged.kind, f"{topic} partition {partition}", logged.by_offset, rows, self._findings)

    async def _in_redis(self, kind: KeptKind, key: str, logged: LoggedMarket, part: str = "") -> None:
        stored = await self._hot.kept(kind, key, part)
        needed = newest_kept(logged, _KEPT_IN_REDIS[kind], self._since_ms)
        held = {row.name for row in stored}
        optional = [
            version
            for name, version in logged.items()
            if name not in needed and (kind is KeptKind.TICKER or name in held)
        ]
        versions = [logged[name] for name in needed]
        check_kept(KeptPlace("Redis", key, kind), versions, stored, self._findings, optional=optional)

    async def _in_tables(self, kind: KeptKind, key: str, logged: LoggedMarket, *, may_have_more: bool = False) -> None:
        for span, versions in in_pieces(logged):
            for store, rows in self._tables.items():
                stored = await rows.kept(kind, key, span)
                check_kept(KeptPlace(store, key, kind), versions, stored, self._findings, may_have_more=may_have_more)
