"""Faults do what they say, as often as they say, and nothing where they are off."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.simulator.archive import Archive
from producers.simulator.contents import single_trades
from producers.simulator.delivery import ABSURD_TIMES_MS, Delivery
from producers.simulator.fates import Fate
from producers.simulator.faults import Action, FaultPlan, Faults
from producers.simulator.frames import payload_of, text_frame
from producers.simulator.history import GeneratedHistory, Match
from producers.simulator.instruments import instrument
from producers.simulator.protocols.binance_messages import trade_event
from producers.simulator.tape import Channel, ChannelKind, Entry
from runtime.errors import UsageError

MATCH = Match(77, 150, 2, 999, buyer_is_maker=True, aggregate_id=1)
Content = Any


def channel(name: str, kind: ChannelKind) -> Channel:
    """Its messages are Binance's, or b"<number> " where they carry a number."""
    archive = Archive(GeneratedHistory(1, instrument(name)))

    def write(content: Content, clock_ms: int) -> str:
        if kind is ChannelKind.CLOCK:
            return json.dumps({"e": "kline", "E": clock_ms, "k": {"t": 0, "T": 999}})
        return trade_event(archive.instrument, content[0], clock_ms, 1)

    return Channel((name, kind), kind, archive, contents=single_trades, write=write)


CHANNELS = [
    channel("BTCUSDT", ChannelKind.TRADES),
    channel("ETHUSDT", ChannelKind.TRADES),
    channel("BTCUSDT", ChannelKind.CLOCK),
]


def entry(channel: Channel, frame: bytes = b"") -> Entry:
    """A message at 1000 ms: `frame`, or one that the channel writes."""
    return (1_000, channel, frame or channel.frame((MATCH,), 1_000), (MATCH,))


def entries(count: int) -> list[Entry]:
    return [(number, CHANNELS[number % 3], b"%d " % number, (MATCH,)) for number in range(count)]


def delivered(faults: Faults, count: int, seed: int = 1) -> tuple[list[bytes], FaultPlan]:
    plan = FaultPlan(faults, seed)
    delivery = Delivery(plan, seed, 1)
    sent = [frame for at, entry in enumerate(entries(count)) for frame in delivery.through([entry], at / 100)]
    return sent + delivery.through([], 1e9), plan


def test_off_is_off() -> None:
    sent, plan = delivered(Faults(), 300)
    assert sent == [entry[2] for entry in entries(300)]
    assert not plan.done
    assert plan.due(1e9) == []


@settings(max_examples=25, deadline=None, database=None)
@given(*[st.floats(0, 0.25)] * 4, st.integers(0, 99))
def test_every_message_is_sent_but_for_the_skipped_and_twice_only_the_duplicated(
    skip: float, duplicate: float, delay: float, reorder: float, seed: int
) -> None:
    sent, plan = delivered(Faults(skip=skip, duplicate=duplicate, delay=delay, reorder=reorder), 600, seed)
    counts = Counter(Counter(sent).values())
    assert counts[1] + counts[2] == 600 - plan.done["skipped"]
    assert counts[2] == plan.done["duplicated"]
    carriers = [entry[2] for entry in entries(600) if entry[1].kind is ChannelKind.CLOCK]
    assert [frame for frame in sent if frame in set(carriers)] == carriers


def test_a_reordered_message_changes_place_with_the_next_of_its_stream() -> None:
    plan = FaultPlan(Faults(reorder=1), 1)
    delivery = Delivery(plan, 1, 1)
    assert delivery.through([entry(CHANNELS[0], b"a"), entry(CHANNELS[1], b"x")], 0.0) == []
    plan.change({"reorder": 0})
    assert delivery.through([entry(CHANNELS[0], b"b"), entry(CHANNELS[1], b"y")], 0.1) == [b"b", b"a", b"y", b"x"]
    assert delivery.idle


def test_a_delayed_message_comes_within_its_bound() -> None:
    plan = FaultPlan(Faults(delay=1, delay_ms=300), 1)
    delivery = Delivery(plan, 1, 1)
    assert delivery.through([entry(CHANNELS[0], b"a")], 5.0) == []
    assert delivery.through([], 5.31) == [b"a"]


TRADE, TICK = entry(CHANNELS[0]), entry(CHANNELS[2])


def read(frame: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(payload_of(frame))
    return found


@pytest.mark.parametrize("size", [5, 125, 126, 40_000, 70_000])
def test_a_frame_carries_its_payload_whatever_its_size(size: int) -> None:
    assert payload_of(text_frame("x" * size)) == b"x" * size


def test_trades_come_with_zeros_and_with_absurd_times() -> None:
    for faults, wrong in ((Faults(zero=1), {"p", "q"}), (Faults(absurd_time=1), {"T"})):
        plan = FaultPlan(faults, 1)
        delivery = Delivery(plan, 1, 1)
        told = [read(frame) for frame in delivery.through([TRADE] * 100, 0.0)]
        names = {name for event in told for name, value in event.items() if value != read(TRADE[2])[name]}
        assert names == wrong
        assert all(event != read(TRADE[2]) for event in told)
        assert sum(plan.done.values()) == 100
    assert {event["T"] for event in told} == set(ABSURD_TIMES_MS)


def test_a_clock_jumps_for_one_message_of_each_connection() -> None:
    plan = FaultPlan(Faults(clock_s=-3_600), 1)
    one, two = Delivery(plan, 1, 1), Delivery(plan, 1, 2)
    plan.done["clock"] += 1
    plan.jump_clock(0.0)
    for delivery in (one, two):
        clocks = [read(frame)["E"] for frame in delivery.through([TICK] * 3, 0.0)]
        assert clocks == [1_000 - 3_600_000, 1_000, 1_000]
    late = Delivery(plan, 1, 3)
    assert [read(frame)["E"] for frame in late.through([TICK], 0.0)] == [1_000]


def test_a_clock_jumps_for_a_time_on_every_message_and_nothing_else_changes() -> None:
    plan = FaultPlan(Faults(clock_s=90, clock_for_s=2), 1)
    delivery = Delivery(plan, 1, 1)
    plan.done["clock"] += 1
    plan.jump_clock(5.0)
    messages = [TRADE, TICK]
    for at_s, by_ms in ((5.0, 90_000), (6.9, 90_000), (7.0, 0), (8.0, 0)):
        told = [read(frame) for frame in delivery.through(messages, at_s)]
        assert told == [read(frame) | {"E": 1_000 + by_ms} for frame in (TRADE[2], TICK[2])]


def test_what_a_connection_carried_in_good_order_is_noted_where_it_matters() -> None:
    fates = CHANNELS[0].archive.fates
    for faults, carried in (
        ({}, True),
        ({"zero": 1}, False),
        ({"absurd_time": 1}, False),
        ({"skip": 1}, False),
        ({"delay": 1, "delay_ms": 0}, True),
    ):
        plan = FaultPlan(Faults(short_history=60, **faults), 1)
        delivery = Delivery(plan, 1, 1)
        delivery.through([TRADE], 0.0)
        delivery.through([], 1.0)
        fates.note(Fate.REFUSED, 77, 77)
        assert (77 in fates[Fate.REFUSED]) is not carried
        fates.give(77, 77)
        delivery.end([CHANNELS[0]])
        fates.note(Fate.REFUSED, 77, 77)
        assert 77 in fates[Fate.REFUSED]
        fates.give(77, 77)


def test_actions_come_about_as_often_as_asked_and_the_same_for_a_seed() -> None:
    def times(seed: int) -> list[int]:
        plan = FaultPlan(Faults(drop_every_s=10), seed)
        return [at for at in range(1_000) if plan.due(float(at)) == [Action.DROP]]

    assert 80 <= len(times(1)) <= 125
    assert times(1) == times(1) != times(2)
    assert all(4 <= later - earlier <= 16 for earlier, later in zip(times(1), times(1)[1:], strict=False))


@pytest.mark.parametrize(
    "values",
    [
        {"skip": -1},
        {"skip": "x"},
        {"skip": 0.6, "delay": 0.6},
        {"zero": 0.6, "absurd_time": 0.6},
        {"truncated": 1.1},
        {"html": 1.1},
        {"silent": 0.6, "partial": 0.6},
        {"kline_lag_s": -1},
        {"delay_ms": 1e9},
        {"clock_s": -1e12},
        {"clock_s": "nan"},
        {"nope": 1},
    ],
)
def test_a_fault_that_cannot_be_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Faults().changed(values)
