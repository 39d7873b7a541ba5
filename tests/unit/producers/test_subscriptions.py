"""What a connection subscribes to, after the exchange refused some of it."""

from producers.exchange import Message, Opening
from producers.feed.subscriptions import SubscriptionPlan

OPENING = Opening("/", ("A B", "C"), singly=("A", "B", "C"))


def plan() -> SubscriptionPlan:
    return SubscriptionPlan({"A": "A-X", "B": "B-X", "C": "C-X"})


def test_a_symbol_that_is_named_is_left_out_and_the_others_of_its_request_are_asked_for_again() -> None:
    subscribed = plan()
    refusal = subscribed.refuse(Message(rejected="no", untaken=["A", "B"], culprit="B"))
    assert refusal == (["B"], True, True)
    assert list(subscribed.symbols) == ["A", "C"]
    assert subscribed.frames(OPENING) == OPENING.frames


def test_the_connection_goes_on_where_nothing_else_was_refused() -> None:
    subscribed = plan()
    assert subscribed.refuse(Message(rejected="no", untaken=["B"])) == (["B"], False, True)
    assert subscribed.refuse(Message(rejected="no", untaken=["B"])) == ((), False, False), "it is left out already"


def test_where_none_is_named_each_is_asked_for_by_itself_once() -> None:
    subscribed = plan()
    assert subscribed.refuse(Message(rejected="no", untaken=["A", "B"])) == ((), True, True)
    assert subscribed.frames(OPENING) == OPENING.singly
    assert subscribed.refuse(Message(rejected="no", untaken=["B"])) == (["B"], False, True)
    subscribed.taken()
    assert subscribed.frames(OPENING) == OPENING.frames
    assert list(subscribed.symbols) == ["A", "C"]


def test_what_is_not_understood_ends_the_connection_as_any_failure() -> None:
    subscribed = plan()
    assert subscribed.refuse(Message(rejected="too many requests")) == ((), True, False)
    assert subscribed.frames(OPENING) == OPENING.frames
    subscribed.refuse(Message(rejected="?", untaken=["A", "B"], culprit="Z"))
    assert subscribed.refuse(Message(rejected="?", untaken=["A", "B"], culprit="Z")) == ((), True, False)
    assert list(subscribed.symbols) == ["A", "B", "C"]


def test_a_connection_without_symbols_ends() -> None:
    subscribed = SubscriptionPlan({"A": "A-X"})
    assert subscribed.refuse(Message(rejected="no", untaken=["A"])) == (["A"], True, True)
    assert not subscribed.symbols


def test_an_exchange_that_cannot_ask_singly_asks_as_before() -> None:
    subscribed = plan()
    subscribed.refuse(Message(rejected="no", untaken=["A", "B"]))
    assert subscribed.frames(OPENING._replace(singly=())) == OPENING.frames
