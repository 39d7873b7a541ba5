"""What the simulated exchange lists: names, ticks and lots, and how busy each market is.

A market is a function of its name alone, so that a symbol's history does not depend on which others are simulated.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from producers.simulator.hashing import key_of
from runtime.errors import UsageError

MAX_SYMBOLS = 3_000
WIRE_DECIMALS = 8
"""Binance writes every price and quantity with eight decimals."""

BLOCK_AGGREGATES = 16
BLOCK_TRADES = 24
"""Every sixteen aggregate trades hold exactly twenty-four trades (see `history`)."""

_BUSIEST_TRADES_PER_S = 8
_DAY_S = 86_400
_QUIET_EVERY = 7
_UNLISTED_RANKS = (20, 200)
_QUOTES = ("USDT", "USDC", "FDUSD", "BTC", "ETH", "BNB", "EUR", "TRY")
_GENERATED = "SIM"

# Busiest first: base, quote, a typical price and a typical quantity; their decimals are the tick's and the lot's.
# Every seventh is a quiet market. Price and quantity decimals sum to at most eight: quote volumes are exact.
_LISTED = """
BTC USDT 67250.00 0.00120|ETH USDT 3480.00 0.0310|SOL USDT 172.40 0.620|BNB USDT 590.00 0.150|XRP USDT 0.5230 190.0
DOGE USDT 0.12840 800|XRP ETH 0.00014200 54|ADA USDT 0.4510 220.0|AVAX USDT 35.60 3.00|LINK USDT 15.20 6.00
SHIB USDT 0.00002310 350000|TRX USDT 0.1182 800.0|DOT USDT 7.120 14.00|LTC BTC 0.001260 0.80|LTC USDT 84.30 1.200
ETH BTC 0.05180 0.040|NEAR USDT 5.210 12.0|UNI USDT 7.850 9.00|BTC USDC 67260.00 0.00100|PEPE USDT 0.00001240 400000
DASH BTC 0.000460 2.00|POL USDT 0.5520 180.0|ATOM USDT 8.200 11.00|APT USDT 9.10 8.00|ARB USDT 1.0230 90.0
OP USDT 2.450 38.00|FIL USDT 5.640 17.00|ZEC BTC 0.000420 2.00|SUI USDT 1.0450 90.0|INJ USDT 26.10 3.00
ETC USDT 26.80 3.00|BCH USDT 452.00 0.200|XLM USDT 0.1085 800|HBAR USDT 0.09820 900|ICX ETH 0.00006100 90
AAVE USDT 92.40 0.900|RUNE USDT 4.810 18.0|ALGO USDT 0.1790 500|FTM USDT 0.6910 130|SAND USDT 0.3890 220
GALA USDT 0.03560 2500|EOS USDT 0.7810 120.0
"""


@dataclass(frozen=True, kw_only=True)
class SimulatedInstrument:
    """A market: prices are counted in ticks of 10**-price_decimals, quantities in lots of 10**-qty_decimals."""

    symbol: str
    base: str
    quote: str
    price_decimals: int
    qty_decimals: int
    typical_ticks: int = 1
    typical_lots: int = 1
    blocks_per_day: int = 0

    def price(self, ticks: int) -> str:
        """A price as the wire writes it."""
        return fixed(ticks, self.price_decimals)

    def qty(self, lots: int) -> str:
        """A quantity as the wire writes it."""
        return fixed(lots, self.qty_decimals)

    def plain_price(self, ticks: int) -> str:
        """A price with the decimals of a tick."""
        return plain(ticks, self.price_decimals)

    def plain_qty(self, lots: int) -> str:
        """A quantity with the decimals of a lot."""
        return plain(lots, self.qty_decimals)

    def plain_quote_qty(self, ticks_lots: int) -> str:
        """A price times a quantity, or a sum of such, exact."""
        return plain(ticks_lots, self.price_decimals + self.qty_decimals)

    def quote_qty(self, ticks_lots: int) -> str:
        """A price times a quantity, or a sum of such, as the wire writes it."""
        return fixed(ticks_lots, self.price_decimals + self.qty_decimals)


def fixed(value: int, decimals: int) -> str:
    """`value` / 10**`decimals`, exact, with eight decimals or more: ``142600, 8`` is ``0.00142600``."""
    if not decimals:
        return f"{value}.00000000"
    whole, part = divmod(value, 10**decimals)
    return f"{whole}.{part:0{decimals}d}{'0' * (WIRE_DECIMALS - decimals)}"


def plain(value: int, decimals: int) -> str:
    """`value` / 10**`decimals`, exact: ``142600, 8`` is ``0.00142600``, and ``7, 0`` is ``7``."""
    if not decimals:
        return str(value)
    whole, part = divmod(value, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"


def default_symbols(count: int) -> tuple[str, ...]:
    """The `count` busiest markets; beyond the well-known names come ``SIM0043USDT`` and so on."""
    if not 1 <= count <= MAX_SYMBOLS:
        raise UsageError(f"{count} symbols are asked for: the simulator lists 1 to {MAX_SYMBOLS}")
    names = list(_RANKS)[:count]
    return (*names, *(f"{_GENERATED}{number:04d}USDT" for number in range(len(names) + 1, count + 1)))


def parse_symbols(text: str) -> tuple[str, ...]:
    """``20`` as the twenty busiest, ``BTCUSDT,ETHUSDT`` as those; a symbol named twice counts once."""
    if text.isdigit():
        return default_symbols(int(text))
    names: Sequence[str] = tuple(dict.fromkeys(name.strip().upper() for name in text.split(",") if name.strip()))
    if not 1 <= len(names) <= MAX_SYMBOLS:
        raise UsageError(f"{len(names)} symbols are named: the simulator lists 1 to {MAX_SYMBOLS}")
    return tuple(instrument(name).symbol for name in names)


def listed_symbols() -> tuple[str, ...]:
    """The markets with well-known names, busiest first."""
    return tuple(_RANKS)


def is_listed(symbol: str) -> bool:
    """Whether `symbol` is one of the markets that can be asked for by number; any other name makes up a market."""
    return symbol in _RANKS or re.fullmatch(rf"{_GENERATED}\d{{4}}USDT", symbol) is not None


def instrument(symbol: str) -> SimulatedInstrument:
    """The market of that name; `UsageError` where the name is not a base followed by a known quote asset."""
    rank = _RANKS.get(symbol)
    if rank is not None:
        base, quote, price, qty = _ROWS[rank]
        return _instrument(base, quote, price, qty, rank)
    quote = next((quote for quote in _QUOTES if symbol.endswith(quote)), "")
    base = symbol.removesuffix(quote)
    if not quote or not base or not (base.isascii() and base.isalnum()):
        raise UsageError(f"{symbol!r} is not a symbol such as BTCUSDT: a base asset and one of {', '.join(_QUOTES)}")
    number = base.removeprefix(_GENERATED)
    chance = key_of("instrument", symbol)
    first, last = _UNLISTED_RANKS
    rank = int(number) - 1 if base != number and number.isdigit() else first + chance % (last - first)
    decimals = 2 + chance % 5
    price = fixed(1_000 + (chance >> 8) % 90_000, decimals)[: decimals - WIRE_DECIMALS]
    return _instrument(base, quote, price, "20.00", max(rank, 0))


def _instrument(base: str, quote: str, price: str, qty: str, rank: int) -> SimulatedInstrument:
    price_decimals, qty_decimals = (len(text.partition(".")[2]) for text in (price, qty))
    return SimulatedInstrument(
        symbol=base + quote,
        base=base,
        quote=quote,
        price_decimals=price_decimals,
        qty_decimals=qty_decimals,
        typical_ticks=int(price.replace(".", "")),
        typical_lots=int(qty.replace(".", "")),
        blocks_per_day=_blocks_per_day(rank),
    )


def _blocks_per_day(rank: int) -> int:
    """How busy a market is falls with its rank to the power of 5/8 (in integers: the same on every machine)."""
    if rank % _QUIET_EVERY == _QUIET_EVERY - 1:
        return 8 + rank % 5
    thousand_root = isqrt(isqrt(isqrt((rank + 1) ** 5 * 10**24)))
    return max(1, _BUSIEST_TRADES_PER_S * _DAY_S * 1_000 // (thousand_root * BLOCK_TRADES))


def _rows() -> list[tuple[str, str, str, str]]:
    rows = []
    for row in _LISTED.replace("|", "\n").split("\n"):
        if row:
            base, quote, price, qty = row.split()
            rows.append((base, quote, price, qty))
    return rows


_ROWS = _rows()
_RANKS = {base + quote: rank for rank, (base, quote, _, _) in enumerate(_ROWS)}
