"""The law of imports, seed by seed: made-up markets and cut files, imported in any order, grouping and pace.

The log and its clients are a list of records; all that decides (surveys, plans, copies, the run's publisher, the candle
engine's core) is the product's own. What must come out is computed by plain counting over all rows and claims at once.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from market.candle import STATUS_OF_PROOF, Candle
from market.codec import RUN_HEADER, decode_candle, encode_candle, encode_marker, encode_trade
from market.key import MarketKey
from market.trade import Marker, Proof, Side, Source, Trade
from processors.candles.core import Core, Rules
from producers.archive.copies import Copies
from producers.archive.dump import DumpPeriod
from producers.archive.known import LogReader
from producers.archive.plan import covered, plan
from producers.archive.proof import IdKind
from producers.archive.publishing import ImportRun, RunPublisher
from producers.archive.run_id import choose_run
from producers.archive.survey import Survey
from runtime.settings import Settings

MINUTE = 60_000_000
START = 18_000 * 1440 * MINUTE
DAY_MINUTES = 10
MARKET = MarketKey("x", "A-B")
KEY = str(MARKET)
RANKS = ("complete", "connected", "kline", "hole")


class Row(NamedTuple):
    """A trade of the made-up market; None in a file: a row that is no trade."""

    trade_id: str
    price: int
    qty: int
    buy: bool
    time_us: int


@dataclass
class File:
    """Rows in order, and the day in its name."""

    rows: list[Row | None]
    named: DumpPeriod | None
    digest: bytes


class CrashError(Exception):
    """The importer was killed."""


class Record(NamedTuple):
    """As every part sees it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass
class World:
    """The trades topic, the candle topic, the engine, and who finished what."""

    trades: list[Record] = field(default_factory=list)
    candles: list[Record] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)
    sends_left: int = 1 << 30
    settings: Settings = field(default_factory=lambda: Settings(partitions=1))
    core: Core = field(
        default_factory=lambda: Core(partition=0, partitions=1, position=0, rules=Rules(), awaits_floor=False)
    )

    def append(self, key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        at = len(self.trades)
        self.trades.append(Record("trades", 0, at, (START + 10_000 * MINUTE) // 1000, key, value, tuple(headers)))

    def run_engine(self) -> None:
        outputs = self.core.process(self.trades[self.core.position :])
        assert not outputs.dead
        for candle, run in outputs.candles:
            headers = () if run is None else ((RUN_HEADER, run.encode()),)
            self.candles.append(
                Record("candles", 0, len(self.candles), 0, KEY.encode(), encode_candle(candle), headers)
            )

    # What a publisher and a claim are to a run.
    async def send_batches(self, topic: str, records: Sequence[Any], _: int) -> list[Any]:
        for record in records if topic.endswith("md.trades.v1") else ():
            self.sends_left -= 1
            if self.sends_left < 0:
                raise CrashError
            self.append(record.key, record.value, record.headers)
        return []

    async def await_acknowledgements(self, _: Sequence[Any]) -> list[Any]:
        return []

    async def heartbeat(self, _: int) -> None:
        """Nobody watches."""

    async def finish(self, _: int) -> None:
        """The caller notes it."""


class Reader(LogReader):
    """Reads the lists."""

    def __init__(self, world: World) -> None:
        super().__init__(world.settings, MARKET)
        self._world = world

    async def read(self) -> None:
        self.survey.processed = self._world.core.position
        await self._read("candles", self._take_candle)
        await self._read("trades", self._take_record)

    async def _records(self, topic: str, start: int, stop: int | None) -> AsyncIterator[Record]:
        name = topic.rpartition(".md.")[2]
        records = self._world.candles if name.startswith("candles") else self._world.trades
        for record in records[start:stop]:
            yield record
        if stop is None:
            self._next[topic] = len(records)


def make_rows(rng: random.Random, kind: IdKind) -> list[Row]:
    """A market's whole truth: some forty minutes, many of them quiet."""
    rows, number, time_us = [], rng.randrange(5_000), START + rng.randrange(3 * MINUTE)
    for _ in range(rng.randrange(4, 60)):
        number += 1 if kind is IdKind.CONTIGUOUS else rng.randrange(2, 9)
        time_us += rng.choice((0, rng.randrange(2_000_000), rng.randrange(90_000_000), rng.randrange(4 * MINUTE)))
        time_us -= time_us % 1000
        trade_id = f"t{rng.getrandbits(40):013}" if kind is IdKind.OPAQUE else str(number)
        rows.append(Row(trade_id, rng.randrange(1, 50), rng.randrange(1, 9), rng.random() < 0.5, time_us))
    return rows


def make_file(rng: random.Random, truth: list[Row], number: int) -> File | None:
    """A part of the truth: a day by its name, or any rows; some lost, repeated, broken, or out of order."""
    named = None
    if rng.random() < 0.6:
        days = (truth[-1].time_us - START) // (DAY_MINUTES * MINUTE) + 1
        day = START + rng.randrange(days) * DAY_MINUTES * MINUTE
        named = DumpPeriod(day, day + DAY_MINUTES * MINUTE)
        rows = [row for row in truth if day <= row.time_us < named.until_us]
        before = [row for row in truth if row.time_us < day][-1:]
        if rng.random() < 0.3:
            rows = before + rows
        if rng.random() < 0.4:
            rows = rows[: rng.randrange(len(rows) + 1)]
    else:
        begin = rng.randrange(len(truth))
        rows = truth[begin : begin + rng.randrange(1, len(truth) + 1)]
    if rng.random() < 0.3:
        rows = [row for row in rows if rng.random() < 0.8] or rows
    if rows and rng.random() < 0.2:
        rows = sorted([*rows, *rng.sample(rows, 1)], key=lambda row: row.time_us)
    made: list[Row | None] = list(rows)
    if made and rng.random() < 0.2:
        at = rng.randrange(len(made))
        made[at : at + 2] = made[at : at + 2][::-1]
        times = [row.time_us for row in made if row]
        if any(later < max(times[:place]) - 9 * MINUTE for place, later in enumerate(times) if place):
            made = list(rows)
    if rng.random() < 0.15:
        made.insert(rng.randrange(len(made) + 1), None)
    if named and not any(row and named.from_us <= row.time_us < named.until_us for row in made):
        return None
    return File(made, named, repr((number, made, named)).encode())


def as_trade(row: Row) -> Trade:
    return Trade(
        exchange="x", symbol="A-B", trade_id=row.trade_id, price=Decimal(row.price), qty=Decimal(row.qty),
        side=Side.BUY if row.buy else Side.SELL, time_us=row.time_us, source=Source.ARCHIVE,
    )  # fmt: skip


def survey_of(file: File) -> Survey:
    survey = Survey()
    for line, row in enumerate(file.rows, 1):
        survey.skip(line) if row is None else survey.add(as_trade(row))
    return survey


async def import_file(world: World, reader: Reader, file: File, kind: IdKind | None) -> None:
    """What `producers.archive.importing` does with one file."""
    survey = survey_of(file)
    if not survey.count:
        return
    span = covered(survey, file.named)
    await reader.read()
    run, finished = choose_run(MARKET, span, file.digest, world.finished, reader.survey.is_crossed, forced=False)
    if finished:
        return
    until_us = START + 10_000 * MINUTE
    planned = plan(survey, survey.claims(span), reader.survey, until_us=until_us, kind=kind)
    read_back = await reader.trades_of(planned.read_back) if planned.read_back else {}
    copies = Copies(planned, survey, reader.survey, read_back, until_us=until_us, forced=False)
    if planned.publishes:
        hull = DumpPeriod(
            min(span.from_us, survey.first_us // MINUTE * MINUTE), max(span.until_us, survey.newest_us + 1)
        )
        what = ImportRun(key=MARKET, id=run, span=hull, plan=planned, copies=copies)
        sending = RunPublisher(world.settings, world, world, what)  # type: ignore[arg-type]
        await sending.begin()
        for row in file.rows:
            if row is not None:
                await sending.add([as_trade(row)])
        await sending.end()
    world.finished.add(run)


@dataclass
class Live:
    """A live feed of a part of the truth: what it published, and what it says of each minute."""

    rows: list[Row]
    statuses: dict[int, str]
    begin_us: int = 0
    first_price: str | None = None


def publish_live(world: World, rng: random.Random, truth: list[Row], kind: IdKind) -> Live:
    """Live trades with markers; some are lost, and told as a hole."""
    begin = rng.randrange(len(truth))
    first_us = -(-truth[begin].time_us // MINUTE) * MINUTE
    rows = [row for row in truth if row.time_us >= first_us]
    last_us = rows[-1].time_us if rows else first_us
    end_us = first_us + rng.randrange(1, (last_us - first_us) // MINUTE + 3) * MINUTE
    rows = [row for row in rows if row.time_us < end_us]
    lost = {row for row in rows if rng.random() < 0.1} if rng.random() < 0.4 else set()
    holes: set[int] = set()
    before = truth[begin - 1] if begin else None
    for row in lost:
        at = rows.index(row)
        low = max((r.time_us for r in rows[:at] if r not in lost), default=first_us)
        high = min((r.time_us for r in rows[at + 1 :] if r not in lost), default=end_us - 1)
        holes.update(range(low // MINUTE * MINUTE, high + 1, MINUTE))
    last = before
    price = None if before is None else Decimal(before.price)
    begin_marker = Marker(
        complete_until_us=first_us, published_until_us=first_us, proof=Proof.BEGIN,
        last_trade_id=before.trade_id if before else None, last_price=price,
    )  # fmt: skip
    world.append(KEY.encode(), None, encode_marker(begin_marker))
    statuses: dict[int, str] = {}
    for open_us in range(first_us, end_us, MINUTE):
        for row in rows:
            if open_us <= row.time_us < open_us + MINUTE and row not in lost:
                world.append(KEY.encode(), encode_trade(as_trade(row)), ())
                last = row
        usual = Proof.IDS if kind is IdKind.CONTIGUOUS else Proof.CONNECTION
        proof = Proof.HOLE if open_us in holes else usual
        marker = Marker(
            complete_until_us=open_us + MINUTE, published_until_us=open_us + MINUTE, proof=proof,
            last_trade_id=last.trade_id if last else None, last_price=Decimal(last.price) if last else None,
        )  # fmt: skip
        world.append(KEY.encode(), None, encode_marker(marker))
        statuses[open_us] = STATUS_OF_PROOF[proof].value
    first_price = str(before.price) if before else None
    return Live([row for row in rows if row not in lost], statuses, first_us, first_price)


def newest_candles(world: World) -> dict[int, Candle]:
    """By open time the candle of the greatest revision."""
    newest: dict[int, Candle] = {}
    for record in world.candles:
        candle = decode_candle(record.value or b"")
        open_us = candle.open_time_ms * 1000
        if open_us not in newest or newest[open_us].revision <= candle.revision:
            newest[open_us] = candle
    return newest


def file_claims(file: File) -> dict[int, str]:
    """What a file says of minutes by itself: the day in its name, or the whole minutes between its ends."""
    rows = [row for row in file.rows if row]
    first, last = min(row.time_us for row in rows), max(row.time_us for row in rows)
    span = file.named or DumpPeriod(first // MINUTE * MINUTE + MINUTE, last // MINUTE * MINUTE)
    claims = dict.fromkeys(range(span.from_us, span.until_us, MINUTE), "connected")
    seen: set[str] = set()
    before: Row | None = None
    waiting = False
    opened: Row | None = None
    for row in [*file.rows, "end"]:
        if row is None:
            if not waiting:
                waiting, opened = True, before
            continue
        if row == "end":
            if waiting:
                _spoil(claims, opened.time_us if opened else 0, span.until_us)
            break
        assert isinstance(row, Row)
        if row.trade_id in seen:
            continue
        seen.add(row.trade_id)
        if waiting:
            follows = opened is not None and row.trade_id.isdigit() and int(row.trade_id) == int(opened.trade_id) + 1
            if not follows:
                _spoil(claims, *sorted((opened.time_us if opened else 0, row.time_us)))
            waiting = False
        before = row
    return claims


def _spoil(claims: dict[int, str], from_us: int, until_us: int) -> None:
    for open_us in claims:
        if from_us // MINUTE * MINUTE <= open_us <= until_us:
            claims[open_us] = "hole"


def expected(files: Sequence[File], live: Live | None, kind: IdKind | None) -> dict[int, dict[str, Any]]:
    """All rows and all claims at once, by plain counting."""
    trades: dict[str, Row] = {row.trade_id: row for file in files for row in file.rows if row}
    if live:
        trades |= {row.trade_id: row for row in live.rows}
    claims: dict[int, str] = {}
    for one in [*(file_claims(file) for file in files), *([live.statuses] if live else [])]:
        for open_us, status in one.items():
            claims[open_us] = min(claims.get(open_us, status), status, key=RANKS.index)
    found: dict[int, dict[str, Any]] = {}
    for open_us, status in sorted(statuses_of(trades, claims, kind or _looks(trades)).items()):
        own = [row for row in trades.values() if row.time_us // MINUTE * MINUTE == open_us]
        before = max((row for row in trades.values() if row.time_us < open_us), key=_last_key, default=None)
        if own:
            found[open_us] = {"status": status, **_traded(sorted(own, key=_last_key))}
        elif before is not None:
            found[open_us] = {"status": status, **_flat(before.price)}
        elif live and live.first_price and open_us >= live.begin_us:
            found[open_us] = {"status": status, **_flat(int(live.first_price))}
    return found


def statuses_of(trades: dict[str, Row], claims: dict[int, str], kind: IdKind) -> dict[int, str]:
    """What the candle of each minute has to be, for the minutes that must have one."""
    if kind is not IdKind.CONTIGUOUS or not trades:
        return claims
    minutes = [row.time_us // MINUTE * MINUTE for row in trades.values()]
    whole = set(range(min(minutes) + MINUTE, max(minutes), MINUTE))
    lacking: set[int] = set()
    for one, other in pairwise(sorted(trades.values(), key=lambda row: int(row.trade_id))):
        if int(other.trade_id) > int(one.trade_id) + 1:
            low, high = sorted((one.time_us // MINUTE, other.time_us // MINUTE))
            between = {minute * MINUTE for minute in range(low, high + 1)}
            whole -= between
            if between <= claims.keys():
                lacking |= between
    return claims | dict.fromkeys(whole, "complete") | dict.fromkeys(lacking, "hole")


def _traded(rows: list[Row]) -> dict[str, Any]:
    prices = [row.price for row in rows]
    return {
        "trades": len(rows), "open": prices[0], "close": prices[-1], "high": max(prices), "low": min(prices),
        "volume": sum(row.qty for row in rows), "quote_volume": sum(row.qty * row.price for row in rows),
        "taker_buy_volume": sum(row.qty for row in rows if row.buy),
    }  # fmt: skip


def _flat(price: int) -> dict[str, Any]:
    zeros = dict.fromkeys(("trades", "volume", "quote_volume", "taker_buy_volume"), 0)
    return zeros | dict.fromkeys(("open", "close", "high", "low"), price)


def _last_key(row: Row) -> tuple[int, int, str]:
    return row.time_us, int(row.trade_id) if row.trade_id.isdigit() else 1 << 60, row.trade_id


def _looks(trades: dict[str, Row]) -> IdKind:
    if not all(trade_id.isdigit() for trade_id in trades):
        return IdKind.OPAQUE
    ids = sorted(int(trade_id) for trade_id in trades)
    follow = sum(1 for one, other in pairwise(ids) if other == one + 1)
    return IdKind.CONTIGUOUS if 2 * follow >= len(ids) - 1 else IdKind.ORDERED


def differences(seed: int) -> list[str]:
    """Import one made-up market; what differs from importing all at once. Empty: the law holds."""
    return asyncio.run(_differences(seed))


async def _differences(seed: int) -> list[str]:
    rng = random.Random(seed)
    kind = rng.choice((IdKind.CONTIGUOUS, IdKind.CONTIGUOUS, IdKind.CONTIGUOUS, IdKind.ORDERED, IdKind.OPAQUE))
    told = rng.choice((kind, None))
    truth = make_rows(rng, kind)
    made = [make_file(rng, truth, number) for number in range(rng.randrange(1, 6))]
    files = [file for file in made if file is not None and any(file.rows)]
    world = World()
    live = publish_live(world, rng, truth, kind) if rng.random() < 0.4 else None
    reader = Reader(world)
    waiting = list(files)
    while waiting:
        file = waiting.pop(rng.randrange(len(waiting)))
        if rng.random() < 0.5:
            world.run_engine()
        if rng.random() < 0.3:
            reader = Reader(world)  # another process
        if rng.random() < 0.25:
            world.sends_left = rng.randrange(60)
        try:
            await import_file(world, reader, file, told)
        except CrashError:
            waiting.append(file)
            reader = Reader(world)
        finally:
            world.sends_left = 1 << 30
        if rng.random() < 0.1:
            waiting.append(file)
    world.run_engine()
    return compare(newest_candles(world), expected(files, live, told))


def compare(newest: dict[int, Candle], want: dict[int, dict[str, Any]]) -> list[str]:
    """What differs, in words."""
    found = []
    for open_us in sorted({*newest, *want}):
        minute = (open_us - START) // MINUTE
        candle, fields = newest.get(open_us), want.get(open_us)
        if candle is None or fields is None:
            found.append(f"minute {minute}: {'no candle' if candle is None else f'a candle: {candle}'}, want {fields}")
            continue
        have = {name: getattr(candle, name) for name in fields}
        have["status"] = candle.status.value
        if have != fields:
            differs = {name: (have[name], value) for name, value in fields.items() if have[name] != value}
            found.append(f"minute {minute}: have, want: {differs}")
    return found
