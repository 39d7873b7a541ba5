"""``candlewick playback``: recorded frames through the exchange's adapter again."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Annotated, BinaryIO

from cyclopts import Parameter
from rich.table import Table

from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.tables import print_table
from market.codec import encode_trade
from market.utc import utc
from producers.capture.lines import CapturedLine, CaptureHeader, ReceivedFrame
from producers.capture.playback import Playback
from producers.capture.reader import capture_files, read_captures
from producers.capture.tally import Oddity, PlaybackTally, Reasons
from producers.exchange import Exchange
from producers.exchanges import EXCHANGES, exchange_named
from runtime.errors import UsageError
from runtime.settings import Settings

_MAX_SHOWN = 10
_SECOND_US = 1_000_000


def playback(
    *paths: Annotated[Path, Parameter(help="folders that --record wrote into, or files, also of other recorders")],
    exchange: Annotated[
        str | None, Parameter(help="read all of it as this exchange's; unset: what the files say")
    ] = None,
    symbol: Annotated[
        tuple[str, ...],
        Parameter(
            negative="", help="NATIVE=OURS, such as BTCUSDT=BTC-USDT, where files do not say it; repeat for more"
        ),
    ] = (),
    speed: Annotated[
        float | None, Parameter(help="recorded seconds in a second; unset: as fast as it can be read")
    ] = None,
    jsonl: Annotated[Path | None, Parameter(help="write the trades into this new file, for candlewick import")] = None,
    common: Common = NONE_GIVEN,
) -> None:
    """Read recorded frames again, and print what is in them.

    That is: frames, trades and missing ids of each symbol, what was refused and why, and clocks that cannot be right.
    Files that were cut off are read as far as they go. Nothing is published, and no Kafka is needed.

    ```
    candlewick produce binance BTC-USDT --record frames
    candlewick playback frames
    candlewick playback frames --jsonl trades.jsonl
    candlewick import trades.jsonl --symbol BTC-USDT
    candlewick playback COINBASE.ws.28.0 --exchange coinbase
    ```
    """
    if speed is not None and speed <= 0:
        raise UsageError(f"--speed {speed:g}: give a number greater than 0")
    replayed = Playback(_adapters(common.settings(), exchange), _names(symbol))
    captured: Iterable[CapturedLine] = read_captures(capture_files(paths))
    if speed is not None:
        captured = _paced(captured, speed)
    with ExitStack() as files:
        into = files.enter_context(_new_file(jsonl)) if jsonl is not None else None
        for line in captured:
            trades = replayed.take(line)
            if into is not None:
                into.writelines(encode_trade(trade) + b"\n" for trade in trades)
    _print(replayed.tally)


app = single_command("playback", playback)


class _adapters:  # noqa: N801  # a function with a memory
    """The adapter for a header: of the exchange that is named, else of the one that the header says."""

    def __init__(self, settings: Settings, exchange: str | None) -> None:
        self._named = exchange
        self._made = cache(lambda name: exchange_named(name, settings))
        self._last: tuple[CaptureHeader | None, Exchange] | None = None

    def __call__(self, header: CaptureHeader | None) -> Exchange:
        if self._last is None or self._last[0] is not header:  # it is asked for with each frame
            self._last = header, self._adapter(header)
        return self._last[1]

    def _adapter(self, header: CaptureHeader | None) -> Exchange:
        name = self._named or (header.exchange if header else None)
        if name is None:
            raise UsageError(f"a file does not say which exchange it is of: add --exchange {' or '.join(EXCHANGES)}")
        return self._made(name).knowing(header.contracts if header else {})


def _names(given: Sequence[str]) -> Mapping[str, str]:
    names = {}
    for text in given:
        native, equals, ours = text.partition("=")
        if not (native and equals and ours):
            raise UsageError(f"--symbol {text} is not NATIVE=OURS, such as --symbol BTCUSDT=BTC-USDT")
        names[native] = ours
    return names


def _new_file(path: Path) -> BinaryIO:
    try:
        return path.open("xb")
    except FileExistsError:
        raise UsageError(f"--jsonl {path} is there already: name a new file") from None
    except OSError as error:
        raise UsageError(f"--jsonl {path} cannot be written: {error.strerror or error}") from error


def _paced(captured: Iterable[CapturedLine], speed: float) -> Iterator[CapturedLine]:
    """The lines, each when its time has come."""
    first_us, began_s = 0, time.monotonic()
    for each in captured:
        if isinstance(each.line, ReceivedFrame):
            first_us = first_us or each.line.time_us
            due_s = began_s + (each.line.time_us - first_us) / _SECOND_US / speed
            time.sleep(max(0.0, due_s - time.monotonic()))
        yield each


def _print(tally: PlaybackTally) -> None:
    if tally.symbols:
        _print_symbols(tally)
    sys.stdout.write("".join(f"{line}\n" for line in _lines(tally)))


def _print_symbols(tally: PlaybackTally) -> None:
    table = Table("symbol", "trades", "repeated", "ids", "missing ids", "first", "last")
    for market, symbol in sorted(tally.symbols.items()):
        numbers = symbol.ids.numbers
        missing = symbol.missing
        table.add_row(
            str(market),
            f"{symbol.trades:,}",
            f"{symbol.repeated:,}",
            f"{numbers.least} to {numbers.greatest}" if numbers else "",
            "ids do not tell" if missing is None else _ranges(missing),
            utc(symbol.first_us),
            utc(symbol.last_us),
        )
    print_table(table)


def _ranges(missing: list[tuple[int, int]]) -> str:
    """Such as ``3 (17 to 18, 21)``."""
    if not missing:
        return "0"
    count = sum(last - first + 1 for first, last in missing)
    shown = [str(first) if first == last else f"{first} to {last}" for first, last in missing[:_MAX_SHOWN]]
    more = [f"{len(missing) - _MAX_SHOWN:,} more ranges"] if len(missing) > _MAX_SHOWN else []
    return f"{count:,} ({', '.join([*shown, *more])})"


def _lines(tally: PlaybackTally) -> Iterator[str]:
    span = f", from {utc(tally.first_us)} to {utc(tally.last_us)}" if tally.frames else ""
    yield f"{tally.frames:,} frames{span}; {tally.trades:,} trades of {len(tally.symbols):,} symbols"
    yield f"{tally.opened:,} connections were made, {len(tally.ended):,} ended, {tally.sent:,} frames were sent"
    for what, reasons in (
        ("connections ended", tally.ended),
        ("subscriptions were not taken", tally.rejected),
        ("refused in place of trades", tally.refused),
        ("frames that are none of the exchange", tally.malformed),
        ("lines that are none of a capture", tally.unreadable),
    ):
        yield from _reasons(what, reasons)
    for cut in tally.cut_off:
        yield f"cut off: {cut.file}: {cut.reason}"
    if tally.frames:
        yield f"longest pause between two frames of a connection: {_seconds(tally.longest_pause_us)}"
    if tally.least_lag_us is not None and tally.greatest_lag_us is not None:
        least, greatest = _seconds(tally.least_lag_us), _seconds(tally.greatest_lag_us)
        yield f"received behind the exchange's clock: {least} to {greatest}"
    for what, oddity in (
        ("frames came before the exchange sent them, by its clock and the recorder's", tally.server_ahead),
        ("trades came before they were made, by the same clocks", tally.trade_ahead),
        ("times the exchange's clock went back", tally.server_back),
        ("times the recorder's clock went back", tally.received_back),
    ):
        yield from _oddity(what, oddity)


def _reasons(what: str, reasons: Reasons) -> Iterator[str]:
    if reasons:
        yield f"{what}: {len(reasons):,}"
        for reason, count in reasons.counts.most_common(_MAX_SHOWN):
            yield f"    {count:,} times: {reason}"
        if len(reasons.counts) > _MAX_SHOWN:
            yield f"    … and {len(reasons.counts) - _MAX_SHOWN:,} more reasons"


def _oddity(what: str, oddity: Oddity) -> Iterator[str]:
    if oddity.count:
        yield f"{oddity.count:,} {what}: by {_seconds(oddity.worst_us)} at most"


def _seconds(time_us: int) -> str:
    return f"{time_us / _SECOND_US:.3f} s"
