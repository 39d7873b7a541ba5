"""Live tickers held against open candles and closed minutes: what the processor makes is right, a spoiled one named."""

import json
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from rolled import MINUTE, START, Minute, minute

from candlewick.verify.findings import FindingKind, Findings
from candlewick.verify.live import LOOKED_AT
from candlewick.verify.rolled import RolledCheck
from processors.rolling.core import Output, Rolling

KEY = "binance:BTC-USDT"


class Market:
    """A market's minutes, each with its open candle right after the minute before, as the processor took them in."""

    def __init__(self, seed: int, minutes: int) -> None:
        at, core = random.Random(seed), Rolling(0, 1)
        self.minutes: list[Minute] = []
        self.open_candles: list[Minute] = []
        self.tickers: list[Minute] = []
        self.longer: list[Minute] = []
        for number in range(minutes):
            if number % 41 == 40:
                continue  # a gap
            revision = 100 * number + 200
            self._take(core, at, number, revision, [*self._corrected(at, number), number])
            for _ in range(at.randint(0, 3)):
                self._refresh(core, at, number + 1)
            if corrected := self._corrected(at, number):  # by a later marker, while the next minute is open
                self._take(core, at, number, revision + 1, corrected)
                self._refresh(core, at, number + 1)

    @staticmethod
    def _corrected(at: random.Random, number: int) -> list[int]:
        return [number - at.randint(1, 20)] if number > 20 and at.random() < 0.2 else []

    def _take(self, core: Rolling, at: random.Random, number: int, revision: int, changed: Sequence[int]) -> None:
        """The minutes of one revision."""
        for changed_number in changed:
            value = minute(at, START + changed_number * MINUTE, revision)
            self.minutes.append(Minute(len(self.minutes), START + number * MINUTE, KEY.encode(), value))
            self._publish(core.take(self.minutes[-1]))
            if at.random() < 0.3:  # as the log may stand between two reads
                self._refresh(core, at, number + 1)
        self._publish(core.flush())

    def _refresh(self, core: Rolling, at: random.Random, number: int) -> None:
        """An open candle, told later than the trades of the minute before as a rule."""
        revision = 100 * number + 200 + at.randint(-120, 90)
        value = minute(at, START + number * MINUTE, revision, status="open")
        offset = len(self.open_candles)
        self.open_candles.append(Minute(offset, START + number * MINUTE + 2000 * offset, KEY.encode(), value))
        self._publish(core.refresh(self.open_candles[-1]))

    def _publish(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            topic = self.tickers if output.timeframe is None else self.longer
            topic.append(Minute(len(topic), 0, KEY.encode(), output.value))

    def checked(self, *, candles_from: int = 0) -> Findings:
        findings = Findings()
        check = RolledCheck([KEY], findings, are_live_candles_whole=candles_from == 0)
        for candle in self.open_candles[candles_from:]:
            check.take_live_candle(candle)
        for ticker in self.tickers:
            check.take_ticker(ticker)
        for candle in self.longer:
            check.take_candle(candle)
        for record in self.minutes:
            check.take_minute(record)
        check.end()
        return findings

    def revisions(self) -> set[int]:
        """Of the open candles."""
        return {candle.fields["revision"] for candle in self.open_candles}

    @property
    def looked_at(self) -> int:
        counts = Counter(ticker.fields["time_ms"] for ticker in self.tickers if ticker.fields["live"])
        return sum(min(LOOKED_AT, count) for count in counts.values())

    @property
    def live_places(self) -> list[int]:
        return [place for place, ticker in enumerate(self.tickers) if ticker.fields["live"]]

    def spoil(self, place: int, window: str, **changes: object) -> None:
        fields = self.tickers[place].fields
        fields["windows"][window].update(changes)
        self.tickers[place] = self.tickers[place]._replace(value=json.dumps(fields).encode())


@pytest.mark.parametrize("seed", range(4))
def test_what_the_processor_makes_of_open_candles_is_right(seed: int) -> None:
    market = Market(seed, 300)
    findings = market.checked()
    assert findings.named == []
    assert findings.live_tickers == market.looked_at > 200
    assert findings.untold_tickers == 0


@pytest.mark.parametrize("window", ["1h", "24h", "7d"])
def test_a_spoiled_live_ticker_is_named(window: str) -> None:
    market = Market(5, 130)
    market.spoil(market.live_places[60], window, volume="0.125")
    findings = market.checked()
    assert len(findings.named) == 1
    assert "(live)" in findings.named[0]
    assert f"{window} volume is '0.125'" in findings.named[0]
    assert findings.live_tickers == market.looked_at - 1


def test_a_live_ticker_that_no_open_candle_leads_to_is_named() -> None:
    market = Market(6, 60)
    last = market.tickers[market.live_places[-1]]
    other = last.fields | {"last": "0.123"}
    market.tickers.append(last._replace(offset=last.offset + 1, value=json.dumps(other).encode()))
    [named] = market.checked().named
    assert "no open candle behind a closed minute leads to it" in named


def test_what_the_log_cannot_tell_any_more_is_counted_and_what_it_still_can_is_compared() -> None:
    market = Market(7, 120)
    findings = market.checked(candles_from=len(market.open_candles) // 2)
    assert findings.named == []
    assert findings.untold_tickers > 20
    assert findings.live_tickers > 20
    own = [place for place in market.live_places if market.tickers[place].fields["revision"] in market.revisions()]
    market.spoil(own[-1], "24h", trades=7)
    findings = market.checked(candles_from=len(market.open_candles) // 2)
    assert findings.counts[FindingKind.DIFFERENT] == 1
