"""The rows of each chunk in a file: with its neighbours, the same bytes again, what is no trade as it was sent."""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from market.errors import MalformedError
from market.key import MarketKey
from market.trade import Side, Source, Trade
from producers.archive.dump import DumpPeriod
from producers.backfill.chunks import Chunker
from producers.backfill.spool import spooled
from producers.exchange import RefusedTrade
from runtime.errors import CandlewickError

MINUTE = 60_000_000
START = 28_000_000 * MINUTE
KEY = MarketKey("x", "A-B")
Row = Trade | RefusedTrade


def trade(number: int, time_us: int, received_us: int = 0) -> Trade:
    price = Decimal("2.5")
    return Trade(
        exchange="x", symbol="A-B", trade_id=str(number), price=price, qty=price, side=Side.BUY,
        time_us=START + time_us, source=Source.REST, received_us=received_us,
    )  # fmt: skip


BAD = RefusedTrade(b'{"id":7,\n"qty":"0"}', "qty 0 is not greater than 0", "A-B", 7)


def files_in(folder: Path) -> int:
    return len(list(folder.iterdir()))


async def chunks_of(folder: Path, rows: Sequence[Row], *, most_trades: int = 3) -> list[tuple[int, list[str]]]:
    """Where each chunk ends, and the ids of its lines; what is no trade by its reason."""

    async def given() -> AsyncIterator[Row]:
        for row in rows:
            yield row

    chunker = Chunker(DumpPeriod(START, START + 10 * MINUTE), most_trades=most_trades)
    chunks = []
    async for spool, chunk in spooled(given(), chunker, folder, KEY):
        assert files_in(folder) == 1
        recording, told = spool.recording(), []
        for lines in recording.read():
            for line in lines.lines:
                try:
                    read = recording.parse(line)
                except MalformedError as error:
                    told.append(str(error))
                else:
                    assert read == trade(int(read.trade_id), read.time_us - START)
                    told.append(read.trade_id)
        chunks.append(((chunk.until_us - START) // MINUTE, told))
    assert files_in(folder) == 0
    return chunks


async def test_each_chunk_has_the_trade_before_and_the_trade_behind(tmp_path: Path) -> None:
    rows = [trade(number, number * MINUTE // 2 - 2 * MINUTE, received_us=number) for number in range(30)]
    assert await chunks_of(tmp_path, rows) == [
        (2, ["3", "4", "5", "6", "7", "8"]), (4, ["7", "8", "9", "10", "11", "12"]),
        (6, ["11", "12", "13", "14", "15", "16"]), (8, ["15", "16", "17", "18", "19", "20"]),
        (10, ["19", "20", "21", "22", "23", "24"]),
    ]  # fmt: skip


async def test_how_far_before_the_span_the_rows_begin_makes_no_difference(tmp_path: Path) -> None:
    rows = [trade(number, number * MINUTE - 3 * MINUTE) for number in range(20)]
    assert await chunks_of(tmp_path, rows) == await chunks_of(tmp_path, rows[2:])


async def test_where_nothing_follows_the_span_ends_with_its_last_trade(tmp_path: Path) -> None:
    assert await chunks_of(tmp_path, [trade(1, -5), trade(2, 5)]) == [(10, ["1", "2"])]
    assert await chunks_of(tmp_path, [trade(1, -5)]) == [(10, ["1"])]
    assert await chunks_of(tmp_path, []) == [(10, [])]


async def test_what_is_no_trade_stands_where_it_was_with_its_reason(tmp_path: Path) -> None:
    rows: list[Row] = [trade(1, -5), BAD, trade(8, 5), trade(9, 11 * MINUTE)]
    assert await chunks_of(tmp_path, rows) == [(10, ["1", BAD.reason, "8", "9"])]


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(CandlewickError, match=r"cannot be written .No such file or directory.: make room there"):
        await chunks_of(tmp_path / "gone", [trade(1, 5)])
