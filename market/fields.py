"""What a record's fields may hold; decoding refuses the rest."""

from typing import Annotated

from msgspec import Meta

MAX_COUNT = (1 << 53) - 1
"""Greatest count and revision: Redis' scripts, like JavaScript, compare greater ones wrongly."""
MAX_WHOLE = (1 << 63) - 1
"""Greatest whole number in fields that no script computes with."""
MAX_TIME_US = 9_007_199_254_000_000
"""Times from here on are refused (June 2255): right before 2^53 microseconds, for the reason of `MAX_COUNT`."""

MAX_NAME = 128
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
"""An exchange, a symbol, a trade id, a run: at most `MAX_NAME` bytes (`market.limits`), and characters."""
TimeUs = Annotated[int, Meta(ge=0, lt=MAX_TIME_US)]
"""UTC microseconds."""
TimeMs = Annotated[int, Meta(ge=0, lt=MAX_TIME_US // 1000)]
"""UTC milliseconds."""
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
"""A number of things, a revision."""
Ordinal = Annotated[int, Meta(ge=1, le=MAX_COUNT)]
"""A number of things of which there is one at least, a place in a row that begins with 1."""
Whole = Annotated[int, Meta(ge=0, le=MAX_WHOLE)]
"""An id, a place in an order."""
