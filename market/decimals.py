"""Exact decimals: prices, sizes and their sums, never rounded and never floats.

Python's default context rounds at 28 digits, so no operator of `Decimal` is used on market data: all
arithmetic goes through `EXACT`, which raises `decimal.Inexact` rather than round.
"""

import re
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow

from market.errors import MalformedError

EXACT = Context(prec=600, Emin=-999_999, Emax=999_999, traps=[Inexact, InvalidOperation, Overflow])
ZERO = Decimal(0)

PLAIN = r"[0-9]{1,40}(?:\.[0-9]{1,40})?"
"""The form of a price or size."""
SUM = r"-?[0-9]{1,100}(?:\.[0-9]{1,80})?"
"""The form of products of two prices or sizes, and of sums of 2^63 of them; only a ticker's changes have a sign."""
_is_plain = re.compile(PLAIN).fullmatch
_is_sum = re.compile(SUM).fullmatch


def parse_decimal(text: str) -> Decimal:
    """Read a price or size, as in ``27000.10``: at most 40 digits on either side of the point.

    Exponents, signs, NaN, spaces, a point without digits on both sides and longer texts are malformed.
    """
    if _is_plain(text):
        return Decimal(text)
    raise MalformedError(f"not a plain decimal of at most 40 + 40 digits: {text[:100]!r}")


def parse_sum(text: str, *, signed: bool = False) -> Decimal:
    """Read what is computed of prices and sizes: the same form, at most 100 digits before the point and 80 after."""
    if _is_sum(text) and (signed or text[0] != "-"):
        return Decimal(text)
    raise MalformedError(f"not a plain decimal of at most 100 + 80 digits: {text[:200]!r}")


def plain(value: Decimal) -> str:
    """Write the canonical plain form: no exponent, no trailing zeros, no negative zero (``27000.1``)."""
    text = str(value)
    if "E" in text:
        text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
