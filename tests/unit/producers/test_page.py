"""What a page of history proves."""

from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from market.trade import Side, Trade
from producers.exchange import RefusedTrade, TradesPage
from producers.feed import page as pages
from producers.feed.page import PageRows


def trade(number: int, price: int = 1) -> Trade:
    return Trade(
        exchange="x", symbol="A-B", trade_id=str(number), price=Decimal(price), qty=Decimal(1), side=Side.BUY,
        time_us=number,
    )  # fmt: skip


def refused(number: int | None) -> RefusedTrade:
    return RefusedTrade(b"?", "it is none", "A-B", number)


def read_page(known: int, rows: list[Trade | RefusedTrade]) -> PageRows:
    return pages.read_page(known, TradesPage(rows, is_whole=True))


def absent(*numbers: int, known: int = 4) -> list[tuple[int, int]]:
    return read_page(known, [trade(number) for number in numbers]).absent


def test_only_what_lies_between_two_rows_is_absent() -> None:
    assert absent(4, 5, 9, 12) == [(6, 8), (10, 11)]
    assert absent(7, 9) == [(8, 8)], "nothing before the first row"
    assert absent(4) == absent() == []


def test_a_page_that_does_not_begin_with_the_known_id_is_told() -> None:
    assert read_page(4, [trade(4), trade(6)]).begins
    assert read_page(4, [trade(5)]).begins, "there is nothing between 4 and 5"
    assert not read_page(4, [trade(6)]).begins
    assert read_page(4, [trade(3), trade(4)]).begins, "some exchanges give older ones too"
    assert read_page(4, [trade(3), trade(4)]).rows == 1
    assert not read_page(4, []).begins
    assert read_page(4, [trade(7)]).first == 7


def test_rows_out_of_order_prove_nothing_and_are_sorted() -> None:
    page = read_page(4, [trade(4), trade(9), trade(6)])
    assert [trade.trade_id for trade in page.trades] == ["4", "6", "9"]
    assert (page.absent, page.begins) == ([], False)


def test_a_row_told_twice_counts_once() -> None:
    page = read_page(4, [trade(4), trade(4), trade(7), trade(7)])
    assert [trade.trade_id for trade in page.trades] == ["4", "7"]
    assert (page.absent, page.conflicts, page.begins) == ([(5, 6)], [], True)


def test_an_id_with_two_contents_counts_as_first_told_and_proves_nothing_around_it() -> None:
    page = read_page(4, [trade(4), trade(7), trade(7, price=2), trade(9), trade(11)])
    assert [trade.price for trade in page.trades if trade.trade_id == "7"] == [1]
    assert (page.absent, page.conflicts) == ([(10, 10)], [7])


def test_a_row_that_is_no_trade_proves_by_its_id_that_it_is_not_absent() -> None:
    page = read_page(4, [trade(4), refused(6), trade(8)])
    assert (page.absent, [one.number for one in page.refused]) == ([(5, 5), (7, 7)], [6])


def test_around_a_row_without_an_id_nothing_is_proved() -> None:
    page = read_page(4, [trade(4), refused(None), trade(8), trade(10)])
    assert (page.absent, page.begins) == ([(9, 9)], True)
    assert not read_page(4, [refused(None), trade(4)]).begins


rows = st.lists(
    st.one_of(
        st.builds(trade, st.integers(1, 30), st.sampled_from([1, 1, 1, 2])),
        st.builds(refused, st.one_of(st.none(), st.integers(1, 30))),
    ),
    max_size=12,
)


@given(st.integers(1, 10), rows)
def test_whatever_a_page_holds_what_is_called_absent_stands_between_two_neighbours(known: int, rows: list) -> None:
    page = read_page(known, rows)
    numbers = [row.number if isinstance(row, RefusedTrade) else int(row.trade_id) for row in rows]
    neighbours = set(pairwise(numbers))
    for first, last in page.absent:
        assert (first - 1, last + 1) in neighbours
        assert not {number for number in numbers if number is not None and first <= number <= last}
