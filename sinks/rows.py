"""Records decoded for a store, those that cannot be set apart."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from market.codec import run_of
from market.errors import MalformedError
from runtime.kafka import Record
from sinks.store import Refused


class Row(NamedTuple):
    """A record, what it says (a trade, a candle…), and the run it belongs to; None for live."""

    record: Record
    model: Any
    run: str | None


def decode_rows(records: Iterable[Record], decode: Callable[[bytes], Any]) -> tuple[list[Row], list[Refused]]:
    """Decode records that have a value."""
    rows: list[Row] = []
    refused: list[Refused] = []
    for record in records:
        try:
            run = run_of(record.headers) if record.headers else None
            rows.append(Row(record, decode(record.value or b""), run))
        except MalformedError as error:
            refused.append(Refused(record, error))
    return rows, refused
