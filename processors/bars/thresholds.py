"""Which bars are made of which market: the thresholds' file, read. Pure.

The file is TOML. A table is a market, or a pattern with ``*``; in it stands of each kind a list of thresholds:

    ["binance:BTC-USDT"]
    tick = [1000]
    dollar = ["1000000", "5000000"]

    ["binance:*"]
    volume = ["0.5"]

A market's own table counts alone; without one the first pattern that matches, from top to bottom.
"""

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from market.bar import BarKind
from market.decimals import parse_decimal, plain
from market.errors import MalformedError
from market.key import MarketKey
from market.limits import check_key, check_threshold
from runtime.errors import UsageError


class BarSize(NamedTuple):
    """What makes a bar: so many trades, base units or quote units."""

    kind: BarKind
    threshold: Decimal

    def __str__(self) -> str:
        return f"{self.kind} {plain(self.threshold)}"


class BarThresholds:
    """The sizes of bars, by market or pattern, in the file's order."""

    def __init__(self, tables: Mapping[str, tuple[BarSize, ...]]) -> None:
        self._tables = dict(tables)
        self._patterns = [(_matcher(name), sizes) for name, sizes in tables.items() if "*" in name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BarThresholds) and list(self._tables.items()) == list(other._tables.items())

    __hash__ = None  # type: ignore[assignment]  # nobody looks one up

    def __str__(self) -> str:
        return "; ".join(f"{name}: {', '.join(map(str, sizes))}" for name, sizes in self._tables.items())

    def sizes_of(self, market: MarketKey) -> tuple[BarSize, ...]:
        """The sizes of a market's bars, each once and in a fixed order; none where no table is its own."""
        text = str(market)
        if text in self._tables:
            return self._tables[text]
        return next((sizes for matches, sizes in self._patterns if matches(text)), ())

    def snapshot(self) -> list[Any]:
        """The tables as JSON values, in their order."""
        return [[name, [[size.kind, plain(size.threshold)] for size in sizes]] for name, sizes in self._tables.items()]

    @classmethod
    def restore(cls, snapshot: list[Any]) -> "BarThresholds":
        """The thresholds of a snapshot."""
        return cls(
            {
                name: tuple(BarSize(BarKind(kind), parse_decimal(text)) for kind, text in sizes)
                for name, sizes in snapshot
            }
        )


def parse_thresholds(text: str, name: str) -> BarThresholds:
    """The thresholds of a file's text; `name` is the file's. `UsageError` says what is wrong, and in which table."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is no TOML: {error}") from error
    try:
        thresholds = BarThresholds({market: _sizes(market, table) for market, table in tables.items()})
    except MalformedError as error:
        raise UsageError(f"{name}: {error}") from error
    if not tables:
        raise UsageError(f'{name} has no tables: write ["binance:BTC-USDT"], and below it dollar = ["1000000"]')
    return thresholds


def _sizes(market: str, table: Any) -> tuple[BarSize, ...]:
    if not isinstance(table, dict):
        raise MalformedError(f'{market} stands outside of a table: begin with a line such as ["binance:BTC-USDT"]')
    if ":" not in market:
        raise MalformedError(f'["{market}"] is no market and no pattern: write ["exchange:SYMBOL"] or ["exchange:*"]')
    if "*" not in market:
        check_key(*MarketKey.parse(market))
    sizes = [_size(market, kind, value) for kind, values in table.items() for value in _listed(market, kind, values)]
    if not sizes:
        raise MalformedError(f'["{market}"] has no thresholds: write tick, volume or dollar = ["1000"]')
    for size in sizes:
        if sizes.count(size) > 1:
            raise MalformedError(f'["{market}"] has {size} more than once')
    return tuple(sorted(sizes))


def _listed(market: str, kind: str, values: Any) -> list[Any]:
    if kind not in set(BarKind):
        raise MalformedError(f'["{market}"] has {kind}: choose {", ".join(BarKind)}')
    if not isinstance(values, list):
        raise MalformedError(f'["{market}"] {kind} is no list: write {kind} = ["1000"]')
    return values


def _size(market: str, kind: str, value: Any) -> BarSize:
    is_number = isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
    if not is_number:
        raise MalformedError(f'["{market}"] {kind} = {value!r}: write the number in quotes, as "0.5"')
    try:
        threshold = parse_decimal(str(value))
        check_threshold(threshold)
    except MalformedError as error:
        raise MalformedError(f'["{market}"] {kind} = {value!r}: {error}') from error
    if BarKind(kind) is BarKind.TICK and threshold != int(threshold):
        raise MalformedError(f'["{market}"] tick = {value!r}: a number of trades is whole')
    return BarSize(BarKind(kind), threshold)


def _matcher(pattern: str) -> Any:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL).fullmatch
