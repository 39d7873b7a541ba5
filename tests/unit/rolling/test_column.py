"""Columns of exact decimals and ids against plain lists, and the one rounding there is."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.rolling.column import Column, IdColumn
from processors.rolling.ticker import quotient

VALUES = st.one_of(
    st.decimals(min_value=0, max_value=10**6, places=2),
    st.decimals(min_value=0, max_value=10**40, places=20),
    st.decimals(min_value=0, max_value=1, places=80),
)
PLACES = st.integers(0, 20)
IDS = st.one_of(st.none(), st.sampled_from(["0", "7", "007", "-1", "-2", "9" * 18, "9" * 19, "٣", "a"]))


@given(puts=st.lists(st.tuples(PLACES, VALUES)), since=PLACES, until=PLACES)
@settings(max_examples=50, deadline=None)
def test_a_column_is_a_list_of_decimals(puts: list[tuple[int, Decimal]], since: int, until: int) -> None:
    column, plain = Column(), [Decimal(0)] * (max((at for at, _ in puts), default=-1) + 1)
    for at, value in puts:
        column.put(at, value)
        plain[at] = value
    assert [column[at] for at in range(len(column))] == plain
    some = plain[since:until]
    assert Fraction(column.total(since, until)) == sum(map(Fraction, some))
    if some:
        assert (column.greatest(since, until), column.least(since, until)) == (max(some), min(some))


@given(puts=st.lists(st.tuples(PLACES, IDS), min_size=1), since=PLACES, until=PLACES)
def test_ids_come_back_as_they_were_written(puts: list[tuple[int, str | None]], since: int, until: int) -> None:
    column = IdColumn()
    filled = [(at, None) for at in range(max(at for at, _ in puts) + 1)]
    for at, trade_id in filled + puts:
        column.put(at, trade_id)
    plain = dict(filled + puts)
    assert [column[at] for at in range(len(filled))] == [plain[at] for at in range(len(filled))]
    until = min(until, len(filled))
    some = [plain[at] for at in range(since, until) if plain[at] is not None]
    assert (column.first(since, until), column.last(since, until)) == ((some[0], some[-1]) if some else (None, None))


@given(above=st.decimals(-(10**9), 10**9, places=9), below=st.decimals(0, 10**9, places=9), places=st.integers(0, 20))
def test_a_quotient_is_rounded_half_even_once(above: Decimal, below: Decimal, places: int) -> None:
    if not below:
        assert quotient(above, below, places) is None
        return
    rounded = round(Fraction(above) / Fraction(below) * 10**places)  # Python rounds half to even
    found = quotient(above, below, places)
    assert found is not None
    assert Fraction(found) == Fraction(rounded, 10**places)


def test_ties_go_to_the_even_neighbour() -> None:
    assert [quotient(Decimal(n), Decimal(8), 2) for n in (1, 3, -1, -3)] == [
        Decimal(text) for text in ("0.12", "0.38", "-0.12", "-0.38")
    ]
