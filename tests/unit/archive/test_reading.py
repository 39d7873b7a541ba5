"""Two readings of one file: what the second gives out when the file has changed since the first."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from market.candle import Status
from producers.archive import lines as lines_module
from producers.archive.dump import DumpPeriod
from producers.archive.reading import Content, Surveyed, read_rows, survey_rows
from producers.archive.recording import Described, RecordedMarket, open_recordings
from runtime.errors import CandlewickError

START_US = 1_610_064_000_000_000
CHUNK_BYTES = 1024


def row(number: int, price: str = "1.5") -> bytes:
    """100 bytes and more, always as many."""
    trade = {
        "exchange": "x", "symbol": "A-B", "trade_id": str(100_000 + number), "price": price, "qty": "1", "side": "buy",
        "time_us": START_US + number,
    }  # fmt: skip
    return orjson.dumps(trade) + b"\n"


async def survey(path: Path, *, skip_bad: bool = False) -> Surveyed:
    (recording,) = open_recordings([path], Described())
    return await survey_rows(
        recording, RecordedMarket(), skip_bad=skip_bad, watch=lambda *_: None, stop=asyncio.Event()
    )


async def second(path: Path, surveyed: Surveyed) -> list[str]:
    """Ids that a second reading gives out; raises what it raises once they are noted in the error."""
    ids: list[str] = []
    (recording,) = open_recordings([path], Described())
    try:
        async for rows in read_rows(recording, RecordedMarket(), Content(surveyed.content), asyncio.Event()):
            ids += [trade.trade_id for trade in rows.trades]
    except CandlewickError as error:
        error.add_note(",".join(ids))
        raise
    return ids


ROWS = [row(number) for number in range(100)]
WHOLE = b"".join(ROWS)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "CHUNK_BYTES", CHUNK_BYTES)


async def test_the_same_content_is_given_out_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(WHOLE)
    surveyed = await survey(path)
    assert len(await second(path, surveyed)) == 100


@pytest.mark.parametrize(
    ("change", "given"),
    [
        (lambda whole: whole.replace(row(70), row(70, "1.6")), 70),
        (lambda whole: whole.replace(row(70), b"{" * len(row(70))), 70),
        (lambda whole: whole.replace(row(70), b""), 70),
        (lambda whole: whole + row(100), 100),
        (lambda whole: whole[:-1], 100),
        (lambda whole: whole[: 5 * CHUNK_BYTES], 50),
        (lambda _: b"", 0),
    ],
    ids=["price", "broken", "gone", "appended", "without its end", "truncated", "empty"],
)
async def test_nothing_is_given_out_of_a_chunk_that_changed(
    change: Callable[[bytes], bytes], given: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(WHOLE)
    surveyed = await survey(path)
    path.write_bytes(change(WHOLE))
    with pytest.raises(CandlewickError, match="was changed while it was imported") as raised:
        await second(path, surveyed)
    ids = [one for one in raised.value.__notes__[0].split(",") if one]
    assert ids == [str(100_000 + number) for number in range(len(ids))]
    assert len(ids) <= given
    assert given - len(ids) <= 2 * CHUNK_BYTES // len(row(0))


@pytest.mark.parametrize(("at", "holes"), [(0, 2), (50, 0), (100, 2)], ids=["first", "between", "last"])
async def test_a_broken_rows_place_among_the_trades_is_kept(at: int, holes: int, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join([*ROWS[:at], b'{"exchange":"x","sym\n', *ROWS[at:]]))
    surveyed = await survey(path, skip_bad=True)
    assert surveyed.bad == 1
    around = DumpPeriod(
        START_US - (60_000_000 if at == 0 else 0), START_US + (120_000_000 if at == 100 else 60_000_000)
    )
    assert list(surveyed.survey.claims(around).values()).count(Status.HOLE) == holes
