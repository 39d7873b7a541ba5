"""Records in a store's own form, and those that it can never hold."""

from typing import Any, NamedTuple

from market.records import BareRecord


class RejectedRecord(NamedTuple):
    """A record that the store can never hold, and why; it goes to the dead letters."""

    record: BareRecord
    error: Exception


class Encoded(NamedTuple):
    """Records of one topic in the store's own form; `chunk` is opaque to the runner."""

    chunk: Any
    rows: int
    refused: list[RejectedRecord]
