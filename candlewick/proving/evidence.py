"""What a short run of a feed left in the log, and the verdict about it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from candlewick.reconcile.compare import MarketComparison
from market.candle import STATUS_OF_PROOF, Candle, Fold, Status
from market.key import MarketKey
from market.timeframe import MINUTE_US, Timeframe, minute_us
from market.trade import Marker, Proof, Source, Trade

_GOOD = frozenset({Status.COMPLETE, Status.CONNECTED})


@dataclass
class Evidence:
    """One market's records of the run, in the order of the log."""

    key: MarketKey
    trades: int = 0
    filled: int = 0
    """Trades that came over REST."""
    statuses: dict[int, Status] = field(default_factory=dict)
    """By the open time of a minute, microseconds."""
    begun_us: int | None = None
    """The run's first whole minute opens here."""
    _folds: dict[int, Fold] = field(default_factory=dict)

    def take_trade(self, trade: Trade) -> None:
        """Note a trade; one that comes twice is counted once."""
        fold = self._folds.setdefault(minute_us(trade.time_us), Fold())
        if fold.add(trade):
            self.trades += 1
            self.filled += trade.source is Source.REST

    def take_marker(self, marker: Marker) -> None:
        """Note a marker: of several for a minute the newest counts."""
        if marker.proof is Proof.BEGIN:
            self.begun_us = self.begun_us or marker.complete_until_us
        elif self.begun_us is not None:
            self.statuses[marker.complete_until_us - MINUTE_US] = STATUS_OF_PROOF[marker.proof]

    def candles(self) -> dict[int, Candle]:
        """The candles with trades of the minutes that are over, by open time in milliseconds."""
        return {
            open_us // 1000: _candle(self.key, open_us, self._folds[open_us], status)
            for open_us, status in self.statuses.items()
            if open_us in self._folds
        }

    @property
    def until_us(self) -> int:
        """Where its newest minute that is over ends; 0: there is none."""
        return max(self.statuses, default=-MINUTE_US) + MINUTE_US


def verdict(exchange: str, evidence: Evidence, comparison: MarketComparison | None) -> tuple[bool, str]:
    """Whether the exchange is proved, and the sentence that says so, or why not."""
    minutes = len(evidence.statuses)
    good = sum(status in _GOOD for status in evidence.statuses.values())
    told = (
        f"{exchange} {evidence.key.symbol}: {evidence.trades:,} trades, {evidence.filled:,} of them filled over REST, "
        f"one reconnect, {good} of {minutes} minutes {_words(evidence.statuses.values())}"
    )
    if not evidence.trades:
        return False, f"{told}: NOT proved: no trade came"
    if not minutes:
        return False, f"{told}: NOT proved: no whole minute passed, give it longer with --for"
    if comparison is None or not comparison.compared:
        return False, f"{told}: NOT proved: the exchange gives no klines of these minutes"
    told += f", {comparison.same + comparison.quiet} of {comparison.compared} as in its klines"
    if comparison.differing or good < minutes:
        return False, f"{told}: NOT proved"
    return True, f"{told}: proved"


def _words(statuses: Iterable[Status]) -> str:
    return " or ".join(sorted({status.value for status in statuses if status in _GOOD})) or Status.COMPLETE.value


def _candle(key: MarketKey, open_us: int, fold: Fold, status: Status) -> Candle:
    return Candle(
        exchange=key.exchange, symbol=key.symbol, timeframe=Timeframe.M1,
        open_time_ms=open_us // 1000, close_time_ms=(open_us + MINUTE_US) // 1000 - 1,
        open=fold.open, high=fold.high, low=fold.low, close=fold.close,
        volume=fold.volume, quote_volume=fold.quote_volume, trades=fold.trades,
        taker_buy_volume=fold.taker_buy_volume, taker_buy_quote_volume=fold.taker_buy_quote_volume,
        first_trade_id=fold.first_trade_id(), last_trade_id=fold.last_trade_id(), revision=0, status=status,
    )  # fmt: skip
