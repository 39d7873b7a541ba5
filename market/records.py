"""A Kafka record, as every part sees it; no client is needed for it."""

from collections.abc import Sequence
from typing import Protocol

from market.timeframe import MINUTE_MS

AHEAD_MS = 2 * MINUTE_MS
"""How far the time in a record may be ahead of its append time: a wrong clock must not end minutes or move tickers."""


class BareRecord(Protocol):
    """One record of a partition; `timestamp` is Kafka's append time in milliseconds (the log clock)."""

    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


class Record(BareRecord, Protocol):
    """A record that knows its topic and partition."""

    @property
    def topic(self) -> str: ...  # noqa: D102
    @property
    def partition(self) -> int: ...  # noqa: D102
