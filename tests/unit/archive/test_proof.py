"""What ids prove: which minutes are whole, which lack trades, and which nobody can tell."""

import pytest

from market.ids import SeenIds
from producers.archive.dump import DumpPeriod
from producers.archive.proof import IdKind, MissingIds, Proofs, kind_of, prove

MINUTE = 60_000_000

Ids = dict[int, list[int | str]]


def seen(*ids: int | str) -> SeenIds:
    found = SeenIds()
    for trade_id in ids:
        found.add(str(trade_id), trade_id if isinstance(trade_id, int) else None)
    return found


def proofs(ids: Ids, claimed: range | set[int] = range(20), kind: IdKind = IdKind.CONTIGUOUS) -> Proofs:
    by_minute = {at * MINUTE: seen(*of_minute) for at, of_minute in ids.items()}
    return prove(by_minute, kind, {at * MINUTE for at in claimed})


def told(found: Proofs, count: int) -> str:
    """A letter a minute: whole, lacking, or neither."""
    return "".join(
        "w" if found.is_whole(at * MINUTE) else "l" if found.lacks(at * MINUTE) else "-" for at in range(count)
    )


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        # Nothing is proved in the minute of the first id and before, in that of the last and behind.
        ({1: [5], 2: [6], 4: [7]}, "--ww--"),
        ({1: [5]}, "------"),
        ({1: [5], 2: [6]}, "------"),
        # Missing ids may belong to the minutes of the trades around them, and to all between.
        ({0: [1], 1: [2], 3: [4], 4: [5], 5: [6]}, "-lllw-"),
        ({0: [1], 1: [2, 4], 2: [5], 3: [6]}, "-lw---"),
        ({0: [1], 1: [9], 2: [10], 3: [11]}, "llw---"),
        # Ids and times need not rise together within a minute or two.
        ({0: [1], 1: [3], 2: [2], 3: [4]}, "-ww---"),
        ({0: [1], 1: [5], 2: [3], 3: [6], 4: [7]}, "lllw--"),
    ],
)
def test_ids_that_count_by_one_prove_minutes(ids: Ids, expected: str) -> None:
    assert told(proofs(ids), 6) == expected


def test_ids_that_count_anew_prove_nothing_of_the_time_between() -> None:
    assert told(proofs({0: [900], 1: [901], 2: [902], 4: [1], 5: [2], 6: [3]}), 7) == "-w---w-"


def test_the_same_ids_in_another_counting_do_not_fill_a_gap() -> None:
    assert told(proofs({0: [1], 1: [2, 3], 2: [4], 4: [1], 5: [3], 6: [4], 7: [5]}), 8) == "-w--llw-"


def test_ids_that_count_anew_in_mid_minute_do_not_fill_a_gap() -> None:
    ids: Ids = {0: [5], 1: [6], 2: [8], 3: [9, 1], 4: [*range(2, 5)], 5: [5, 6, 7], 6: [8, 9, 10], 7: [11], 8: [12]}
    assert told(proofs(ids), 9) == "-------w-"


def test_an_id_in_two_minutes_leaves_those_between_unproved() -> None:
    ids: Ids = {0: [1], 1: [2], 2: [3], 3: [4], 4: [5], 5: [3, 6], 6: [7], 7: [8]}
    assert told(proofs(ids), 8) == "-w----w-"


def test_missing_ids_disprove_only_where_every_minute_is_claimed() -> None:
    ids: Ids = {0: [1], 1: [2], 5: [9], 6: [10]}
    assert told(proofs(ids), 7) == "-lllll-"
    assert told(proofs(ids, set(range(7)) - {3}), 7) == "-------"  # they may all be of minute 3
    assert proofs(ids).gaps == [MissingIds(3, 8, DumpPeriod(MINUTE, 6 * MINUTE))]
    assert proofs(ids, {0, 1, 5, 6}).gaps == []


@pytest.mark.parametrize("kind", [IdKind.ORDERED, IdKind.OPAQUE])
def test_other_ids_prove_nothing(kind: IdKind) -> None:
    assert told(proofs({0: [1], 1: [2], 3: [9], 4: [10]}, kind=kind), 5) == "-----"


def test_minutes_that_nobody_speaks_of_can_be_whole() -> None:
    assert list(proofs({0: [1], 4: [2], 6: [9]}, set()).whole_minutes()) == [MINUTE, 2 * MINUTE, 3 * MINUTE]


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        ([[1], [2], [3, 4]], IdKind.CONTIGUOUS),
        ([[1]], IdKind.CONTIGUOUS),
        ([[1], [2], [9]], IdKind.CONTIGUOUS),
        ([[2000], [2001], [3000], [3001]], IdKind.CONTIGUOUS),
        ([[1], [9]], IdKind.ORDERED),
        ([[3, 7], [11, 15, 16]], IdKind.ORDERED),
        ([["a"], [1, 2, 3]], IdKind.OPAQUE),
    ],
)
def test_what_ids_tell_is_found_by_looking(ids: list[list[int | str]], kind: IdKind) -> None:
    assert kind_of(seen(*trade_id) for trade_id in ids) is kind
