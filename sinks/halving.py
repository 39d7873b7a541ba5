"""Finding the rows that a store refuses, where it only says that it refuses some."""

from collections.abc import Awaitable, Callable, Sequence

import pyarrow as pa

from runtime.kafka import TopicPartition
from sinks.store import Batch


async def refused_among(
    batches: Sequence[Batch], write: Callable[[pa.Table], Awaitable[None]], refusal: type[Exception]
) -> dict[tuple[TopicPartition, int], str]:
    """Halve the batches' rows until those that `write` refuses (it raises `refusal`) stand alone; what they refuse.

    By then all others are written. The caller writes them again: that is harmless. Rows have a column `offset`.
    """
    reasons: dict[tuple[TopicPartition, int], str] = {}
    for batch in batches:
        halves = [batch.chunk]
        while halves:
            rows = halves.pop()
            try:
                await write(rows)
            except refusal as error:
                if rows.num_rows == 1:
                    reasons[batch.tp, rows["offset"][0].as_py()] = str(error)
                else:
                    middle = rows.num_rows // 2
                    halves += [rows.slice(middle), rows.slice(0, middle)]
    return reasons
