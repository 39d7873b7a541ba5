"""A market's aggregates as trades of their own, with their own contiguous ids: what USD-M futures publish."""

from collections.abc import Sequence

from producers.simulator.archive import aggregates
from producers.simulator.history import Match, TradeHistory

_KEPT_MINUTES = 4


class AggregatedMatch(Match, frozen=True, gc=False):
    """An aggregate as a trade; it consists of the market's trades `first_id` … `last_id`."""

    first_id: int
    last_id: int


class AggregatedHistory:
    """The aggregates of a history as a `TradeHistory`: `trade_id` is the aggregate's id."""

    def __init__(self, history: TradeHistory) -> None:
        self.instrument = history.instrument
        self._history = history
        self._kept: dict[int, Sequence[Match]] = {}

    def minute(self, minute: int) -> Sequence[Match]:
        """See `TradeHistory`."""
        rows = self._kept.get(minute)
        if rows is None:
            rows = self._made(minute)
            while len(self._kept) >= _KEPT_MINUTES:
                del self._kept[next(iter(self._kept))]
            self._kept[minute] = rows
        return rows

    def minute_of(self, trade_id: int) -> int | None:
        """See `TradeHistory`."""
        return self._history.minute_of_aggregate(trade_id)

    def minute_of_aggregate(self, aggregate_id: int) -> int | None:
        """See `TradeHistory`."""
        return self._history.minute_of_aggregate(aggregate_id)

    def minute_before(self, minute: int) -> int | None:
        """See `TradeHistory`."""
        return self._history.minute_before(minute)

    def _made(self, minute: int) -> Sequence[Match]:
        return tuple(
            AggregatedMatch(
                row.aggregate_id,
                row.ticks,
                row.lots,
                row.time_ms,
                row.buyer_is_maker,
                row.aggregate_id,
                row.first_id,
                row.last_id,
            )
            for row in aggregates(self._history.minute(minute))
        )
