"""Frames of a connection into messages: together where they are as usual, else each for itself. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from producers.exchange import Exchange, Message, ReadsTogether, TradeFrames

TOGETHER = 4
"""Fewer frames are read faster each for itself."""


def read_frames(
    exchange: Exchange, frames: Sequence[bytes], received_us: Sequence[int], symbols: Mapping[str, str]
) -> Iterator[Message | TradeFrames]:
    """What the frames say, in their order. `MalformedError`: the next one is no frame of the exchange."""
    start, together = 0, exchange.read_together if isinstance(exchange, ReadsTogether) else None
    while start < len(frames):
        left = len(frames) - start
        if together is None or left < TOGETHER:
            yield exchange.read(frames[start], symbols, received_us[start])
            start += 1
            continue
        trades = together(frames[start:], symbols, received_us[start:])
        count = 0
        if trades is not None:
            count = len(trades.frames)
            yield trades
        start += count
        if 2 * count < left:  # where many are not as usual, they would be looked at over and over
            together = None
