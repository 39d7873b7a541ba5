"""The rows of a chunk in a packed file of JSON lines: read twice by the import, as any file."""

import gzip
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from msgspec import structs

from market.codec import decode_trade, encode_trade
from market.errors import MalformedError
from market.key import MarketKey
from market.trade import Trade
from market.utc import utc
from producers.archive.dump import DumpPeriod
from producers.archive.lines import read_lines
from producers.archive.recording import Recording
from producers.backfill.chunks import Chunker
from producers.exchange import RefusedTrade
from runtime.errors import CandlewickError

_SUFFIX = ".jsonl.gz"
_FAST = 1
_REASONS = 1_000


async def spooled(
    rows: AsyncIterator[Trade | RefusedTrade], chunker: Chunker, folder: Path, key: MarketKey
) -> AsyncGenerator[tuple["Spool", DumpPeriod], None]:
    """Each chunk of the rows in a file, which is removed when the next one is asked for.

    It holds the chunk's trades, and for what ids prove, the trade right before it and the one right behind it.
    """
    spool, last, refused = Spool(folder, key, chunker.from_us), list[Trade](), list[RefusedTrade]()
    try:
        async for row in rows:
            if isinstance(row, RefusedTrade):
                refused.append(row)
                continue
            while (chunk := chunker.end_before(row)) is not None:
                spool.add(*(() if spool.trades else last), *refused, row)
                yield spool, chunk
                spool.remove()
                spool, refused = Spool(folder, key, chunker.from_us), []
            if chunker.is_over:
                return
            if row.time_us >= chunker.from_us:
                spool.add(*(() if spool.trades else last), *refused, row)
                chunker.take(row)
            last, refused = [row], []
        if (chunk := chunker.end()) is not None:
            spool.add(*(() if spool.trades else last), *refused)
            yield spool, chunk
    finally:
        spool.remove()


class Spool:
    """The file of one chunk, in `folder`; `from_us` is where the chunk begins."""

    def __init__(self, folder: Path, key: MarketKey, from_us: int) -> None:
        self.trades = 0
        self._name = f"{key} over REST, from {utc(from_us)} on"
        self._path = folder / f"{key.symbol}-{from_us}{_SUFFIX}"
        self._reasons: dict[bytes, str] = {}
        """By line: why the adapter refused it."""
        try:
            self._file = gzip.GzipFile(self._path, "wb", compresslevel=_FAST)
        except OSError as error:
            raise self._unwritable(error) from error

    def add(self, *rows: Trade | RefusedTrade) -> None:
        """Write rows. What is no trade stands there as the exchange sent it.

        When a trade was received is left out: so the same trades, fetched again, are the same run.
        """
        for row in rows:
            self._add(row)

    def _add(self, row: Trade | RefusedTrade) -> None:
        if isinstance(row, RefusedTrade):
            line = row.raw.replace(b"\n", b" ")
            if len(self._reasons) < _REASONS:
                self._reasons[line] = row.reason
        else:
            line = encode_trade(structs.replace(row, received_us=0))
            self.trades += 1
        try:
            self._file.write(line + b"\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def recording(self) -> Recording:
        """End the file; what the import reads."""
        try:
            self._file.close()
        except OSError as error:
            raise self._unwritable(error) from error
        return Recording(
            path=Path(self._name),
            span=None,
            of_one_market=True,
            checksum_verified=False,
            read=lambda: read_lines(self._path),
            parse=self._parse,
        )

    def remove(self) -> None:
        """Delete the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _parse(self, line: bytes) -> Trade:
        try:
            return decode_trade(line)
        except MalformedError as error:
            raise MalformedError(self._reasons.get(line, str(error))) from error

    def _unwritable(self, error: OSError) -> CandlewickError:
        return CandlewickError(
            f"{self._path} cannot be written ({error.strerror or error}): make room there, or set TMPDIR to a folder "
            "with more of it"
        )
