"""The law of imports with klines among the files: what the exchange gives stands in where trades are missing for good.

As in `import_law`, all that decides is the product's own, and what must come out is computed by plain counting.
"""

import asyncio
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from import_law import (
    KEY,
    MARKET,
    MINUTE,
    START,
    CrashError,
    File,
    Live,
    Reader,
    Row,
    World,
    compare,
    expected,
    import_file,
    make_file,
    make_rows,
    newest_candles,
    publish_live,
)

from market.given_candle import GivenCandle
from producers.archive.copies import Copies
from producers.archive.dump import DumpPeriod
from producers.archive.proof import IdKind
from producers.archive.publishing import ImportRun, RunPublisher
from producers.archive.run_id import choose_run
from producers.archive.survey import Survey
from producers.backfill.klines import plan_klines
from producers.backfill.wanted import KLINES, wanted_spans

LIMIT = START + 10_000 * MINUTE


def klines_of(truth: Sequence[Row]) -> dict[int, dict[str, int]]:
    """What the exchange gives of each minute, from its first trade on."""
    given: dict[int, dict[str, int]] = {}
    first, last = (row.time_us // MINUTE * MINUTE for row in (truth[0], truth[-1]))
    close = 0
    for open_us in range(first, last + 3 * MINUTE, MINUTE):
        rows = [row for row in truth if row.time_us // MINUTE * MINUTE == open_us]
        prices = [row.price for row in rows] or [close]
        close = prices[-1]
        given[open_us] = {
            "trades": len(rows), "open": prices[0], "close": close, "high": max(prices), "low": min(prices),
            "volume": sum(row.qty for row in rows), "quote_volume": sum(row.qty * row.price for row in rows),
            "taker_buy_volume": sum(row.qty for row in rows if row.buy),
        }  # fmt: skip
    return given


def as_kline(open_us: int, figures: dict[str, int]) -> GivenCandle:
    amounts = {name: Decimal(value) for name, value in figures.items() if name != "trades"}
    return GivenCandle(open_time_ms=open_us // 1000, trades=figures["trades"], **amounts)


async def publish_klines(world: World, reader: Reader, given: dict[int, dict[str, int]], asked: DumpPeriod) -> None:
    """What `producers.backfill` does with the klines of a range."""
    await reader.read()
    log = reader.survey
    unfinished = log.first_offset.keys() - world.finished
    for span in wanted_spans(log, asked, KLINES, unfinished=unfinished):
        opened = [open_us for open_us in range(span.from_us, span.until_us, MINUTE) if open_us in given]
        klines = [as_kline(open_us, given[open_us]) for open_us in opened]
        if not klines:
            continue
        span_given = DumpPeriod(opened[0], opened[-1] + MINUTE)
        content = repr(klines).encode()
        run, is_finished = choose_run(MARKET, span_given, content, world.finished, log.is_crossed, forced=False)
        if is_finished:
            continue
        planned = plan_klines(klines, log, until_us=LIMIT)
        if planned.minutes:
            read_back = await reader.trades_of({minute.open_us for minute in planned.minutes} & log.minutes.keys())
            copies = Copies(planned, Survey(), log, read_back, until_us=LIMIT, forced=False)
            what = ImportRun(key=MARKET, id=run, span=span_given, plan=planned, copies=copies)
            sending = RunPublisher(world.settings, world, world, what)  # type: ignore[arg-type]
            await sending.begin()
            await sending.end()
        world.finished.add(run)
        await reader.read()


def with_klines(
    want: dict[int, dict[str, Any]], given: dict[int, dict[str, int]], asked: DumpPeriod, known: Sequence[Row]
) -> dict[int, dict[str, Any]]:
    """The candles that must come out, with the klines in the place of holes; they price what follows them."""
    standing = {
        open_us for open_us in given
        if asked.from_us <= open_us < asked.until_us and want.get(open_us, {"status": "hole"})["status"] == "hole"
    }  # fmt: skip
    want = want | {open_us: {"status": "kline", **given[open_us]} for open_us in standing}
    for open_us, fields in want.items():
        if fields["trades"] or open_us in standing:
            continue
        traded = max((row.time_us // MINUTE * MINUTE for row in known if row.time_us < open_us), default=0)
        nearest = max((other for other in standing if other < open_us), default=-1)
        if nearest >= traded:
            want[open_us] = fields | dict.fromkeys(("open", "close", "high", "low"), given[nearest]["close"])
    return want


def known_rows(files: Sequence[File], live: Live | None) -> list[Row]:
    return [row for file in files for row in file.rows if row] + (live.rows if live else [])


def kline_differences(seed: int) -> list[str]:
    """Import files and klines of one made-up market; what differs from all at once. Empty: the law holds."""
    return asyncio.run(_differences(seed))


async def _differences(seed: int) -> list[str]:
    rng = random.Random(f"{KEY} {seed}")
    kind = rng.choice((IdKind.CONTIGUOUS, IdKind.CONTIGUOUS, IdKind.ORDERED))
    truth = make_rows(rng, kind)
    given = klines_of(truth)
    begin = min(given) + rng.randrange(10) * MINUTE
    asked = DumpPeriod(begin, begin + rng.randrange(1, 40) * MINUTE)
    made = [make_file(rng, truth, number) for number in range(rng.randrange(1, 4))]
    files = [file for file in made if file is not None and any(file.rows)]
    world = World()
    live = publish_live(world, rng, truth, kind) if rng.random() < 0.5 else None
    waiting: list[File | None] = [*files, None, None]  # None: the klines
    reader = Reader(world)
    while waiting:
        file = waiting.pop(rng.randrange(len(waiting)))
        if rng.random() < 0.5:
            world.run_engine()
        if rng.random() < 0.25:
            world.sends_left = rng.randrange(60)
        try:
            await (
                publish_klines(world, reader, given, asked) if file is None else import_file(world, reader, file, kind)
            )
        except CrashError:
            waiting.append(file)
        finally:
            world.sends_left = 1 << 30
        reader = Reader(world) if rng.random() < 0.5 else reader
    await publish_klines(world, Reader(world), given, asked)  # what was disproved since gets its kline too
    world.run_engine()
    known = known_rows(files, live)
    want = with_klines(expected(files, live, kind), given, asked, known)
    # A minute that a file calls whole, before all known trades, has a price only if a kline came first.
    first_us = min((row.time_us // MINUTE * MINUTE for row in known), default=0)
    newest = {open_us: candle for open_us, candle in newest_candles(world).items() if open_us >= first_us}
    return compare(newest, {open_us: fields for open_us, fields in want.items() if open_us >= first_us})
