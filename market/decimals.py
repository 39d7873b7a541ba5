"""Exact decimals: prices, sizes and their sums, never rounded and never floats.

Python's default context rounds at 28 digits, so no operator of `Decimal` is used on market data: all
arithmetic goes through `EXACT`, which raises `decimal.Inexact` rather than round.
"""

from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow

from market.errors import MalformedError

MAX_TEXT = 81
"""Longest accepted decimal text: 40 digits, the point, 40 digits."""

EXACT = Context(prec=600, Emin=-999_999, Emax=999_999, traps=[Inexact, InvalidOperation, Overflow])
ZERO = Decimal(0)


def parse_decimal(text: str) -> Decimal:
    """Read a plain, unsigned decimal such as ``27000.10``; exponents, signs, NaN and overlong texts are malformed."""
    if len(text) <= MAX_TEXT and text.isascii() and text.replace(".", "", 1).isdigit():
        return Decimal(text)
    raise MalformedError(f"not a plain decimal: {text[:100]!r}")


def plain(value: Decimal) -> str:
    """Write the canonical plain form: no exponent, no trailing zeros, no negative zero (``27000.1``)."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
