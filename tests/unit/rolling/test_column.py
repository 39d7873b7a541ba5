"""Columns of exact decimals against plain lists, and the one rounding there is."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.rolling.column import Column
from processors.rolling.ticker import quotient

VALUES = st.one_of(
    st.decimals(min_value=0, max_value=10**6, places=2),
    st.decimals(min_value=0, max_value=10**40, places=20),
    st.decimals(min_value=0, max_value=1, places=80),
)
EDITS = st.lists(st.tuples(st.sampled_from(["append", "insert", "replace", "drop"]), VALUES, st.integers(0, 99)))


@given(edits=EDITS, since=st.integers(0, 20))
@settings(max_examples=50, deadline=None)
def test_a_column_is_a_list_of_decimals(edits: list[tuple[str, Decimal, int]], since: int) -> None:
    column, plain = Column(), []
    for what, value, number in edits:
        at = number % len(plain) if plain else 0
        if what == "append" or not plain:
            column.insert(len(plain), value)
            plain.append(value)
        elif what == "insert":
            column.insert(at, value)
            plain.insert(at, value)
        elif what == "replace":
            column.replace(at, value)
            plain[at] = value
        else:
            column.drop(at)
            del plain[:at]
    assert [column[at] for at in range(len(column))] == plain
    rest = plain[since:]
    assert Fraction(column.total(since)) == sum(map(Fraction, rest))
    if rest:
        assert (column.greatest(since), column.least(since)) == (max(rest), min(rest))


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
