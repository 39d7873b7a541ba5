"""Reading cold files by time: which parts of them are read, and large ones by ranges."""

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cold_rows import TRADE, files, read_day, record
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from market.key import MarketKey
from sinks.parquet.file_parts import SMALL_BYTES
from sinks.parquet.files import parquet_bytes
from sinks.parquet.footers import Footers, ListedFile, RowGroup
from sinks.parquet.read_records import ColdPlace, estimate_rows, find_groups, first_minutes
from sinks.parquet.schema import TRADES
from sinks.record_forms import RecordKind

DAY = dt.date(2023, 11, 14)
DAY_US = 1_699_920_000_000_000
MINUTE_US = 60_000_000
SYMBOLS = [f"S{number:02}-USDT" for number in range(20)]


def trades(count: int) -> list[Any]:
    """Of all symbols in turn, with numbers that hardly shrink."""
    return [
        record(
            TRADE | {
                "symbol": SYMBOLS[number % len(SYMBOLS)], "trade_id": str(number),
                "price": f"{number * 7919 % 99_991}.25",
                "qty": f"{number * 104_729 % 1_299_709}.{number % 1009:04}1", "time_us": DAY_US + number * 7919,
            },
            number,
        )
        for number in range(count)
    ]  # fmt: skip


@pytest.fixture
async def large() -> tuple[MemoryStore, bytes]:
    """A file that is not got whole, with a footer that is longer than what is read of it at first."""
    store = MemoryStore()
    [file] = files(TRADES, trades(80_000))
    rows = pq.read_table(pa.BufferReader(parquet_bytes(TRADES, file.rows)))
    written = io.BytesIO()
    pq.write_table(rows, written, row_group_size=500, store_schema=False, compression="none", use_dictionary=False)
    assert len(written.getvalue()) > SMALL_BYTES
    await obstore.put_async(store, file.path, written.getvalue())
    return store, written.getvalue()


async def test_of_a_large_file_the_parts_of_a_symbol_are_read_by_ranges(large: tuple[MemoryStore, bytes]) -> None:
    store, content = large
    assert int.from_bytes(content[-8:-4], "little") > 1 << 15
    market = MarketKey("binance", SYMBOLS[7])
    rows = await read_day(store, RecordKind.TRADES, market, DAY)
    numbers = range(7, 80_000, len(SYMBOLS))
    assert [row["trade_id"] for row in rows] == [str(number) for number in numbers]
    assert [row["qty"] for row in rows] == [
        Decimal(f"{number * 104_729 % 1_299_709}.{number % 1009:04}1") for number in numbers
    ]
    groups = await find_groups(ColdPlace(store, Footers(), None), RecordKind.TRADES, market, [DAY])
    assert len(groups) <= 80_000 // 500 // len(SYMBOLS) + 2


async def test_an_estimate_reads_no_rows_and_is_not_less_than_they_are(large: tuple[MemoryStore, bytes]) -> None:
    place, market = ColdPlace(large[0], Footers(), None), MarketKey("binance", SYMBOLS[7])
    held, day = 80_000 // len(SYMBOLS), [(DAY_US, DAY_US + 86_400_000_000)]
    assert held <= await estimate_rows(place, RecordKind.TRADES, market, day) <= held + 1000
    assert await estimate_rows(place, RecordKind.TRADES, market, [(DAY_US - 9, DAY_US)]) == 0
    assert await estimate_rows(place, RecordKind.TRADES, MarketKey("okx", "A-B"), day) == 0


def group(from_us: int, length_us: int, rows: int) -> RowGroup:
    return RowGroup(ListedFile("x", 1), 0, rows, 0, 1, 1, None, from_us, from_us + length_us)


groups_of_hours = st.lists(
    st.builds(group, st.integers(0, 60 * MINUTE_US), st.integers(1, 20 * MINUTE_US), st.integers(1, 100)), max_size=12
)


@given(groups_of_hours, st.integers(0, 70), st.integers(1, 70), st.integers(1, 300))
def test_as_many_minutes_are_read_at_a_time_as_have_so_many_rows_and_one_at_least(
    groups: list[RowGroup], begin: int, length: int, most: int
) -> None:
    end = first_minutes(groups, begin, begin + length, most)
    assert begin < end <= begin + length

    def rows(until: int) -> int:
        return sum(held.rows for held in groups if held.overlaps(begin * MINUTE_US, until * MINUTE_US))

    assert rows(end) <= most or rows(end) == rows(begin + 1)
    assert end == begin + length or rows(end + 1) > most
