"""The signals' pure core: candles of all markets in, in the order of the merged log; signals out.

Same records, same signals: nothing depends on a clock, or on how records were batched. What it holds is the last 24
hours of each market and what has begun since midnight, so the log of two days rebuilds it.
"""

from collections.abc import Iterable, Iterator, Mapping

from market.candle import Candle
from market.codec import decode_candle, run_of
from market.errors import MalformedError
from market.fields import MAX_COUNT
from market.key import MarketKey
from market.partition import check_place
from market.records import AHEAD_MS, BareRecord
from market.signal import Severity, Signal, SignalState
from market.timeframe import DAY_MS, MINUTE_MS, Timeframe
from processors.signals.barrier import Barrier
from processors.signals.hysteresis import Conditions
from processors.signals.kinds.correlations import watch_pairs
from processors.signals.kinds.table import AGAINST_THE_DAY_BEFORE, WITHIN_THE_DAY, SignalKind
from processors.signals.market_day import MarketDay
from processors.signals.pairs import Pairs
from processors.signals.rules import SignalRules, thresholds_of
from processors.signals.scene import Measure, Scene

LOOK_BACK_MS = DAY_MS + 60 * MINUTE_MS
"""Before a midnight: the windows of its first minute, and the closes and minutes that stand right before these."""


class SignalCore:
    """All partitions of the 1m topic, of which there are `partitions`.

    Minutes before `silent_until_ms`, a midnight, only fill the windows: a rebuild needs no more of them.
    """

    def __init__(self, rules: SignalRules, partitions: int, *, silent_until_ms: int = 0) -> None:
        self._rules = rules
        self._silent_until_ms = silent_until_ms
        self._partitions = partitions
        self._barrier = Barrier(int(rules.barrier_s * 1000))
        self._days: dict[str, MarketDay] = {}
        self._pairs = Pairs()
        self._conditions = {kind: Conditions(thresholds) for kind, thresholds in thresholds_of(rules)}
        self._date = 0

    def needs_since_ms(self) -> int | None:
        """Candles appended from then on make this very state, as far as signals to come depend on it; None: all."""
        over = self._barrier.over
        if over is None:
            return None
        return (over + 1) * MINUTE_MS // DAY_MS * DAY_MS - LOOK_BACK_MS

    def pass_time(self, log_ms: int) -> list[Signal]:
        """Every record that was appended before `log_ms` has been taken in: end the minutes that waited too long."""
        signals: list[Signal] = []
        while (minute := self._barrier.overdue(log_ms)) is not None:
            signals += self._look_at(minute)
        return signals

    def take(self, record: BareRecord, partition: int, log_ms: int) -> list[Signal]:
        """Take a record in, at its place in the merged log; `pass_time` comes first.

        Three cases: a live candle of a minute that waits, a correction within the last day (of a live candle, or
        a run's), and what changes nothing. `MalformedError` if the record is no candle of a minute that has passed.
        """
        if record.value is None:
            return []
        candle = decode_candle(record.value)
        market = candle.key
        if candle.timeframe is not Timeframe.M1:
            raise MalformedError(f"a {candle.timeframe} candle among those of 1m")
        check_place(record.key, market, partition, self._partitions)
        if candle.open_time_ms > record.timestamp + AHEAD_MS:
            raise MalformedError(
                f"its minute opens at {candle.open_time_ms} ms, its record is of {record.timestamp} ms"
            )
        minute = candle.open_time_ms // MINUTE_MS
        if run_of(record.headers) is None and self._barrier.put(minute, market, candle, log_ms):
            signals: list[Signal] = []
            while (complete := self._barrier.complete()) is not None:
                signals += self._look_at(complete)
            return signals
        self._correct(market, minute, candle)
        return []

    def _correct(self, market: str, minute: int, candle: Candle) -> None:
        over = self._barrier.over
        if over is None or minute > over:
            return  # a run's, ahead of all live minutes: these say by themselves what they are
        day = self._days.get(market)
        if day is not None:
            self._pairs.change(market, minute, -1)
            day.put(minute, candle)
            self._pairs.change(market, minute, 1)
        elif (day := MarketDay(over)).put(minute, candle):
            self._add_days({market: day})

    def _look_at(self, minute: int) -> list[Signal]:
        """The minute is over: hold it against the day before, then let it be part of the day."""
        candles = self._barrier.end(minute)
        if minute * MINUTE_MS // DAY_MS != self._date:
            self._date = minute * MINUTE_MS // DAY_MS
            for conditions in self._conditions.values():
                conditions.clear()
        self._pairs.leave(minute)
        self._advance(minute - 1)
        signals = list(self._tell(AGAINST_THE_DAY_BEFORE, self._scene(minute, candles)))
        self._advance(minute)
        self._add_days({market: MarketDay(minute) for market in candles.keys() - self._days.keys()})
        for market, candle in candles.items():
            self._days[market].put(minute, candle)
        self._pairs.enter(minute, self._days)
        watch_pairs(self._pairs, minute, self._days, self._rules)
        signals += self._tell(WITHIN_THE_DAY, self._scene(minute, candles))
        return signals

    def _scene(self, minute: int, candles: Mapping[str, Candle]) -> Scene:
        return Scene(minute, candles, self._days, self._pairs, self._rules)

    def _advance(self, newest: int) -> None:
        """Move all windows on, and forget the markets that had no candle for a day."""
        for day in self._days.values():
            day.advance(newest)
        for market in [market for market, day in self._days.items() if not day.minutes]:
            del self._days[market]
            self._pairs.forget(market)

    def _add_days(self, days: Mapping[str, MarketDay]) -> None:
        if days:
            self._days = dict(sorted([*self._days.items(), *days.items()]))

    def _tell(self, kinds: Iterable[SignalKind], scene: Scene) -> Iterator[Signal]:
        for kind in kinds if scene.minute * MINUTE_MS >= self._silent_until_ms else ():
            for measure in kind.measure(scene):
                if measure.level is None:
                    yield _signal(kind.name, scene.minute, measure, SignalState.INFO, Severity.INFO)
                    continue
                told = self._conditions[kind.name].step(measure.market, measure.other, measure.level)
                if told is not None:
                    yield _signal(kind.name, scene.minute, measure, *told)


def _signal(kind: str, minute: int, measure: Measure, state: SignalState, severity: Severity) -> Signal:
    market = MarketKey.parse(measure.market)
    return Signal(
        exchange=market.exchange,
        symbol=market.symbol,
        kind=kind,
        state=state,
        severity=severity,
        time_ms=(minute + 1) * MINUTE_MS,
        revision=min(MAX_COUNT, measure.revision),
        other=measure.other,
        window_minutes=measure.window_minutes,
        values=measure.values(),
    )
