"""Changes ready frames: the clock, the time or the amounts of their message."""

import re

ABSURD_TIMES = (2**63 - 1, 2**63 - 1_000, (2**63 - 1) // 1_000, 0, -1, -(2**63))
"""Times of trades at the limits of 64 bits, some in microseconds and some in milliseconds."""

_CLOCK = re.compile(rb'"E":(-?\d+)')
_TIME = re.compile(rb'"T":-?\d+')
_PRICE, _QTY = re.compile(rb'"p":"[^"]*"'), re.compile(rb'"q":"[^"]*"')
_TRADE_ID = re.compile(rb'"t":(\d+)')
_TEXT = 0x81
_SHORT, _MEDIUM = 126, 1 << 16


def text_frame(payload: str) -> bytes:
    """An unmasked, final WebSocket text frame (RFC 6455, section 5.2)."""
    return _frame(payload.encode())


def payload_of(frame: bytes) -> bytes:
    """What a frame of `text_frame` carries."""
    return frame[{_SHORT: 4, _SHORT + 1: 10}.get(frame[1], 2) :]


def trade_id_of(frame: bytes) -> int:
    """The id of a message of ``trade``."""
    trade_id = _TRADE_ID.search(frame)
    if trade_id is None:
        raise ValueError(f"not a trade: {frame!r}")
    return int(trade_id[1])


def at_clock(frame: bytes, by: int) -> bytes:
    """The message with the server's clock changed by `by`, in the unit of the message."""
    return _frame(_CLOCK.sub(lambda clock: b'"E":%d' % (int(clock[1]) + by), payload_of(frame), count=1))


def at_time(frame: bytes, time: int) -> bytes:
    """The message of a trade with another time."""
    return _frame(_TIME.sub(b'"T":%d' % time, payload_of(frame), count=1))


def with_zero(frame: bytes, *, price: bool) -> bytes:
    """The message of a trade with price 0, or quantity 0."""
    wrong, zero = (_PRICE, b'"p":"0.00000000"') if price else (_QTY, b'"q":"0.00000000"')
    return _frame(wrong.sub(zero, payload_of(frame), count=1))


def _frame(payload: bytes) -> bytes:
    size = len(payload)
    if size < _SHORT:
        return bytes((_TEXT, size)) + payload
    if size < _MEDIUM:
        return bytes((_TEXT, _SHORT)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, _SHORT + 1)) + size.to_bytes(8, "big") + payload
