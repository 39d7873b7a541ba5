"""Captured frames through an exchange's adapter again, and what it reads of them. Pure.

The adapter gets what it got then: the frame, the names of the symbols, and the time at which the frame came. A capture
of another recorder does not tell our names: then any native name is taken, and stands for itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from market.errors import MalformedError
from market.trade import Trade
from producers.capture.lines import (
    CapturedLine,
    CaptureHeader,
    CutOff,
    EndedConnection,
    OpenedConnection,
    ReceivedFrame,
    SentFrame,
    UnreadableLine,
)
from producers.capture.tally import PlaybackTally
from producers.exchange import Exchange

_MAX_SHOWN = 60


class AnyName(Mapping[str, str]):
    """Every native name to itself, except those that are given."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def __getitem__(self, native: str) -> str:
        if not isinstance(native, str) or not native:
            raise KeyError(native)
        return self._given.get(native, native)

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


class Playback:
    """Reads captured lines with the adapter that `exchange_of` gives for their header, and counts what there was.

    `names`: native name to ours, beside what the headers say.
    """

    def __init__(self, exchange_of: Callable[[CaptureHeader | None], Exchange], names: Mapping[str, str]) -> None:
        self.tally = PlaybackTally()
        self._exchange_of = exchange_of
        self._names = names
        self._any = AnyName(names)

    def take(self, captured: CapturedLine) -> Sequence[Trade]:
        """One line; returns the trades in it whose ids did not come before."""
        tally, line = self.tally, captured.line
        match line:
            case ReceivedFrame():
                return self._read(line, captured.header)
            case SentFrame():
                tally.sent += 1
            case OpenedConnection():
                tally.opened += 1
                tally.begin_connection(_connection(captured.header))
            case EndedConnection():
                tally.ended.add(line.reason)
            case UnreadableLine():
                tally.unreadable.add(f"{line.reason}: {line.line[:_MAX_SHOWN]!r}")
            case CutOff():
                tally.cut_off.append(line)
            case CaptureHeader():
                tally.files += 1
        return ()

    def _read(self, line: ReceivedFrame, header: CaptureHeader | None) -> Sequence[Trade]:
        tally = self.tally
        exchange = self._exchange_of(header)
        names = self._any if header is None else {**header.symbols, **self._names} if self._names else header.symbols
        tally.receive(line.time_us, _connection(header))
        try:
            message = exchange.read(line.frame, names, line.time_us)
        except MalformedError as error:
            tally.malformed.add(str(error))
            return ()
        tally.hear(message.server_us, line.time_us, _connection(header))
        for refused in message.refused:
            tally.refused.add(refused.reason)
        if message.rejected is not None:
            tally.rejected.add(message.rejected)
        return [trade for trade in message.trades if tally.count(trade, exchange.ids_prove)]


def _connection(header: CaptureHeader | None) -> str:
    return "" if header is None else f"{header.exchange} {header.connection}"
