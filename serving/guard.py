"""What the faces of the tiers share: what they are asked for, and the one place where a tier turns out to be away."""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, Protocol, TypeVar

import pyarrow as pa

from market.errors import MalformedError
from market.key import MarketKey
from runtime.errors import CandlewickError
from runtime.telemetry import logger
from serving.encoded import EncodedCandle
from serving.planner import RevisionChoice, SpanMs, Tier
from sinks.clickhouse.connect import RowsRefusedError

Answer = TypeVar("Answer")


class AwayError(CandlewickError):
    """A tier cannot answer now, or not with anything that can be read."""


class TierStore(Protocol):
    """What every tier can be asked. All raise `AwayError`."""

    async def minutes(
        self, market: MarketKey, spans: Sequence[SpanMs], revision: RevisionChoice = RevisionChoice.LATEST
    ) -> list[EncodedCandle]:
        """Closed 1m candles that open in the spans, which are in order; oldest first.

        Of first revisions only cold has all: the others give the first that they still have.
        """

    async def close(self) -> None:
        """Close the connections."""


class MinuteSpan(NamedTuple):
    """Minutes since 1970 in [begin, end)."""

    begin: int
    end: int


class RecordTable(NamedTuple):
    """Records of whole minutes, in any order, as `sinks.record_forms` has them."""

    rows: pa.Table
    end: int
    """The first minute that is not read."""


class Guard:
    """Bounds how long a tier may take, and says in the log when it goes away and when it is back."""

    def __init__(self, tier: Tier, errors: Callable[[], AbstractContextManager[None]], timeout_s: float) -> None:
        self._tier = tier
        self._errors = errors
        self._timeout_s = timeout_s
        self._away = False
        self._log = logger("serve")

    async def ask(self, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer, or `AwayError`."""
        try:
            with self._translated():
                async with asyncio.timeout(self._timeout_s):
                    with self._errors():
                        answer = await question()
        except AwayError as error:
            if not self._away:
                self._log.warning("tier is away", tier=self._tier, reason=str(error))
            self._away = True
            raise
        if self._away:
            self._log.info("tier is back", tier=self._tier)
        self._away = False
        return answer

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (CandlewickError, RowsRefusedError) as error:
            raise AwayError(str(error)) from error
        except TimeoutError as error:
            raise AwayError(f"the {self._tier} tier did not answer within {self._timeout_s:g} s") from error
        except (MalformedError, pa.ArrowException) as error:
            raise AwayError(f"the {self._tier} tier holds what is not ours or damaged: {error}") from error


def is_in(time_ms: int, spans: Sequence[SpanMs]) -> bool:
    """Whether spans, which are in order, have the time in them."""
    place = bisect_right(spans, time_ms, key=lambda span: span.from_ms)
    return place > 0 and time_ms < spans[place - 1].until_ms
