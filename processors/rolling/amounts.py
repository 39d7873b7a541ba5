"""Exact amounts as whole numbers: a sum is one addition of integers, and nothing is ever rounded.

Prices and volumes are whole multiples of 10^-18, quote volumes of 10^-22: `market.limits` lets no finer ones through.
"""

import re
from decimal import Decimal
from functools import lru_cache

from market.decimals import EXACT
from market.limits import PRICE, QUOTE_VOLUME, VOLUME

PRICE_PLACES = PRICE.places
QUOTE_PLACES = QUOTE_VOLUME.places
assert VOLUME.places == PRICE_PLACES  # noqa: S101  # else their quotient would need a factor

_PRICE = rf"[0-9]{{1,{PRICE.whole}}}(?:\.[0-9]{{1,{PRICE_PLACES}}})?"
_VOLUME = rf"[0-9]{{1,{VOLUME.whole}}}(?:\.[0-9]{{1,{VOLUME.places}}})?"
_QUOTE = rf"[0-9]{{1,{QUOTE_VOLUME.whole}}}(?:\.[0-9]{{1,{QUOTE_PLACES}}})?"
are_usual = re.compile(f"(?:{_PRICE} ){{4}}{_VOLUME} {_QUOTE} {_VOLUME} {_QUOTE}").fullmatch
"""Whether a candle's texts, joined by spaces in the order of `Sum`, are within their limits by their form alone."""


def whole(text: str, places: int) -> int:
    """The multiple of 10^-`places` that a text of a usual form says."""
    before, _, behind = text.partition(".")
    return int(before + behind.ljust(places, "0"))


def whole_of(value: Decimal, places: int) -> int:
    """The same of a decimal within its limit."""
    return int(EXACT.scaleb(value, places))


def text_of(number: int, places: int) -> str:
    """The canonical plain decimal of a multiple of 10^-`places`."""
    if number < 0:
        return "-" + text_of(-number, places)
    digits = str(number)
    if len(digits) <= places:
        digits = digits.rjust(places + 1, "0")
    behind = digits[-places:].rstrip("0")
    return f"{digits[:-places]}.{behind}" if behind else digits[:-places]


@lru_cache(maxsize=32_768)
def price_text(number: int) -> str:
    """`text_of` a price; kept, because the prices of windows change seldom."""
    return text_of(number, PRICE_PLACES)


def quotient(dividend: int, divisor: int) -> int:
    """`dividend / divisor`, rounded half-even once; `divisor` is greater than 0."""
    result, rest = divmod(dividend, divisor)
    twice = 2 * rest
    return result + 1 if twice > divisor or (twice == divisor and result % 2) else result
