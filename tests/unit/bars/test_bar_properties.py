"""What holds for any log: the bar engine's core as properties over made-up partitions."""

import random

import pytest
from bar_log import THRESHOLDS, Disk, expected_bars, fractions_of, lines, new_core, of_market, sizes_of
from hypothesis import given, settings
from hypothesis import strategies as st
from market_log import KEYS, LogRecord, make_log

from processors.bars.core import BarCore
from processors.bars.thresholds import BarThresholds
from processors.candles.core import Core, Rules

SEEDS = st.integers(0, 2**32)
few = settings(max_examples=20, deadline=None)


def folded_until_us(core: BarCore, key: str) -> int:
    (series,) = (series for (market, run), series in core.series.items() if str(market) == key and run is None)
    return series.folded_until_us or 0


@few
@given(SEEDS)
def test_every_bar_is_what_the_trades_say(seed: int) -> None:
    log, truths = make_log(seed)
    core = new_core()
    bars = core.process(log.records).bars
    count = 0
    for key in KEYS:
        for size in sizes_of(key):
            own = of_market(bars, key, size)
            if not own:
                continue
            begin_us = own[0].series_begin_us
            truth = [trade for trade in truths[key] if begin_us <= trade.time_us < folded_until_us(core, key)]
            assert [fractions_of(bar) for bar in own] == expected_bars(truth, size)
            assert {(bar.series_begin_us, bar.status, bar.late_trades) for bar in own} == {(begin_us, "complete", 0)}
            count += len(own)
    assert count > 20


@few
@given(SEEDS)
def test_a_series_begins_and_ends_where_its_candles_do(seed: int) -> None:
    log, _ = make_log(seed)
    core, candle_core = new_core(), Core(partition=0, partitions=1, position=0, rules=Rules(), awaits_floor=False)
    core.process(log.records)
    candle_core.process(log.records)
    assert core.series.keys() == candle_core.series.keys()
    for key, series in core.series.items():
        candles = candle_core.series[key]
        assert (series.begin_us, series.final_until_us) == (candles.begin_us, candles.final_until_us)


@few
@given(SEEDS, st.data())
def test_batch_boundaries_change_nothing(seed: int, data: st.DataObject) -> None:
    log, _ = make_log(seed)
    whole = lines(new_core().process(log.records))
    core, parts = new_core(), []
    while core.position < len(log.records):
        parts += lines(core.process(log.records[core.position : core.position + data.draw(st.integers(1, 97))]))
    assert sorted(map(repr, parts)) == sorted(map(repr, whole))


@few
@given(SEEDS)
def test_a_crash_at_any_point_and_between_checkpoints_changes_nothing(seed: int) -> None:
    log, _ = make_log(seed)
    rng = random.Random(seed)
    whole, out = lines(new_core().process(log.records)), []
    core, disk = new_core(), Disk()
    disk.write(core)
    while core.position < len(log.records):
        committed = min(core.position + rng.randrange(1, 60), len(log.records))
        out += lines(core.process(log.records[core.position : committed]))
        if rng.random() < 0.4:
            disk.write(core)
        if rng.random() < 0.5:
            core = disk.read(resumes_at=committed)
            core.process(log.records[core.position : committed])
    assert sorted(map(repr, out)) == sorted(map(repr, whole))
    disk.write(core)
    again, written = new_core(), Disk()
    again.process(log.records)
    written.write(again)
    assert disk.values == written.values or rewritten(disk) == rewritten(written)


def rewritten(disk: Disk) -> dict[bytes, bytes]:
    """The state without the places at which held trades were cut into records, and with these in one."""
    core, whole = disk.read(), Disk()
    for series_key, series in core.series.items():
        for minute in series.minutes.values():
            minute.chunks, minute.written = [], 0
        series.dirty.update(dict.fromkeys(key for key in series.state_keys() if key[0] != "trades"))
        core._dirty[series_key] = None  # everything is to be written anew
    core.has_new_thresholds = True
    whole.write(core)
    return whole.values


@few
@given(SEEDS, st.randoms(use_true_random=False))
def test_any_order_and_duplication_between_markers_gives_the_same_bars(seed: int, rng: random.Random) -> None:
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
    newest_ms = log.records[-1].timestamp  # append times belong to places in the log
    relogged = [record._replace(timestamp=newest_ms) for record in [*shuffled, *batch]]
    original = [record._replace(timestamp=newest_ms) for record in log.records]
    assert new_core().process(relogged).bars == new_core().process(original).bars


@few
@given(SEEDS)
def test_series_do_not_influence_one_another(seed: int) -> None:
    log, _ = make_log(seed)
    together = new_core().process(log.records).bars
    for key in KEYS:
        alone = new_core().process([record for record in log.records if record.key == key.encode()]).bars
        assert alone == [(bar, run) for bar, run in together if bar.key == key]


@few
@given(SEEDS)
def test_late_trades_are_counted_on_the_bar_of_their_range_and_change_nothing_else(seed: int) -> None:
    log, _ = make_log(seed, runs=False)
    rng = random.Random(seed)
    moved: dict[int, LogRecord] = {}
    kept: list[LogRecord] = []
    for record in log.records:  # some trades come up to five minutes after their minute's marker
        if record.value and b"trade_id" in record.value and rng.random() < 0.02:
            moved[record.offset + rng.randrange(20, 200)] = record
        else:
            kept.append(record)
            kept += [moved.pop(at) for at in sorted(moved) if at <= record.offset]
    records = [record._replace(offset=n, timestamp=log.records[-1].timestamp) for n, record in enumerate(kept)]
    core = new_core()
    bars = core.process(records).bars
    for key in KEYS:
        for size in sizes_of(key):
            own = of_market(bars, key, size)
            newest = {bar.number: bar for bar in own}
            assert list(newest) == list(range(1, len(newest) + 1))
            first = {}
            for bar in own:
                assert fractions_of(bar) == fractions_of(first.setdefault(bar.number, bar))
                assert bar.late_trades >= first[bar.number].late_trades
            revisions = [(bar.number, bar.revision) for bar in own]
            assert len(revisions) == len(set(revisions))


@pytest.mark.parametrize("seed", range(6))
def test_other_thresholds_count_from_the_first_uncommitted_record_on_wherever_it_crashes(seed: int) -> None:
    log, _ = make_log(seed, minutes=60)
    rng = random.Random(seed)
    turn = len(log.records) // 2
    other = BarThresholds({"sim:BBB-USD": THRESHOLDS.sizes_of(next(iter(new_core_markets(log.records))))[:2]})

    def published(crashes: bool) -> list[tuple[object, ...]]:  # noqa: FBT001
        core, disk, out = new_core(), Disk(), []
        disk.write(core)
        out += lines(core.process(log.records[:turn]))
        if crashes:  # the state is older than what is committed
            core = new_core()
            core.process(log.records[: turn - 40])
            disk.write(core)
        else:
            disk.write(core)
        core = disk.read(other, resumes_at=turn)
        core.process(log.records[core.position : turn])
        out += lines(core.process(log.records[turn : turn + 1]))
        disk.write(core)  # with the first commit
        while core.position < len(log.records):
            if crashes and rng.random() < 0.3:
                disk.write(core)
                core = disk.read(other)
            out += lines(core.process(log.records[core.position : core.position + 25]))
        return out

    calm = published(crashes=False)
    assert published(crashes=True) == calm
    begun = {line[0] for line in calm if isinstance(line[0], bytes) and b'"number":1,' in line[0]}
    assert len(begun) > len(sizes_of("sim:BBB-USD"))


def new_core_markets(records: list[LogRecord]) -> set[object]:
    core = new_core()
    core.process(records)
    return {market for market, _ in core.series if market.symbol == "AAA-USD"}


@few
@given(SEEDS)
def test_a_run_published_again_repeats_itself_harmlessly(seed: int) -> None:
    log, _ = make_log(seed)
    runs = [record for record in log.records if any(name == "run" for name, _ in record.headers)]
    again = [record._replace(offset=record.offset + len(log.records)) for record in runs]
    core = new_core()
    core.process(log.records)
    repeated = core.process(again).bars
    ended = {dict(record.headers)["run"].decode() for record in runs if dict(record.headers).get("end") == b"1"}
    assert not [bar for bar, run in repeated if run in ended]


def test_the_made_up_logs_hold_bars_of_runs() -> None:
    logs = [make_log(seed)[0] for seed in range(20)]
    assert any(run is not None for log in logs for _, run in new_core().process(log.records).bars)
