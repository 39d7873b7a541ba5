"""A recomputed range: what it keeps, when it is final, and how it is written down."""

from market_log import MINUTE, START, Log, make_trade

from market.key import MarketKey
from market.topics import Topics
from market.trade import Proof
from processors.candles.core import Core, Rules
from processors.candles.range import LogPiece, RecomputeRange
from processors.engine.state import RANGE_KEY, StoredState

KEY, OTHER = "sim:AAA-USD", "sim:BBB-USD"
FROM, UNTIL = START + 2 * MINUTE, START + 4 * MINUTE


def ranged(*, least: int = 0, end: int = 1000, **finals_us: int) -> RecomputeRange:
    markets = {MarketKey.parse(name.replace("_", ":", 1).replace("_", "-")): us for name, us in finals_us.items()}
    piece = LogPiece(start=0, least=least, end=end, final_until_us=markets)
    return RecomputeRange(suffix="fix", from_us=FROM, until_us=UNTIL, rules=Rules(), pieces={0: piece})


def core_of(log: Log) -> Core:
    core = Core(partition=0, partitions=1, position=0, rules=Rules(), awaits_floor=False)
    core.process(log.records)
    return core


def marked_until(minutes: int, key: str = KEY) -> Log:
    log = Log()
    log.marker(key, START, Proof.BEGIN)
    for minute in range(1, minutes + 1):
        log.trade(make_trade(key, minute, START + minute * MINUTE - 1, "5"))
        log.marker(key, START + minute * MINUTE)
    return log


def test_only_candles_of_its_minutes_are_kept() -> None:
    core = Core(partition=0, partitions=1, position=0, rules=Rules(), awaits_floor=False)
    kept = ranged().keep(core.process(marked_until(10).records).candles)
    assert [candle.open_time_ms * 1000 for candle, _ in kept] == [FROM, FROM + MINUTE]


def test_it_is_final_when_the_final_boundaries_are_past_it_and_not_before() -> None:
    assert not ranged(sim_AAA_USD=UNTIL).is_final(core_of(marked_until(13)))
    assert ranged(sim_AAA_USD=UNTIL).is_final(core_of(marked_until(14)))


def test_a_key_that_was_promised_is_waited_for_and_one_that_ended_before_is_not() -> None:
    core = core_of(marked_until(14))
    assert not ranged(sim_AAA_USD=UNTIL, sim_BBB_USD=UNTIL).is_final(core)
    assert ranged(sim_AAA_USD=UNTIL, sim_BBB_USD=0).is_final(core)


def test_a_key_that_nobody_promised_is_waited_for_once_it_is_seen() -> None:
    log = marked_until(14)
    log.marker(OTHER, START + 14 * MINUTE, Proof.BEGIN)
    log.marker(OTHER, START + 13 * MINUTE)
    assert ranged(sim_AAA_USD=UNTIL).is_final(core_of(log))
    behind = Log()
    behind.marker(OTHER, START, Proof.BEGIN)
    assert not ranged().is_final(core_of(behind))


def test_runs_over_it_are_read_to_their_end_and_nothing_beyond_the_logs() -> None:
    core = core_of(marked_until(14))
    assert not ranged(least=core.position + 1, sim_AAA_USD=UNTIL).is_final(core)
    assert ranged(least=core.position, sim_AAA_USD=UNTIL).is_final(core)
    assert ranged(least=10**6, end=core.position, sim_BBB_USD=UNTIL).is_final(core)


def test_what_it_is_made_of_outlives_the_state() -> None:
    stored = StoredState()
    (record,) = ranged(sim_AAA_USD=UNTIL).records()
    log = Log()
    log.append(None, None)
    stored.take([log.records[0]._replace(key=record.key, value=record.value)])
    assert stored.position is None
    assert stored.values[RANGE_KEY]["until_us"] == UNTIL
    assert stored.drop(0) == []


def test_a_recomputation_has_names_of_its_own_and_reads_the_same_trades() -> None:
    live = Topics(prefix="p.")
    beside = live.beside("fix")
    own = {name: getattr(beside, name) for name in ("state", "late")} | {
        "candles": beside.candles(), "dead": beside.dead_letters(beside.trades), "group": beside.group("candles")
    }  # fmt: skip
    assert own == {
        "state": "p.candlewick.candles.state.v1.fix",
        "late": "p.md.trades.v1.late.fix",
        "candles": "p.md.candles.1m.v1.fix",
        "dead": "p.md.trades.v1.dlq.fix",
        "group": "p.candlewick.candles.fix",
    }
    assert (beside.trades, beside.progress, beside.feeds) == (live.trades, live.progress, live.feeds)
    assert not {spec.name for spec in live.specs()} & set(own.values())
