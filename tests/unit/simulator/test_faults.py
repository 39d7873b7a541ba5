"""Faults do what they say, as often as they say, and nothing where they are off."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.simulator.archive import Archive
from producers.simulator.delivery import Delivery
from producers.simulator.faults import Action, FaultPlan, Faults
from producers.simulator.history import GeneratedHistory
from producers.simulator.instruments import instrument
from producers.simulator.tape import Channel, Entry, Form, Kind
from runtime.errors import UsageError

CHANNELS = [
    Channel(f"{name.lower()}@{kind}", kind, Archive(GeneratedHistory(1, instrument(name))), Form(1, combined=False))
    for name, kind in (("BTCUSDT", Kind.TRADE), ("ETHUSDT", Kind.TRADE), ("BTCUSDT", Kind.KLINE_1S))
]


def entries(count: int) -> list[Entry]:
    return [(at, CHANNELS[at % 3], b"%d " % at) for at in range(count)]


def delivered(faults: Faults, count: int, seed: int = 1) -> tuple[list[bytes], FaultPlan]:
    plan = FaultPlan(faults, seed)
    delivery = Delivery(plan, seed, 1)
    sent = [frame for at, entry in enumerate(entries(count)) for frame in delivery.through([entry], at / 100)]
    return sent + delivery.through([], 1e9), plan


def test_off_is_off() -> None:
    sent, plan = delivered(Faults(), 300)
    assert sent == [frame for _, _, frame in entries(300)]
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
    carriers = [frame for _, channel, frame in entries(600) if channel.kind is Kind.KLINE_1S]
    assert [frame for frame in sent if frame in set(carriers)] == carriers


def test_a_reordered_message_changes_place_with_the_next_of_its_stream() -> None:
    plan = FaultPlan(Faults(reorder=1), 1)
    delivery = Delivery(plan, 1, 1)
    assert delivery.through([(0, CHANNELS[0], b"a"), (0, CHANNELS[1], b"x")], 0.0) == []
    plan.change({"reorder": 0})
    assert delivery.through([(0, CHANNELS[0], b"b"), (0, CHANNELS[1], b"y")], 0.1) == [b"b", b"a", b"y", b"x"]
    assert delivery.idle


def test_a_delayed_message_comes_within_its_bound() -> None:
    plan = FaultPlan(Faults(delay=1, delay_ms=300), 1)
    delivery = Delivery(plan, 1, 1)
    assert delivery.through([(0, CHANNELS[0], b"a")], 5.0) == []
    assert delivery.through([], 5.31) == [b"a"]


def test_actions_come_about_as_often_as_asked_and_the_same_for_a_seed() -> None:
    def times(seed: int) -> list[int]:
        plan = FaultPlan(Faults(drop_every_s=10), seed)
        return [at for at in range(1_000) if plan.due(float(at)) == [Action.DROP]]

    assert 80 <= len(times(1)) <= 125
    assert times(1) == times(1) != times(2)
    assert all(4 <= later - earlier <= 16 for earlier, later in zip(times(1), times(1)[1:], strict=False))


@pytest.mark.parametrize(
    "values", [{"skip": -1}, {"skip": "x"}, {"skip": 0.6, "delay": 0.6}, {"delay_ms": 1e9}, {"nope": 1}]
)
def test_a_fault_that_cannot_be_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Faults().changed(values)
