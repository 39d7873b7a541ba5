"""Canonical decimals."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from market_strategies import decimals, signed

from market.decimals import parse_decimal, parse_sum, plain
from market.errors import MalformedError


@given(signed(40), st.integers(-30, 30))
def test_the_plain_form_is_canonical_and_keeps_the_value(value: Decimal, shift: int) -> None:
    sign, digits, exponent = value.as_tuple()
    text = plain(Decimal((sign, digits, int(exponent) + shift)))
    assert Fraction(text) == Fraction(value) * Fraction(10) ** shift
    assert set(text) <= set("-0123456789.")
    assert not text.startswith("-0") or text.startswith("-0.")
    assert "." not in text or text[-1] not in "0."
    assert text.lstrip("-").split(".")[0] == str(abs(int(Fraction(text))))


@given(decimals(40), st.integers(0, 20))
def test_equal_values_have_equal_texts(value: Decimal, zeros: int) -> None:
    assert plain(Decimal(format(value, "f") + "0" * zeros)) == plain(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.00", "0"), ("-0.00", "0"), ("0E-20", "0"), ("0E+5", "0"), ("100", "100"), ("1E+3", "1000"), ("10", "10"),
     ("1E-10", "0.0000000001"), ("27000.10", "27000.1"), ("0.5", "0.5"), ("-0.50", "-0.5"), ("1.000", "1")],
)  # fmt: skip
def test_known_texts(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


@given(decimals(40))
def test_prices_are_read_exactly(value: Decimal) -> None:
    assert Fraction(parse_decimal(format(value, "f"))) == Fraction(value)


@given(st.text(max_size=12) | st.text("0123456789.eE+-_ ", max_size=8))
def test_any_text_is_a_decimal_of_digits_or_malformed(text: str) -> None:
    whole, point, part = text.partition(".")
    digits = set("0123456789")
    is_plain = bool(whole) and set(whole + part) <= digits and bool(part) == bool(point)
    for parse in (parse_decimal, parse_sum):
        if is_plain:
            assert Fraction(parse(text)) == Fraction(text)
        else:
            with pytest.raises(MalformedError):
                parse(text)


def test_only_a_signed_sum_has_a_sign() -> None:
    assert parse_sum("-1.5", signed=True) == Decimal("-1.5")
    for text in ("-1.5", "--1", "-", "+1"):
        with pytest.raises(MalformedError):
            parse_sum(text)
    with pytest.raises(MalformedError):
        parse_sum("+1", signed=True)
