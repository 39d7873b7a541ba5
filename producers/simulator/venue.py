"""What the protocols of one simulated exchange share: its markets, its time, its faults and its pages."""

import time
from collections.abc import Callable, Iterable, Iterator

from producers.simulator.aggregated import AggregatedHistory
from producers.simulator.archive import Archive
from producers.simulator.faults import FaultPlan
from producers.simulator.history import TradeHistory
from producers.simulator.pages import Pages

_PERPETUAL = "_PERP"


class Venue:
    """The markets by name (``BTCUSDT``), and the moment.

    The aggregates of a market are a second one (``BTCUSDT_PERP``), which begins when it is first asked for: faults on
    ids, resets and the record are its own.
    """

    def __init__(
        self,
        histories: Iterable[TradeHistory],
        plan: FaultPlan,
        *,
        seed: int,
        speed: float = 1.0,
        now: Callable[[], int],
    ) -> None:
        self.archives = {history.instrument.symbol: Archive(history) for history in histories}
        self.plan = plan
        self.pages = Pages(plan, seed, speed)
        self.suspended: set[str] = set()
        """Markets that OKX and Bybit list as not traded, and take no new subscription to; what was taken goes on."""
        self._perpetuals: dict[str, Archive] = {}
        self._now_us = now

    @property
    def now_us(self) -> int:
        """Market time, UTC microseconds."""
        return self._now_us()

    @property
    def now_ms(self) -> int:
        """Market time, UTC milliseconds."""
        return self._now_us() // 1_000

    @property
    def clock_ms(self) -> int:
        """The server's own clock, which may be wrong, UTC milliseconds."""
        return self.now_ms + self.plan.clock_error_ms(time.monotonic())

    @property
    def klines_until_ms(self) -> int:
        """The last moment whose trades klines count."""
        return self.now_ms - int(self.plan.faults.kline_lag_s * 1_000)

    def named(self) -> Iterator[tuple[str, Archive]]:
        """All markets that have begun, and their names."""
        yield from self.archives.items()
        for symbol, archive in self._perpetuals.items():
            yield symbol + _PERPETUAL, archive

    def perpetual(self, symbol: str) -> Archive | None:
        """The aggregates of a market as a market; None: there is no such market."""
        archive = self.archives.get(symbol)
        if archive is not None and symbol not in self._perpetuals:
            self._perpetuals[symbol] = Archive(AggregatedHistory(archive.history))
        return self._perpetuals.get(symbol)

    def market(self, name: str) -> Archive | None:
        """The market of that name: ``BTCUSDT`` or ``BTCUSDT_PERP``."""
        if name.endswith(_PERPETUAL):
            return self.perpetual(name.removesuffix(_PERPETUAL))
        return self.archives.get(name)

    def both(self, archive: Archive) -> list[Archive]:
        """A market of single trades, and that of its aggregates if it has begun."""
        perpetual = self._perpetuals.get(archive.instrument.symbol)
        return [archive] if perpetual is None else [archive, perpetual]
