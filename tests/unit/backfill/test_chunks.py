"""Spans cut into chunks: whole minutes, side by side, none too large, each trade in the chunk of its minute."""

from decimal import Decimal
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from market.trade import Side, Trade
from producers.archive.dump import DumpPeriod
from producers.backfill.chunks import Chunker

MINUTE = 60_000_000
START = 28_000_000 * MINUTE


def trade(number: int, time_us: int) -> Trade:
    price = Decimal(1)
    return Trade(
        exchange="x", symbol="A-B", trade_id=str(number), price=price, qty=price, side=Side.BUY, time_us=time_us
    )


def cut(minutes: int, times_us: list[int], *, most_trades: int, most_minutes: int) -> dict[DumpPeriod, list[int]]:
    """Each chunk with the times of its trades, as a backfill fills it: the trade behind a chunk ends it."""
    chunker = Chunker(
        DumpPeriod(START, START + minutes * MINUTE), most_trades=most_trades, most_us=most_minutes * MINUTE
    )
    chunks: dict[DumpPeriod, list[int]] = {}
    taken: list[int] = []
    for number, time_us in enumerate(times_us):
        row = trade(number, START + time_us)
        while (chunk := chunker.end_before(row)) is not None:
            chunks[chunk], taken = taken, []
        if chunker.is_over:
            break
        chunker.take(row)
        taken.append(row.time_us)
    if (chunk := chunker.end()) is not None:
        chunks[chunk] = taken
    return chunks


@settings(deadline=None)
@given(
    st.integers(1, 300),
    st.lists(st.integers(-5 * MINUTE, 320 * MINUTE), max_size=80).map(sorted),
    st.integers(1, 12),
    st.integers(1, 60),
)
def test_chunks_adjoin_cover_the_span_and_hold_the_trades_of_their_minutes(
    minutes: int, times_us: list[int], most_trades: int, most_minutes: int
) -> None:
    chunks = cut(minutes, times_us, most_trades=most_trades, most_minutes=most_minutes)
    spans = list(chunks)
    assert spans[0].from_us == START
    assert spans[-1].until_us == START + minutes * MINUTE
    assert all(earlier.until_us == later.from_us for earlier, later in pairwise(spans))
    for span, times in chunks.items():
        is_short = span.until_us <= span.from_us + most_minutes * MINUTE
        assert span.from_us < span.until_us
        assert is_short or span == spans[-1], "but for the quiet minutes at the end"
        assert span.until_us % MINUTE == 0
        own = [time_us for time_us in times if time_us >= START]
        assert own == [START + at for at in times_us if span.from_us <= START + at < span.until_us]
        full = own[:most_trades]
        if len(full) == most_trades:
            assert all(time_us // MINUTE == full[-1] // MINUTE for time_us in own[most_trades:]), (
                "ends with that minute"
            )


def test_a_chunk_ends_with_the_minute_in_which_it_is_full() -> None:
    times = [0, 10, MINUTE, MINUTE + 5, MINUTE + 9, 2 * MINUTE, 3 * MINUTE]
    chunks = cut(4, times, most_trades=3, most_minutes=100)
    assert [(span.until_us - START) // MINUTE for span in chunks] == [2, 4]


def test_a_quiet_span_is_cut_by_time() -> None:
    chunks = cut(25, [5 * MINUTE, 24 * MINUTE], most_trades=3, most_minutes=10)
    assert [((span.until_us - START) // MINUTE, len(times)) for span, times in chunks.items()] == [
        (10, 1), (20, 0), (25, 1)
    ]  # fmt: skip
