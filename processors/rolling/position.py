"""The header `position` of longer candles: where in the 1m topic the revision begins that led to them."""

from market.codec import Headers, header

POSITION_HEADER = "position"


def position_header(offset: int, topic_id: str | None) -> tuple[str, bytes]:
    """The header of a candle that came out of a revision beginning at `offset` of the 1m topic with this Kafka id."""
    return POSITION_HEADER, f"{offset}@{topic_id or ''}".encode()


def is_before(headers: Headers, offset: int, topic_id: str | None) -> bool:
    """Whether a longer candle came out before the 1m record at `offset` was read.

    So did candles of an earlier topic of that name, and candles without the header, which are of earlier versions.
    """
    value = header(headers, POSITION_HEADER)
    position, _, of_topic = (value or b"").partition(b"@")
    if not position.isdigit() or of_topic != (topic_id or "").encode():
        return True
    return int(position) < offset
