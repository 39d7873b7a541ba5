"""One reading of the log: partitions merged, candles taken in, and what has been told before kept silent. Pure.

State is never stored. A start reads the log again from a day before the last midnight, without telling anything, up to
the committed positions; from there on it tells.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from market.errors import MalformedError
from market.records import BareRecord
from market.signal import Signal
from processors.signals.core import SignalCore
from processors.signals.merge import END_MS, LogMerge


class RefusedRecord(NamedTuple):
    """A record that is no candle of a minute that has passed."""

    partition: int
    record: BareRecord
    error: MalformedError


class Told(NamedTuple):
    """What a step of reading tells."""

    signals: list[Signal]
    refused: list[RefusedRecord]


class SignalReading:
    """All partitions; `told` has, of each, the first offset whose signals are not told yet."""

    def __init__(self, core: SignalCore, told: Mapping[int, int], since_ms: int | None) -> None:
        self._core = core
        self._told = told
        self._since_ms = since_ms
        """From which append time on the log is read; None: from its beginning."""
        self._behind = {partition for partition, offset in told.items() if offset > 0}
        self.merge = LogMerge(told)
        self.positions = dict.fromkeys(told, 0)
        """Partition → the next offset; it may be committed once what was told is acknowledged."""
        self.lacks_since_ms: int | None = None
        """The state is not what it was: the log has to be read from this append time on, or from its beginning."""

    @property
    def is_rebuilt(self) -> bool:
        """Whether all that was told before is behind."""
        return not self._behind

    def add(self, partition: int, records: Iterable[BareRecord]) -> None:
        """Records that were read, in offset order."""
        self.merge.add(partition, records)

    def know(self, partition: int, position: int, until_ms: int) -> None:
        """All records before `position` were added, and none will come that was appended before `until_ms`."""
        self.merge.know(partition, until_ms)
        if not self.merge.waiting(partition):
            self._pass(partition, position)

    def step(self) -> Told:
        """Take in what is known to come next."""
        signals: list[Signal] = []
        refused: list[RefusedRecord] = []
        for log_ms, partition, record in self.merge.ready():
            is_new = record.offset >= self._told[partition]
            if is_new and self._is_too_short():
                break
            made = self._core.pass_time(log_ms)
            try:
                made += self._core.take(record, partition, log_ms)
            except MalformedError as error:
                if is_new:
                    refused.append(RefusedRecord(partition, record, error))
            if is_new:
                signals += made
            self._pass(partition, record.offset + 1)
        known_ms = self.merge.known_ms
        if known_ms < END_MS and self.is_rebuilt and not self._is_too_short():
            signals += self._core.pass_time(known_ms)
        return Told(signals, refused)

    def _pass(self, partition: int, position: int) -> None:
        self.positions[partition] = max(self.positions[partition], position)
        if position >= self._told[partition]:
            self._behind.discard(partition)

    def _is_too_short(self) -> bool:
        """Whether the market is older than the log clock let expect, and the log older still: looked at once."""
        if self._since_ms is not None:
            needs_ms = self._core.needs_since_ms()
            if needs_ms is not None and needs_ms < self._since_ms:
                self.lacks_since_ms = needs_ms
            self._since_ms = None
        return self.lacks_since_ms is not None
