"""WebSocket frames as the server sends them."""

_TEXT = 0x81
_SHORT, _MEDIUM = 126, 1 << 16


def text_frame(payload: str) -> bytes:
    """An unmasked, final WebSocket text frame (RFC 6455, section 5.2)."""
    data = payload.encode()
    size = len(data)
    if size < _SHORT:
        return bytes((_TEXT, size)) + data
    if size < _MEDIUM:
        return bytes((_TEXT, _SHORT)) + size.to_bytes(2, "big") + data
    return bytes((_TEXT, _SHORT + 1)) + size.to_bytes(8, "big") + data


def payload_of(frame: bytes) -> bytes:
    """What a frame of `text_frame` carries."""
    return frame[{_SHORT: 4, _SHORT + 1: 10}.get(frame[1], 2) :]
