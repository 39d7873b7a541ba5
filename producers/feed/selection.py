"""Which of an exchange's instruments one producer feeds. Pure."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from market.instrument import Instrument, InstrumentStatus
from runtime.errors import UsageError

MAX_SHARDS = 1_000


class Shard(NamedTuple):
    """One of several producers that share the symbols: `number` of `total`, from 0 on, as pods are counted."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """A shard from ``2/8``. Raises `UsageError`."""
        number, _, count = text.partition("/")
        if not (number.isascii() and number.isdigit() and count.isascii() and count.isdigit()):
            raise UsageError(f"--shard {text!r}: give NUMBER/COUNT, as in 0/8 to 7/8")
        shard = cls(int(number), int(count))
        if not 0 <= shard.number < shard.total <= MAX_SHARDS:
            raise UsageError(f"--shard {text!r}: NUMBER is from 0 to COUNT - 1, COUNT at most {MAX_SHARDS}")
        return shard

    def holds(self, key: str) -> bool:
        """Whether a market (``exchange:SYMBOL``) belongs to this shard.

        Rendezvous hashing: if one shard is added, only those markets move that it takes.
        """
        return self.number == max(range(self.total), key=lambda number: _score(number, key))


class Selection(NamedTuple):
    """What a producer was asked to feed: symbols by name, or all that are traded."""

    symbols: Sequence[str] = ()
    """Ours (``BTC-USDT``) or the exchange's own, in capital or small letters."""
    whole_market: bool = False
    quotes: frozenset[str] = frozenset()
    """Of all: only those against one of these; empty: any."""
    shard: Shard = Shard(0, 1)


def select(selection: Selection, instruments: Iterable[Instrument], exchange: str) -> dict[str, Instrument]:
    """The instruments to feed, by native name. `UsageError`: a symbol that the exchange does not have."""
    listed = list(instruments)
    chosen = _all_traded(selection, listed) if selection.whole_market else _named(selection.symbols, listed, exchange)
    return {each.native: each for each in chosen if selection.shard.holds(each.key)}


def _all_traded(selection: Selection, listed: Iterable[Instrument]) -> list[Instrument]:
    quotes = selection.quotes
    return [each for each in listed if each.status is InstrumentStatus.TRADING and (not quotes or each.quote in quotes)]


def _named(symbols: Sequence[str], listed: Sequence[Instrument], exchange: str) -> list[Instrument]:
    by_name = {name.upper(): each for each in listed for name in (each.native, each.symbol)}
    chosen: dict[str, Instrument] = {}
    for symbol in symbols:
        instrument = by_name.get(symbol.upper())
        if instrument is None:
            example = listed[0].symbol if listed else "BTC-USDT"
            raise UsageError(f"{exchange} has no symbol {symbol}: symbols are written like {example}")
        chosen[instrument.native] = instrument
    return list(chosen.values())


def _score(number: int, key: str) -> bytes:
    return blake2b(f"{number} {key}".encode(), digest_size=8).digest()
