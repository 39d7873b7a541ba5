"""Bars of made-up logs: the core, its state written and read back, and the same bars by plain fractions."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from market_log import LogRecord

from market.bar import Bar, BarKind
from market.codec import encode_bar
from market.key import MarketKey
from market.trade import Side, Trade
from processors.bars.core import BarCore, BarOutputs, BarRules
from processors.bars.thresholds import BarSize, BarThresholds, parse_thresholds
from processors.engine.state import StoredState, checkpointed, state_value

FILE = """
["sim:AAA-USD"]
tick = [3, 1]
volume = ["1.3", "0.05"]
dollar = ["1000000", "0.7"]

["sim:*"]
tick = [7]
dollar = ["250000.25"]
"""
THRESHOLDS = parse_thresholds(FILE, "bars.toml")


def new_core(thresholds: BarThresholds = THRESHOLDS, *, position: int = 0, awaits_floor: bool = False) -> BarCore:
    return BarCore(
        partition=0,
        partitions=1,
        position=position,
        rules=BarRules(),
        thresholds=thresholds,
        awaits_floor=awaits_floor,
    )


def lines(outputs: BarOutputs) -> list[tuple[Any, ...]]:
    """What is published, byte for byte."""
    return [
        *((encode_bar(bar), run) for bar, run in outputs.bars),
        *((record.offset, str(error)) for record, error in outputs.dead),
    ]


class Disk:
    """The state as a state topic keeps it."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def write(self, core: BarCore) -> None:
        position = checkpointed(
            position=core.position, partition=0, floor_us=core.floor_us, topic_id=None, revision_base=0
        )
        assert position.value is not None
        self.values[position.key] = position.value
        for key, value in core.changes():
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = state_value(value)

    def read(self, thresholds: BarThresholds = THRESHOLDS, *, resumes_at: int | None = None) -> BarCore:
        """A core as a new owner makes it."""
        stored = StoredState()
        stored.take(LogRecord("state", 0, n, 0, key, value, ()) for n, (key, value) in enumerate(self.values.items()))
        position = stored.position or 0
        core = new_core(thresholds, position=position)
        core.floor_us = stored.floor_us
        core.restore(stored.values, thresholds, position if resumes_at is None else resumes_at)
        return core


def fractions_of(bar: Bar) -> dict[str, Any]:
    """A bar's own figures, as `expected_bars` gives them."""
    return {
        "number": bar.number,
        "times": (bar.open_time_us, bar.close_time_us),
        "ids": (bar.first_trade_id, bar.last_trade_id),
        "prices": tuple(map(Fraction, (bar.open, bar.high, bar.low, bar.close))),
        "sums": tuple(map(Fraction, (bar.volume, bar.quote_volume, bar.taker_buy_volume, bar.taker_buy_quote_volume))),
        "trades": bar.trades,
        "remainder": Fraction(bar.remainder),
    }


def expected_bars(trades: Iterable[Trade], size: BarSize) -> list[dict[str, Any]]:
    """The bars of these trades in their order: a bar ends with the trade with which the total reaches a multiple."""
    threshold, total, passed = Fraction(size.threshold), Fraction(0), 0
    bars: list[dict[str, Any]] = []
    inside: list[Trade] = []
    for trade in trades:
        inside.append(trade)
        total += {
            BarKind.TICK: Fraction(1),
            BarKind.VOLUME: Fraction(trade.qty),
            BarKind.DOLLAR: Fraction(trade.price) * Fraction(trade.qty),
        }[size.kind]
        if total // threshold > passed:
            passed = total // threshold
            bars.append(_figures(len(bars) + 1, inside, total - passed * threshold))
            inside = []
    return bars


def of_market(bars: Iterable[tuple[Bar, str | None]], key: str, size: BarSize, run: str | None = None) -> list[Bar]:
    return [
        bar for bar, own in bars if (bar.key, own, bar.kind, bar.threshold) == (key, run, size.kind, size.threshold)
    ]


def sizes_of(key: str, thresholds: BarThresholds = THRESHOLDS) -> Sequence[BarSize]:
    return thresholds.sizes_of(MarketKey.parse(key))


def _figures(number: int, trades: Sequence[Trade], remainder: Fraction) -> dict[str, Any]:
    prices = [Fraction(trade.price) for trade in trades]
    amounts = [(Fraction(trade.qty), Fraction(trade.price) * Fraction(trade.qty)) for trade in trades]
    bought = [amount for trade, amount in zip(trades, amounts, strict=True) if trade.side is Side.BUY]
    return {
        "number": number,
        "times": (trades[0].time_us, trades[-1].time_us),
        "ids": (trades[0].trade_id, trades[-1].trade_id),
        "prices": (prices[0], max(prices), min(prices), prices[-1]),
        "sums": tuple(sum((amount[n] for amount in some), Fraction(0)) for some in (amounts, bought) for n in (0, 1)),
        "trades": len(trades),
        "remainder": remainder,
    }
