"""Files as recordings of trades: their format, their market, and how a line of them is read."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec

from market.codec import decode_trade
from market.errors import MalformedError
from market.key import MarketKey
from market.limits import PRICE
from market.trade import Source, Trade
from producers.archive.binance import columns_of, kind_of_header, kind_of_row, row_parser
from producers.archive.bybit import bybit_columns, bybit_native, bybit_row_parser, bybit_symbol, read_bybit_name
from producers.archive.checksum import is_verified
from producers.archive.dump import (
    DumpKind,
    DumpName,
    DumpPeriod,
    Product,
    is_native,
    is_symbol,
    product_of,
    read_name,
    split_native,
)
from producers.archive.lines import Chunk, inner_name, read_lines
from producers.archive.okx import okx_columns, okx_native, okx_row_parser, okx_symbol, read_okx_name
from producers.archive.parquet import read_parquet
from runtime.errors import UsageError

_is_exchange = re.compile(r"[a-z0-9][a-z0-9-]{0,39}").fullmatch
_OWN_KIND = {Product.SPOT: DumpKind.TRADES, Product.USD_M: DumpKind.AGG_TRADES, Product.COIN_M: DumpKind.TRADES}
"""The kind with the exchange's own ids, as in its live streams; for COIN-M the only kind that gives coins."""
_APART = {DumpKind.TRADES: "-trades", DumpKind.AGG_TRADES: "-agg"}
"""The suffix of the exchange's name for dumps of the other kind: a key has one id space."""


class Format(StrEnum):
    """How files hold trades."""

    BINANCE_CSV = "binance-csv"
    OKX_CSV = "okx-csv"
    BYBIT_CSV = "bybit-csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


_BY_SUFFIX = {
    ".csv": Format.BINANCE_CSV, ".zip": Format.BINANCE_CSV, ".jsonl": Format.JSONL, ".ndjson": Format.JSONL,
    ".parquet": Format.PARQUET,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Described:
    """What the caller says about the files; None: the files have to tell it."""

    format: Format | None = None
    exchange: str | None = None
    symbol: str | None = None
    kind: DumpKind | None = None
    contract: Decimal | None = None
    """How much one contract is, in base units."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One file. `read` gives its lines, again at each call; `parse` reads one line, or raises `MalformedError`."""

    path: Path
    span: DumpPeriod | None
    """The day or month in the name of a dump."""
    of_one_market: bool
    """Whether the market is known beforehand: the rows of a dump do not name it."""
    checksum_verified: bool
    """Whether there is a checksum beside the file that matches the file."""
    read: Callable[[], Iterator[Chunk]]
    parse: Callable[[bytes], Trade]


def open_recordings(paths: Sequence[Path], described: Described) -> list[Recording]:
    """The recordings at `paths`, in that order; `UsageError` if it is not clear what they hold."""
    if described.symbol is not None and not is_symbol(described.symbol):
        raise UsageError(
            f"--symbol {described.symbol} is not of the form BASE-QUOTE (XRP-ETH), BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD"
        )
    if described.contract is not None and not PRICE.holds(described.contract):
        raise UsageError(f"--contract {described.contract} cannot be the size of a contract")
    if described.exchange is not None and not _is_exchange(described.exchange):
        raise UsageError(f"--exchange {described.exchange} is no name: use small letters, digits and hyphens")
    return [_open(path, described) for path in paths]


def _open(path: Path, described: Described) -> Recording:
    chosen = described.format or _format_of(path)
    if chosen is None:
        raise UsageError(f"{path}: its suffix is not known: say {' or '.join(f'--format {name}' for name in Format)}")
    if not path.is_file():
        raise UsageError(f"{path} is not a file")
    if described.contract is not None and chosen is not Format.OKX_CSV:
        raise UsageError(f"{path}: --contract is for the files of OKX: leave it out")
    verified = is_verified(path)
    if chosen in _DUMPS:
        try:
            dump = _DUMPS[chosen](path, described)
        except MalformedError as error:
            raise UsageError(f"{path} cannot be read: {error}") from error
        return Recording(
            path=path,
            span=dump.span,
            of_one_market=True,
            checksum_verified=verified,
            read=lambda: _without_first_line(read_lines(path)) if dump.has_header else read_lines(path),
            parse=dump.parse,
        )
    return Recording(
        path=path,
        span=None,
        of_one_market=False,
        checksum_verified=verified,
        read=lambda: read_lines(path) if chosen is Format.JSONL else read_parquet(path),
        parse=_parse_own,
    )


def _format_of(path: Path) -> Format | None:
    """The format by a file's name."""
    if read_okx_name(path.name):
        return Format.OKX_CSV
    if read_bybit_name(path.name):
        return Format.BYBIT_CSV
    return _BY_SUFFIX.get(Path(path.name.removesuffix(".gz")).suffix)


class _Dump(NamedTuple):
    """What is known of an exchange's own file before its rows are read."""

    span: DumpPeriod | None
    has_header: bool
    parse: Callable[[bytes], Trade]


class _Naming(NamedTuple):
    """How an exchange names its files and its markets."""

    read: Callable[[str], DumpName | None]
    symbol_of: Callable[[str], str | None]
    """The symbol of a native name, or the native name of a product that cannot be read; None: it does not tell."""
    fits: Callable[[str, str], bool]
    """Whether a native name is that of a symbol."""


_BINANCE = _Naming(read_name, split_native, is_native)
_OKX = _Naming(
    read_okx_name,
    lambda native: okx_symbol(native) or native,
    lambda native, symbol: native == okx_native(symbol),
)
_BYBIT = _Naming(
    read_bybit_name,
    lambda native: bybit_symbol(native) or native,
    lambda native, symbol: native == bybit_native(symbol),
)


def _open_binance(path: Path, described: Described) -> _Dump:
    named, symbol = _market(path, _BINANCE, described)
    product = product_of(symbol)
    first_line = _first_line(path)
    header = first_line if kind_of_header(first_line) is not None else None
    kind = _kind(path, named, header, described) or kind_of_row(first_line, product)
    if kind is None:
        raise _unknown_kind(path)
    try:
        columns = columns_of(kind, product, header)
    except MalformedError as error:
        raise UsageError(f"{path} cannot be read as {symbol}: {error}") from error
    exchange = _exchange(described.exchange or "binance", kind, _OWN_KIND[product])
    return _Dump(named.span if named else None, header is not None, row_parser(exchange, symbol, columns))


def _open_okx(path: Path, described: Described) -> _Dump:
    named, symbol = _market(path, _OKX, described)
    native = okx_native(symbol)
    if okx_symbol(native) is None:
        raise UsageError(
            f"{path}: of OKX's files only those of spot (BTC-USDT) and of linear swaps (BTC-USDT-SWAP) can be read, "
            f"not of {symbol}"
        )
    is_swap = native != symbol
    if is_swap and described.contract is None:
        raise UsageError(
            f"{path}: its sizes are numbers of contracts, and it does not tell how much one is: say --contract, in "
            f"coins (ctVal times ctMult of {native} in OKX's list of instruments)"
        )
    if not is_swap and described.contract is not None:
        raise UsageError(f"{path}: sizes of spot are in coins: leave --contract out")
    kind = _kind(path, named, None, described)
    if kind is None:
        raise _unknown_kind(path)
    parse = okx_row_parser(
        _exchange(described.exchange or "okx", kind, DumpKind.TRADES),
        symbol,
        okx_columns(_first_line(path)),
        contract=described.contract or Decimal(1),
    )
    return _Dump(named.span if named else None, has_header=True, parse=parse)


def _open_bybit(path: Path, described: Described) -> _Dump:
    named, symbol = _market(path, _BYBIT, described)
    if bybit_native(symbol) is None:
        raise UsageError(
            f"{path}: of Bybit's files only those of linear perpetuals (BTC-USDT-PERP, BTC-USDC-PERP) tell sizes in "
            f"coins and the ids of trades, and {symbol} is none"
        )
    if described.kind not in {None, DumpKind.TRADES}:
        raise UsageError(f"{path}: Bybit has no files of {described.kind}: leave --kind out")
    parse = bybit_row_parser(described.exchange or "bybit", symbol, bybit_columns(_first_line(path)))
    return _Dump(named.span if named else None, has_header=True, parse=parse)


_DUMPS = {Format.BINANCE_CSV: _open_binance, Format.OKX_CSV: _open_okx, Format.BYBIT_CSV: _open_bybit}


def _first_line(path: Path) -> bytes:
    return next(read_lines(path), Chunk(1, [b""])).lines[0]


def _unknown_kind(path: Path) -> UsageError:
    return UsageError(
        f"{path}: neither its name nor a header says what its rows are: "
        f"say {' or '.join(f'--kind {choice}' for choice in DumpKind)}"
    )


def _kind(path: Path, named: DumpName | None, header: bytes | None, described: Described) -> DumpKind | None:
    """What the file's name, its header and the command line say; `UsageError` if they say different things."""
    said = {
        "its name": named.kind if named else None,
        "its header": kind_of_header(header) if header else None,
        "--kind": described.kind,
    }
    sources = {kind: source for source, kind in said.items() if kind is not None}
    if len(sources) > 1:
        words = ", ".join(f"{source} says {kind}" for kind, source in sources.items())
        raise UsageError(f"{path}: {words}: correct the one that is wrong")
    return next(iter(sources), None)


def _market(path: Path, naming: _Naming, described: Described) -> tuple[DumpName | None, str]:
    """What the file's name says, and the symbol; `UsageError` if it is not known, or if the two contradict."""
    named = naming.read(path.name) or naming.read(inner_name(path))
    if described.symbol is None:
        symbol = naming.symbol_of(named.native) if named else None
        if symbol is None:
            raise UsageError(f"{path}: its name does not tell base and quote: say --symbol BASE-QUOTE, such as XRP-ETH")
        return named, symbol
    if named and not naming.fits(named.native, described.symbol):
        raise UsageError(
            f"{path} is of {named.native}, not of {described.symbol}: correct --symbol, or rename the file"
        )
    return named, described.symbol


def _exchange(exchange: str, kind: DumpKind, own_kind: DumpKind) -> str:
    """The exchange's name, with a suffix for dumps of the kind that is not its own."""
    suffix = "" if kind is own_kind else _APART[kind]
    return exchange if exchange.endswith(suffix) else exchange + suffix


def _without_first_line(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    for chunk in chunks:
        if chunk.first == 1:
            chunk.lines[0] = b""
        yield chunk


def _parse_own(line: bytes) -> Trade:
    return msgspec.structs.replace(decode_trade(line), source=Source.ARCHIVE)


class RecordedMarket:
    """The market that is imported. If only a part of it is given, the first row that fits gives the rest.

    Rows of other markets are passed over. If rows of two markets fit, that is an error: a run is of one market.
    """

    def __init__(self, exchange: str | None = None, symbol: str | None = None) -> None:
        self._exchange = exchange
        self._symbol = symbol
        self._market: MarketKey | None = None
        self.others = 0
        """Rows of other markets."""

    @property
    def key(self) -> MarketKey:
        """The market; `ValueError` before the first row that fits."""
        if self._market is None:
            raise ValueError("no row was read yet")
        return self._market

    def holds(self, trade: Trade) -> bool:
        """Whether the trade is of the market; `UsageError` if two markets fit."""
        if (trade.exchange, trade.symbol) == self._market:
            return True
        if self._exchange not in {None, trade.exchange} or self._symbol not in {None, trade.symbol}:
            self.others += 1
            return False
        if self._market is not None:
            raise UsageError(
                f"the files hold trades of {self.key} and of {trade.key}, and an import is of one market: import these "
                "files apart, or say which market with --exchange and --symbol"
            )
        self._market = MarketKey(trade.exchange, trade.symbol)
        return True


def market_of(described: Described, recordings: Sequence[Recording]) -> RecordedMarket:
    """The market whose rows are imported: a dump holds one market, other files may hold several."""
    if any(recording.of_one_market for recording in recordings):
        return RecordedMarket()
    return RecordedMarket(described.exchange, described.symbol)
