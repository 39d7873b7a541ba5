"""The candles of a market that there are, one after the other, with the open one behind them.

Other people's clients know nothing of missing candles: a page that is short is the end to them. So what is missing is
stepped over, and a page is filled with what lies beyond. The open candle is made of the closed minutes of its window
and of the live minute that hot has; its status is `open`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from market.candle import Candle, Status
from market.codec import encode_candle
from market.timeframe import Timeframe
from serving.candles import CandlesQuestion, read_candles
from serving.encoded import EncodedCandle, fold_candles
from serving.errors import NoTierError, TooMuchError, TooSparseError
from serving.held import HeldSpans
from serving.lengths import MINUTE, CandleLength
from serving.neighbours import Neighbours
from serving.planner import SourcedCandle, SpanMs, Tier
from serving.present import PresentCandles, PresentQuestion, parts_of
from serving.tiers import AwayError, Tiers

MOST_HOLES = 32
"""Stepped over for one answer: behind each there is a candle at least, so a limit of so many is always answered."""


class _Edge(NamedTuple):
    """Where what is closed ends."""

    closed_until_ms: int
    """The end of the newest closed minute."""
    live: Candle | None
    """The open minute behind it."""


async def read_present(tiers: Tiers, held: HeldSpans, question: PresentQuestion, *, now_ms: int) -> PresentCandles:
    """Raises `NoTierError`, `TooMuchError`, and `TooSparseError` where too many holes would have to be stepped over."""
    walk = _Walk(tiers, held, question)
    edge = await walk.edge(now_ms)
    tail = await walk.open_candles(edge) if _reaches(question, edge) else {}
    until_ms = question.length.open_ms(edge.closed_until_ms)
    if question.until_ms is not None:
        until_ms = min(until_ms, question.until_ms)
    if question.is_last:
        await walk.backward(until_ms, question.limit - len(tail))
        walk.present.candles |= tail
        walk.keep(list(walk.present.candles)[-question.limit :])
    else:
        await walk.forward(until_ms)
        walk.present.candles |= tail
        walk.keep(list(walk.present.candles)[: question.limit])
    if not walk.present.candles and len(walk.present.away) == len(Tier):
        raise NoTierError(walk.present.away)
    return walk.present


def _reaches(question: PresentQuestion, edge: _Edge) -> bool:
    """Whether open candles may be among those asked for."""
    return question.until_ms is None or question.until_ms > question.length.open_ms(edge.closed_until_ms)


class _Walk:
    """One question on its way."""

    def __init__(self, tiers: Tiers, held: HeldSpans, question: PresentQuestion) -> None:
        self._tiers = tiers
        self._held = held
        self._question = question
        self._length = question.length
        self._neighbours = Neighbours(tiers, held, question.market, question.length)
        self._asked = SpanMs(0, 0)
        """The windows that the tiers were asked for last."""
        self.present = PresentCandles(length=question.length, away=self._neighbours.away)

    async def edge(self, now_ms: int) -> _Edge:
        """Up to where candles are closed by what hot has; where it has none, by the clock."""
        market = self._question.market
        try:
            newest = await self._tiers.hot.newest(market, Timeframe.M1)
            live = await self._tiers.hot.live(market)
        except AwayError:
            self.present.away.add(Tier.HOT)
            newest = live = None
        if newest is not None:
            closed_ms = newest.close_time_ms + 1
        elif live is not None:
            closed_ms = live.open_time_ms
        else:
            closed_ms = MINUTE.open_ms(now_ms)
        return _Edge(closed_ms, live if live is not None and live.open_time_ms >= closed_ms else None)

    async def open_candles(self, edge: _Edge) -> dict[int, SourcedCandle]:
        """The window that is closed in part, and that of the live minute, if it is another; those asked for."""
        length, question = self._length, self._question
        closed = SpanMs(length.open_ms(edge.closed_until_ms), edge.closed_until_ms)
        parts: list[SourcedCandle] = []
        for part, span in parts_of(closed):
            parts += (await self._ask(part, span, (span.until_ms - span.from_ms) // (part.fixed_ms or 1))).values()
        if edge.live is not None:
            live = edge.live
            encoded = EncodedCandle(live.open_time_ms, live.revision, live.status, 1, encode_candle(live))
            parts.append(SourcedCandle(encoded, (Tier.HOT,)))
        candles = fold_candles(question.market, length, [part.candle for part in parts])
        return {
            candle.open_ms: SourcedCandle(candle._replace(status=Status.OPEN), _tiers_of(parts, candle, length))
            for candle in candles
            if question.from_ms <= candle.open_ms < (question.until_ms or candle.open_ms + 1)
        }

    async def forward(self, until_ms: int) -> None:
        """Closed candles from the beginning on."""
        limit, from_ms = self._question.limit, self._question.from_ms
        for _ in range(MOST_HOLES + 1):
            if from_ms >= until_ms:
                return
            given = await self._ask(self._length, SpanMs(from_ms, until_ms), limit)
            self.present.candles |= given
            if len(self.present.candles) >= limit:
                return
            beyond_ms = self._asked.until_ms
            if not from_ms < beyond_ms < until_ms:
                return
            next_ms = await self._neighbours.next_ms(beyond_ms, until_ms)
            if next_ms is None:
                return
            from_ms = self._length.open_ms(next_ms)
        raise self._too_sparse()

    async def backward(self, until_ms: int, limit: int) -> None:
        """Closed candles from the end back."""
        from_ms = self._question.from_ms
        for _ in range(MOST_HOLES + 1):
            lacking = limit - len(self.present.candles)
            if lacking <= 0 or until_ms <= from_ms:
                return
            lacking = min(
                lacking, self._length.windows_in(self._length.open_ms(from_ms), _end_ms(self._length, until_ms))
            )
            given = await self._ask(self._length, SpanMs(from_ms, until_ms), lacking, is_last=True)
            self.present.candles = given | self.present.candles
            before_ms = self._asked.from_ms
            if len(self.present.candles) >= limit or before_ms <= from_ms:
                return
            previous_ms = await self._neighbours.previous_ms(before_ms, from_ms)
            if previous_ms is None:
                return
            until_ms = self._length.end_ms(self._length.open_ms(previous_ms))
        raise self._too_sparse()

    def keep(self, opens: Iterable[int]) -> None:
        """Let all other candles go."""
        self.present.candles = {open_ms: self.present.candles[open_ms] for open_ms in opens}

    async def _ask(
        self, length: CandleLength, span: SpanMs, limit: int, *, is_last: bool = False
    ) -> dict[int, SourcedCandle]:
        """What the planner has of a span, at most `limit` windows of it; what was asked for is in `_asked` then."""
        while True:
            question = CandlesQuestion(
                market=self._question.market,
                length=length,
                from_ms=None if is_last else span.from_ms,
                until_ms=span.until_ms,
                limit=limit,
            )
            try:
                answer = await read_candles(self._tiers, self._held, question, now_ms=_end_ms(length, span.until_ms))
            except TooMuchError as error:
                if error.limit >= limit:
                    raise
                limit = error.limit
                continue
            break
        self.present.away.update(answer.away)
        self._asked = answer.coverage.span
        return {open_ms: candle for open_ms, candle in answer.merged.items() if span.from_ms <= open_ms < span.until_ms}

    def _too_sparse(self) -> TooSparseError:
        return TooSparseError(
            f"too many candles are missing between those of {self._question.market}: ask for at most {MOST_HOLES} of "
            "them (limit), or for a time without holes"
        )


def _end_ms(length: CandleLength, until_ms: int) -> int:
    """The end of the last window that opens before a time."""
    return length.end_ms(length.open_ms(until_ms - 1))


def _tiers_of(parts: Iterable[SourcedCandle], candle: EncodedCandle, length: CandleLength) -> tuple[Tier, ...]:
    tiers = {tier for part in parts if length.open_ms(part.candle.open_ms) == candle.open_ms for tier in part.tiers}
    return tuple(tier for tier in Tier if tier in tiers)
