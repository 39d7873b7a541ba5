"""The topics: their names, how they are kept, and which group reads them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from market.timeframe import Timeframe

_DAY_MS = 86_400_000
_DELETE_DAYS = {
    Timeframe.M1: 90, Timeframe.M3: 90, Timeframe.M5: 90, Timeframe.M15: 180, Timeframe.M30: 180, Timeframe.H1: 365,
    Timeframe.H2: 365, Timeframe.H4: 730, Timeframe.H6: 730, Timeframe.H12: 730, Timeframe.D1: 3650,
    Timeframe.W1: 3650, Timeframe.MO1: 3650,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TopicSpec:
    """A topic as it has to be; `config` holds Kafka's own setting names."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Topics:
    """All topic and group names. `prefix` lets several pipelines share a cluster (``test7.md.trades.v1``)."""

    prefix: str = ""
    partitions: int = 12
    suffix: str = ""
    """Of a recomputation (``.fix1``): added to the names of its group and of the topics that its engine writes."""

    def beside(self, suffix: str) -> "Topics":
        """The names of the recomputation `suffix` (``fix1``); topics that it only reads keep their names."""
        return replace(self, suffix=f".{suffix}")

    @property
    def trades(self) -> str:
        """Trades and markers."""
        return f"{self.prefix}md.trades.v1"

    @property
    def late(self) -> str:
        """Trades behind the final boundary."""
        return f"{self.prefix}md.trades.v1.late{self.suffix}"

    @property
    def live(self) -> str:
        """The open 1m candles."""
        return f"{self.prefix}md.candles.live.v1"

    @property
    def tickers(self) -> str:
        """Rolling statistics."""
        return f"{self.prefix}md.tickers.v1"

    @property
    def signals(self) -> str:
        """Anomalies, spreads, correlations."""
        return f"{self.prefix}md.signals.v1"

    @property
    def bars(self) -> str:
        """Bars of volume, dollars and ticks."""
        return f"{self.prefix}md.bars.v1"

    @property
    def feeds(self) -> str:
        """What happens to feeds."""
        return f"{self.prefix}md.feeds.v1"

    @property
    def progress(self) -> str:
        """Newest markers and finished runs."""
        return f"{self.prefix}md.progress.v1"

    @property
    def state(self) -> str:
        """The candle engine's state."""
        return f"{self.prefix}candlewick.candles.state.v1{self.suffix}"

    @property
    def bars_state(self) -> str:
        """The state of the engine that makes bars."""
        return f"{self.prefix}candlewick.bars.state.v1"

    @property
    def instruments(self) -> str:
        """Symbols with tick and lot."""
        return f"{self.prefix}md.instruments.v1"

    @property
    def funding(self) -> str:
        """Funding rates of perpetuals."""
        return f"{self.prefix}md.funding.v1"

    def candles(self, timeframe: Timeframe = Timeframe.M1) -> str:
        """Closed candles of a timeframe."""
        return f"{self.prefix}md.candles.{timeframe.value}.v1{self.suffix}"

    def dead_letters(self, topic: str) -> str:
        """Where refused records of `topic` go."""
        return f"{topic}.dlq{self.suffix}"

    def group(self, name: str) -> str:
        """A consumer group's name, as in ``candlewick.candles``."""
        return f"{self.prefix}candlewick.{name}{self.suffix}"

    def specs(self) -> Iterator[TopicSpec]:
        """Every topic as it has to be, dead letters included."""
        kept = {
            self.trades: _delete(7),
            self.late: _delete(90),
            self.live: {"cleanup.policy": "delete", "retention.ms": "3600000", "segment.ms": "600000"},
            self.tickers: _COMPACT,
            self.signals: _delete(90),
            self.bars: _delete(90),
            self.feeds: _delete(90),
            self.progress: _COMPACT,
            self.state: _COMPACT,
            self.bars_state: _COMPACT,
            self.instruments: _COMPACT,
            self.funding: _delete(365),
            **{self.candles(timeframe): _delete(days) for timeframe, days in _DELETE_DAYS.items()},
        }
        for name, config in kept.items():
            yield self._spec(name, config)
        refusing = (self.trades, self.live, self.tickers, self.feeds, self.funding, self.instruments)
        for name in (*refusing, self.signals, self.bars, *map(self.candles, Timeframe)):
            yield self._spec(self.dead_letters(name), _delete(30))

    def _spec(self, name: str, config: dict[str, str]) -> TopicSpec:
        config = {"message.timestamp.type": "LogAppendTime", **config}
        return TopicSpec(name=name, partitions=self.partitions, config=config)


_COMPACT = {"cleanup.policy": "compact", "segment.ms": "3600000", "min.cleanable.dirty.ratio": "0.2"}


def _delete(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * _DAY_MS)}
