"""Records decoded for a store, the malformed ones apart; and which of a trade's copies counts."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from market.codec import run_of
from market.errors import MalformedError
from market.partition import check_place
from market.records import BareRecord
from market.value_text import Bools, Ints, Words
from sinks.encoded import RejectedRecord

_LIVE_MOST = (1 << 63) - 1


class Row(NamedTuple):
    """A record, its model (a trade, a candle…), and the run it belongs to; None for live."""

    partition: int
    record: BareRecord
    model: Any
    run: str | None


def decode_rows(
    partition: int, records: Iterable[BareRecord], decode: Callable[[bytes], Any], partitions: int
) -> tuple[list[Row], list[RejectedRecord]]:
    """Decode a partition's records with a value; malformed ones, and those of another of `partitions`, are refused."""
    rows: list[Row] = []
    refused: list[RejectedRecord] = []
    for record in records:
        try:
            run = run_of(record.headers) if record.headers else None
            model = decode(record.value or b"")
            check_place(record.key, model.key, partition, partitions)
            rows.append(Row(partition, record, model, run))
        except MalformedError as error:
            refused.append(RejectedRecord(record, error))
    return rows, refused


def precedence(run: str | None, offset: int) -> int:
    """Among several copies of a trade in a minute, the greatest precedence counts, as in candles. It is below 2^64.

    - A run's copy counts before a live copy.
    - Among runs' copies the last in the log counts: its run made the candle anew.
    - Among live copies the first in the log counts: the candle already has it when the next copy comes.
    """
    return _LIVE_MOST - offset if run is None else _LIVE_MOST + 1 + offset


def precedences(are_live: Bools, offsets: Ints) -> Words:
    """The `precedence` of many copies."""
    return np.where(are_live, _LIVE_MOST - offsets, offsets).astype(np.uint64) + np.where(
        are_live, np.uint64(0), np.uint64(_LIVE_MOST + 1)
    )
