"""Which funding rates have to be asked for, and which of an answer have to be published. Pure.

Rates are settled at whole hours: a perpetual is asked for a minute after each, and where its next time is known, a
minute after that time. A rate that is late is asked for again every five minutes, for an hour.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from market.funding import FundingKind, FundingRate
from market.timeframe import HOUR_MS

SETTLED_WITHIN_MS = 60_000
ASK_AGAIN_MS = 300_000


class FundingAsk(NamedTuple):
    """The rates that were settled from `from_ms` on, before `until_ms`."""

    native: str
    from_ms: int
    until_ms: int
    is_history: bool
    """The span ended before it was asked for: what is not in the answer does not exist."""


@dataclass
class _Perpetual:
    newest_ms: int
    """Everything until here is published, or does not exist."""
    ask_at_ms: int = 0
    expected: FundingRate | None = None


class FundingPlan:
    """The perpetuals that are followed, by native name; `page_rates` is how many rates an answer holds."""

    def __init__(self, page_rates: int) -> None:
        self._span_ms = page_rates * HOUR_MS
        self._perpetuals: dict[str, _Perpetual] = {}

    def __contains__(self, native: str) -> bool:
        return native in self._perpetuals

    def follow(self, newest_ms: Mapping[str, int]) -> None:
        """Follow these from the time of their newest published rate on."""
        self._perpetuals |= {native: _Perpetual(newest) for native, newest in newest_ms.items()}

    def retain(self, natives: Iterable[str]) -> None:
        """Follow only these on."""
        kept = set(natives)
        self._perpetuals = {native: each for native, each in self._perpetuals.items() if native in kept}

    def next_ask(self, now_ms: int) -> FundingAsk | None:
        """What is due, the longest due first."""
        due = min(self._perpetuals.items(), key=lambda item: item[1].ask_at_ms, default=None)
        if due is None or due[1].ask_at_ms > now_ms:
            return None
        native, perpetual = due
        from_ms = perpetual.newest_ms + 1
        until_ms = from_ms + self._span_ms
        is_history = until_ms <= now_ms - HOUR_MS  # what is younger may still be on its way
        return FundingAsk(native, from_ms, until_ms if is_history else min(until_ms, now_ms + 1), is_history)

    def new(self, ask: FundingAsk, rates: Iterable[FundingRate]) -> list[FundingRate]:
        """Of the answer, what is not published yet."""
        newest_ms = self._perpetuals[ask.native].newest_ms
        return [rate for rate in rates if rate.time_ms > newest_ms]

    def published(self, ask: FundingAsk, rates: Iterable[FundingRate], now_ms: int) -> None:
        """Note that the new ones of the answer are published."""
        perpetual = self._perpetuals[ask.native]
        perpetual.newest_ms = max([perpetual.newest_ms, *(rate.time_ms for rate in rates)])
        if ask.is_history:
            perpetual.newest_ms = max(perpetual.newest_ms, ask.until_ms - 1)
            return
        expected = perpetual.expected
        is_late = expected is not None and perpetual.newest_ms < expected.time_ms <= now_ms < expected.time_ms + HOUR_MS
        perpetual.ask_at_ms = now_ms + ASK_AGAIN_MS if is_late else _after_next_hour(now_ms)

    def failed(self, ask: FundingAsk, now_ms: int) -> None:
        """Note that there was no answer."""
        self._perpetuals[ask.native].ask_at_ms = now_ms + ASK_AGAIN_MS

    def new_expected(self, rates: Mapping[str, FundingRate], now_ms: int) -> list[FundingRate]:
        """Of what is expected, by native name, that which differs from what was published of it."""
        new = []
        for native, rate in rates.items():
            perpetual = self._perpetuals.get(native)
            if perpetual is None or rate.time_ms <= perpetual.newest_ms or rate.kind is not FundingKind.EXPECTED:
                continue
            known = perpetual.expected
            if known is None or (known.time_ms, known.rate) != (rate.time_ms, rate.rate):
                new.append(rate)
            due_ms = rate.time_ms + SETTLED_WITHIN_MS
            if due_ms > now_ms:
                perpetual.ask_at_ms = min(perpetual.ask_at_ms, due_ms)
        return new

    def published_expected(self, rates: Mapping[str, FundingRate]) -> None:
        """Note that these are published, where they are new."""
        for native, rate in rates.items():
            if native in self._perpetuals:
                self._perpetuals[native].expected = rate


def _after_next_hour(now_ms: int) -> int:
    return (now_ms // HOUR_MS + 1) * HOUR_MS + SETTLED_WITHIN_MS
