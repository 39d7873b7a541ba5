"""What holds for any log: the engine's core as properties over made-up partitions."""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from market_log import KEYS, MINUTE, START, Log, LogRecord, expected, make_log, make_trade, trades_in

from market.candle import Candle
from market.codec import encode_candle
from market.trade import Proof
from processors.candles import core as candle_core
from processors.candles.core import Core, Rules
from processors.candles.state import changes, core_of, mark_clean
from processors.engine.state import StoredState

SEEDS = st.integers(0, 2**32)
few = settings(max_examples=40, deadline=None)


def new_core(*, position: int = 0, awaits_floor: bool = False) -> Core:
    return Core(partition=0, partitions=1, position=position, rules=Rules(), awaits_floor=awaits_floor)


def outputs_of(core: Core, records: Sequence[LogRecord]) -> list[tuple[object, ...]]:
    out = core.process(records)
    return [
        *(("candle", encode_candle(candle), run) for candle, run in out.candles),
        *(("late", record.offset) for record in out.late),
        *(("dead", record.offset, str(error)) for record, error in out.dead),
    ]


def state_of(core: Core) -> dict[bytes, bytes | None]:
    state = {record.key: record.value for record in changes(core)}
    mark_clean(core)
    return state


def candles_of(records: Iterable[LogRecord], core: Core | None = None) -> list[tuple[Candle, str | None]]:
    return (core or new_core()).process(list(records)).candles


@contextmanager
def at_once(trades: int) -> Iterator[None]:
    """Take so many trades, and more, together."""
    with patch.object(candle_core, "_AT_ONCE", trades):
        yield


def in_some_form(record: LogRecord) -> LogRecord:
    """Every third trade with spaces, and its fields in another order."""
    try:
        fields = json.loads(record.value or b"")
    except ValueError:
        return record
    if record.offset % 3 or not isinstance(fields, dict):
        return record
    return record._replace(value=json.dumps(dict(reversed(fields.items()))).encode())


def reborn(core: Core, stored: dict[bytes, bytes]) -> Core:
    """Write the changed state as the engine does, and read it back as a new owner does."""
    for record in changes(core):
        if record.value is None:
            stored.pop(record.key, None)
        else:
            stored[record.key] = record.value
    mark_clean(core)
    return restored(stored)


def restored(stored: dict[bytes, bytes]) -> Core:
    state = StoredState()
    state.take(LogRecord("state", 0, n, 0, key, value, ()) for n, (key, value) in enumerate(stored.items()))
    return core_of(state, partition=0, partitions=1, rules=Rules())


@few
@given(SEEDS, st.data())
def test_trades_taken_together_are_as_those_taken_one_by_one(seed: int, data: st.DataObject) -> None:
    log, _ = make_log(seed)
    together, apart, at = new_core(), new_core(), 0
    while at < len(log.records):
        records = log.records[at : at + data.draw(st.integers(1, 300))]
        at += len(records)
        with at_once(10**9):
            wanted = outputs_of(apart, records)
        with at_once(2):  # whatever form the values have
            assert outputs_of(together, [in_some_form(record) for record in records]) == wanted
        assert state_of(together) == state_of(apart)


def test_late_trades_taken_together_are_as_those_taken_one_by_one() -> None:
    log, key = Log(), KEYS[0]
    log.marker(key, START, Proof.BEGIN)
    log.marker(key, START + 20 * MINUTE)
    for number in (1, 2, 1, 3, 2, 2):
        log.trade(make_trade(key, number, START + number, "5"))
    with at_once(10**9):
        wanted = outputs_of(new_core(), log.records)
    with at_once(2):
        assert outputs_of(new_core(), log.records) == wanted
    assert [number for kind, number, *_ in wanted if kind == "late"] == [2, 3, 4, 5, 6, 7]


@few
@given(SEEDS, st.data())
def test_batch_boundaries_change_nothing(seed: int, data: st.DataObject) -> None:
    log, _ = make_log(seed)
    whole = outputs_of(new_core(), log.records)
    core, parts, at = new_core(), [], 0
    while at < len(log.records):
        size = data.draw(st.integers(1, 97))
        parts += outputs_of(core, log.records[at : at + size])
        at += size
    assert sorted(map(repr, parts)) == sorted(map(repr, whole))


@few
@given(SEEDS)
def test_a_crash_between_checkpoints_changes_nothing(seed: int) -> None:
    log, _ = make_log(seed)
    rng = random.Random(seed)
    whole, out = outputs_of(new_core(), log.records), []
    core, stored = new_core(), dict[bytes, bytes]()
    core = reborn(core, stored)  # what a first commit writes
    while core.position < len(log.records):
        committed = core.position + rng.randrange(1, 60)
        out += outputs_of(core, log.records[core.position : committed])
        if rng.random() < 0.3:
            core = reborn(core, stored)
        elif rng.random() < 0.3:
            core = restored(stored)
            core.process(log.records[core.position : committed])
    assert sorted(map(repr, out)) == sorted(map(repr, whole))


@few
@given(SEEDS)
def test_a_crash_at_any_point_changes_nothing(seed: int) -> None:
    log, _ = make_log(seed)
    rng = random.Random(seed)
    whole = outputs_of(new_core(), log.records)
    core, parts, at, stored = new_core(), [], 0, dict[bytes, bytes]()
    while at < len(log.records):
        size = rng.randrange(1, 150)
        parts += outputs_of(core, log.records[at : at + size])
        core = reborn(core, stored)
        at = core.position
    assert sorted(map(repr, parts)) == sorted(map(repr, whole))
    assert at == len(log.records)


@few
@given(SEEDS)
def test_every_complete_candle_is_what_the_trades_say(seed: int) -> None:
    log, truths = make_log(seed)
    newest = {(c.key, run, c.open_time_ms): c for c, run in candles_of(log.records)}
    live = [candle for (_, run, _), candle in newest.items() if run is None]
    assert len(live) > 20
    for candle in live:
        assert candle.status == "complete"
        want = expected(truths[candle.key], candle.open_time_ms * 1000)
        if want is None:
            before = [t for t in truths[candle.key] if t.time_us < candle.open_time_ms * 1000]
            assert before
            assert {candle.open, candle.high, candle.low, candle.close} == {before[-1].price}
            assert (candle.trades, candle.volume, candle.first_trade_id) == (0, 0, None)
        else:
            assert {name: _scaled(name, getattr(candle, name)) for name in want} == want


def _scaled(name: str, value: object) -> object:
    if name in ("trades", "first_trade_id", "last_trade_id"):
        return value
    return int(value * 10 ** (36 if "quote" in name else 18))  # type: ignore[operator]


@few
@given(SEEDS)
def test_no_minute_is_missing_between_a_series_first_and_last_candle(seed: int) -> None:
    log, _ = make_log(seed)
    opens: dict[str, set[int]] = {}
    for candle, run in candles_of(log.records):
        if run is None:
            opens.setdefault(candle.key, set()).add(candle.open_time_ms)
    for times in opens.values():
        assert len(times) == (max(times) - min(times)) // 60_000 + 1


@few
@given(SEEDS)
def test_a_replay_from_any_offset_gives_the_same_bytes_for_every_minute_it_emits(seed: int) -> None:
    log, _ = make_log(seed, runs=False)
    original = {encode_candle(candle) for candle, _ in candles_of(log.records)}
    rng = random.Random(seed)
    for start in (rng.randrange(1, len(log.records)) for _ in range(5)):
        core = new_core(position=start, awaits_floor=True)
        replayed = [encode_candle(candle) for candle, _ in candles_of(log.records[start:], core)]
        assert set(replayed) <= original


@few
@given(SEEDS)
def test_series_do_not_influence_one_another(seed: int) -> None:
    log, _ = make_log(seed)
    together = candles_of(log.records)
    for key in KEYS:
        alone = candles_of(r for r in log.records if r.key == key.encode())
        assert alone == [(candle, run) for candle, run in together if candle.key == key]


@few
@given(SEEDS, st.randoms(use_true_random=False))
def test_any_order_and_duplication_between_markers_gives_the_same_candles(seed: int, rng: random.Random) -> None:
    log, _ = make_log(seed)
    shuffled: list[LogRecord] = []
    batch: list[LogRecord] = []
    for record in log.records:
        if record.value is None:
            rng.shuffle(batch)
            shuffled += [*batch, *rng.choices(batch, k=len(batch) // 4)] if batch else []
            shuffled.append(record)
            batch = []
        else:
            batch.append(record)
    shuffled += batch
    # Append times belong to places in the log; the shuffled records take theirs from the last before them.
    relogged = [r._replace(timestamp=log.records[-1].timestamp) for r in shuffled]
    original = [r._replace(timestamp=log.records[-1].timestamp) for r in log.records]
    assert candles_of(relogged) == candles_of(original)


@few
@given(SEEDS)
def test_a_run_published_again_repeats_itself_harmlessly(seed: int) -> None:
    log, _ = make_log(seed)
    core = new_core()
    core.process(log.records)
    again = [r for r in log.records if dict(r.headers).get("run")]
    assert core.process([r._replace(offset=len(log.records) + n) for n, r in enumerate(again)]).candles == []


@few
@given(SEEDS)
def test_state_stays_small(seed: int) -> None:
    log, _ = make_log(seed, minutes=60)
    core = new_core()
    core.process(log.records)
    stored: dict[bytes, bytes] = {}
    reborn(core, stored)
    kinds = [orjson.loads(key)[0] for key in stored]
    assert kinds.count("minute") <= len(KEYS) * 13
    ended = [series for series in core.series.values() if series.run is not None]
    assert all(not series.minutes for series in ended)


def test_revision_is_the_offset_of_the_marker_that_caused_the_emission() -> None:
    log = Log()
    key = KEYS[0]
    log.marker(key, 1_000 * MINUTE, Proof.BEGIN)
    log.trade(make_trade(key, 1, 1_000 * MINUTE, "5"))
    offset = log.marker(key, 1_001 * MINUTE).offset
    ((candle, _),) = candles_of(log.records)
    assert candle.revision == offset == 2
    assert trades_in(log.records, key)[0].trade_id == "1"
