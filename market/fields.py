"""What a record's fields may hold; decoding refuses the rest."""

from typing import Annotated

from msgspec import Meta

MAX_COUNT = (1 << 53) - 1
"""Greatest count and revision: the hot store's scripts compare greater ones wrongly, as JavaScript would."""
MAX_WHOLE = (1 << 63) - 1
"""Greatest whole number that is only carried along."""
MAX_TIME_US = 9_007_199_254_000_000
"""First refused time, in June 2255: right before 2^53 microseconds, for the same reason."""

MAX_NAME = 128
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
"""An exchange, a symbol, a trade id, a run: so many bytes at most (`market.limits`), and so many characters."""
TimeUs = Annotated[int, Meta(ge=0, lt=MAX_TIME_US)]
"""UTC microseconds."""
TimeMs = Annotated[int, Meta(ge=0, lt=MAX_TIME_US // 1000)]
"""UTC milliseconds."""
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
"""A number of things, a revision."""
Whole = Annotated[int, Meta(ge=0, le=MAX_WHOLE)]
"""An id, a place in an order."""
