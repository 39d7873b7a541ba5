"""What a record's fields may hold; decoding refuses the rest."""

from typing import Annotated

from msgspec import Meta

MAX_TIME_US = 9_223_372_036_000_000
"""First refused time, in April 2262: 64-bit nanoseconds end there, and with them some readers of every store."""

MAX_NAME = 128
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
"""An exchange, a symbol, a trade id, a run."""
TimeUs = Annotated[int, Meta(ge=0, lt=MAX_TIME_US)]
"""UTC microseconds."""
TimeMs = Annotated[int, Meta(ge=0, lt=MAX_TIME_US // 1000)]
"""UTC milliseconds."""
Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
"""A number of things, an offset, a revision."""
