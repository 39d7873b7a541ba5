"""The lines of a capture: one for each thing that happened on a connection. Pure.

The form is that of the raw files that public recorders write, so that theirs are read too::

    # {"exchange":"binance","connection":0,"symbols":{"BTCUSDT":"BTC-USDT"},"version":"0.1.0"}
    wss://data-stream.binance.vision/stream?streams=btcusdt@trade <-> 1610064000.012345
    wss://data-stream.binance.vision/stream?streams=btcusdt@trade <- 1610064000.020001: {"method":"SUBSCRIBE"}
    1610064000.278123: {"stream":"btcusdt@trade","data":{"e":"trade"}}
    # {"ended_us":1610064060000000,"reason":"closed by the server, code 1006"}

``<->`` is a connection that was made, ``<-`` a frame that we sent, a bare time a frame that came. Times are seconds
since 1970 by the recorder's clock, written with six places. Lines that begin with ``#`` are our own additions: what the
file is of, and how a connection ended. A frame may hold any bytes: one with a line feed stands there in base64, and
`` base64`` behind its time says so.
"""

import binascii
import re
from decimal import Decimal
from typing import NamedTuple

import msgspec

from market.errors import MalformedError
from market.fields import MAX_TIME_US

_SECOND_US = 1_000_000
_BASE64 = b" base64"
_PLACES = 6
_COMMENT = b"#"
_NO_FRAME = "there is no frame behind the time"
_event = re.compile(rb"(\S+) (<->|<-) ([0-9.]+)( base64)?(?:: (.*))?", re.DOTALL).fullmatch
_time = re.compile(rb"([0-9]{1,12})(?:\.([0-9]{1,12}))?").fullmatch


class CaptureHeader(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a file of a capture is of."""

    exchange: str
    connection: int
    symbols: dict[str, str]
    """Native name to ours."""
    contracts: dict[str, Decimal] = {}
    """Native name to base units in a contract, where the exchange counts in contracts."""
    version: str = ""
    """Of the program that wrote it."""


class EndedConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A connection ended."""

    ended_us: int
    reason: str = ""


class OpenedConnection(NamedTuple):
    """A connection was made."""

    time_us: int
    url: str


class SentFrame(NamedTuple):
    """What the recorder sent."""

    time_us: int
    url: str
    frame: bytes


class ReceivedFrame(NamedTuple):
    """What the exchange sent."""

    time_us: int
    frame: bytes


class UnreadableLine(NamedTuple):
    """A line that has none of the forms."""

    line: bytes
    reason: str


class CutOff(NamedTuple):
    """A file ends in the middle of something; all before it was read."""

    file: str
    reason: str


Line = CaptureHeader | EndedConnection | OpenedConnection | SentFrame | ReceivedFrame | UnreadableLine | CutOff


class CapturedLine(NamedTuple):
    """A line, and what its connection is of; `header` None: the file does not say."""

    line: Line
    header: CaptureHeader | None


_header = msgspec.json.Decoder(CaptureHeader).decode
_ended = msgspec.json.Decoder(EndedConnection).decode


def received_line(time_us: int, frame: bytes) -> bytes:
    """The line of a frame that came at `time_us`."""
    if b"\n" in frame:
        return b"%d.%06d base64: %b\n" % (*divmod(time_us, _SECOND_US), binascii.b2a_base64(frame, newline=False))
    return b"%d.%06d: %b\n" % (*divmod(time_us, _SECOND_US), frame)


def sent_line(time_us: int, url: str, frame: bytes) -> bytes:
    """The line of a frame that we sent to `url`."""
    return b"%b <- %b" % (_in_one_word(url), received_line(time_us, frame))


def opened_line(time_us: int, url: str) -> bytes:
    """The line of a connection that was made to `url`."""
    return b"%b <-> %d.%06d\n" % (_in_one_word(url), *divmod(time_us, _SECOND_US))


def comment_line(content: CaptureHeader | EndedConnection) -> bytes:
    """The line of what other programs pass over."""
    return b"%b %b\n" % (_COMMENT, msgspec.json.encode(content))


def parse_line(line: bytes) -> Line | None:
    """One line, without its line feed; None where there is nothing in it, or a comment that is none of ours."""
    if line.startswith(_COMMENT):
        return _comment(line[1:])
    try:
        return _received(line) if line[:1].isdigit() else _on_address(line)
    except MalformedError as error:
        return UnreadableLine(line, str(error))


def is_whole_frame(line: Line | None) -> bool:
    """Whether a last line without a line feed was written to its end: its frame is a whole JSON text."""
    if not isinstance(line, ReceivedFrame | SentFrame):
        return False
    try:
        msgspec.json.decode(line.frame)
    except (msgspec.MsgspecError, UnicodeError):
        return False
    return True


def _on_address(line: bytes) -> OpenedConnection | SentFrame | None:
    event = _event(line)
    if event is None:
        if line.strip():
            raise MalformedError("it begins with no time and no address")
        return None
    url, sign, time, encoded, frame = event.groups()
    if sign == b"<->":
        return OpenedConnection(_time_us(time), url.decode(errors="replace"))
    if frame is None:
        raise MalformedError(_NO_FRAME)
    return SentFrame(_time_us(time), url.decode(errors="replace"), _decoded(frame) if encoded else frame)


def _received(line: bytes) -> ReceivedFrame:
    time, colon, frame = line.partition(b": ")
    if not colon:
        raise MalformedError(_NO_FRAME)
    if time.endswith(_BASE64):
        return ReceivedFrame(_time_us(time.removesuffix(_BASE64)), _decoded(frame))
    return ReceivedFrame(_time_us(time), frame)


def _comment(text: bytes) -> CaptureHeader | EndedConnection | None:
    for decode in (_header, _ended):
        try:
            return decode(text)
        except (msgspec.MsgspecError, UnicodeError):
            continue
    return None


def _time_us(text: bytes) -> int:
    """Microseconds of a time in seconds; finer digits are cut off."""
    parts = _time(text)
    if parts is None:
        raise MalformedError(f"{text[:40]!r} is no time in seconds")
    places = (parts[2] or b"")[:_PLACES].ljust(_PLACES, b"0")
    time_us = int(parts[1]) * _SECOND_US + int(places)
    if time_us >= MAX_TIME_US:
        raise MalformedError(f"{text[:40]!r} s is too far in the future")
    return time_us


def _decoded(frame: bytes) -> bytes:
    try:
        return binascii.a2b_base64(frame, strict_mode=True)
    except binascii.Error as error:
        raise MalformedError(f"a frame in base64 cannot be read: {error}") from error


def _in_one_word(url: str) -> bytes:
    return b"".join(url.encode().split()) or b"-"
