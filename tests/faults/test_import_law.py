"""The law of imports on the real parts: made-up markets and cut files, in every store and timeframe."""

import asyncio
import json
import random
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import import_law
import pytest
from everywhere import Candles, candles_by_place, run_all
from import_law import MINUTE, START, File, Row, expected, make_file, make_rows

from market.timeframe import Timeframe
from processors.rolling.steps import TIMEFRAMES
from producers.archive.importing import ImportRequest, import_recordings
from producers.archive.proof import IdKind
from producers.archive.recording import Described, Format
from runtime.settings import Settings

MARKETS = 40

pytestmark = [pytest.mark.usefixtures("topics"), pytest.mark.timeout(900)]


def write(file: File, symbol: str, path: Path) -> Path:
    """The file as JSON lines; a row that is no trade is a broken line."""
    lines = [json.dumps({"broken": True}) if row is None else _line(row, symbol) for row in file.rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def _line(row: Row, symbol: str) -> str:
    trade = {
        "exchange": "x", "symbol": symbol, "trade_id": row.trade_id, "price": str(row.price), "qty": str(row.qty),
        "side": "buy" if row.buy else "sell", "time_us": row.time_us,
    }  # fmt: skip
    if not row.trade_id.isdigit():
        trade["seq"] = int(row.trade_id[1:])  # the exchange's order, as the plain counting has it
    return json.dumps(trade)


def made(seed: int) -> tuple[IdKind | None, list[File]]:
    """What is told of a market's ids, and its files, whose names say nothing."""
    rng = random.Random(seed)
    kind = rng.choice((IdKind.CONTIGUOUS, IdKind.CONTIGUOUS, IdKind.ORDERED, IdKind.OPAQUE))
    truth = make_rows(rng, kind)
    files = [make_file(rng, truth, number) for number in range(rng.randrange(2, 5))]
    return rng.choice((kind, None)), [File(f.rows, None, f.digest) for f in files if f and any(f.rows)]


def aggregate(minutes: dict[int, dict[str, Any]], timeframe: Timeframe) -> dict[int, tuple[Any, ...]]:
    """The candles of a timeframe all of whose minutes are there, by plain sums."""
    found = {}
    for open_ms in {timeframe.open_ms(at // 1000) for at in minutes}:
        inside = range(open_ms * 1000, timeframe.end_ms(open_ms) * 1000, MINUTE)
        if all(at in minutes for at in inside):
            parts = [minutes[at] for at in inside]
            worst = max((part["status"] for part in parts), key=import_law.RANKS.index)
            sums = [sum(part[name] for part in parts) for name in ("volume", "quote_volume", "trades")]
            high, low = max(part["high"] for part in parts), min(part["low"] for part in parts)
            found[open_ms] = (parts[0]["open"], high, low, parts[-1]["close"], *sums, worst)
    return found


def differences(place: str, symbol: str, found: Candles, minutes: dict[int, dict[str, Any]]) -> list[str]:
    """What a place has of a market that is not what it must have."""
    timeframes: Sequence[Timeframe] = (Timeframe.M1, *TIMEFRAMES) if place in ("Kafka", "Redis") else (Timeframe.M1,)
    wrong = []
    for timeframe in timeframes:
        have = {at: fields for (name, frame, at), fields in found.items() if (name, frame) == (symbol, timeframe)}
        want = {
            at: tuple(Decimal(one) if isinstance(one, int) else one for one in fields)
            for at, fields in aggregate(minutes, timeframe).items()
        }
        if have != want:
            differ = sorted(at for at in {*have, *want} if have.get(at) != want.get(at))
            where = f"{place} {symbol} {timeframe} minute"
            wrong += [f"{where} {(at * 1000 - START) // MINUTE}: {have.get(at)} not {want.get(at)}" for at in differ]
    return wrong


async def test_any_order_and_pace_ends_alike_in_every_store_and_timeframe(settings: Settings, tmp_path: Path) -> None:
    rng = random.Random(4)
    markets = {f"S{seed}-B": made(seed) for seed in range(MARKETS)}
    waiting = [(symbol, number) for symbol, (_, files) in markets.items() for number in range(len(files))]
    rng.shuffle(waiting)
    pauses = sorted(rng.sample(range(len(waiting)), 3))
    for at, (symbol, number) in enumerate(waiting):
        told, files = markets[symbol]
        path = write(files[number], symbol, tmp_path / f"{symbol}-{number}.jsonl")
        request = ImportRequest(files=[path], described=Described(format=Format.JSONL), ids=told, skip_bad=True)
        await import_recordings(settings, request, lambda *_: None, asyncio.Event())
        if at in pauses:
            await run_all(settings)
    await run_all(settings)
    places = await candles_by_place(settings)
    wrong = [
        line
        for symbol, (told, files) in markets.items()
        for place, found in places.items()
        for line in differences(place, symbol, found, expected(files, None, told))
    ]
    assert wrong == []
