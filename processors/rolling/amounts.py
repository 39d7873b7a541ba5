"""Exact amounts as whole numbers: a sum is one addition of integers, and nothing is ever rounded.

Each market has a scale of its own: as many places after the point as its candles had so far. So the numbers are short,
and the text of one needs nothing but a point. `market.limits` bounds the scales.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from market.limits import PRICE, QUOTE_VOLUME, VOLUME

Texts = Sequence[str]
"""A candle's amounts in the order of `processors.rolling.sums.Sum`."""
PRICES, VOLUMES, QUOTES = (0, 1, 2, 3), (4, 6), (5, 7)
"""Their places in `Texts`."""

_POWERS: list[int] = [10**places for places in range(QUOTE_VOLUME.places + 1)]
_PRICE = rf"[0-9]{{1,{PRICE.whole}}}(?:\.[0-9]{{1,{PRICE.places}}})?"
_VOLUME = rf"[0-9]{{1,{VOLUME.whole}}}(?:\.[0-9]{{1,{VOLUME.places}}})?"
_QUOTE = rf"[0-9]{{1,{QUOTE_VOLUME.whole}}}(?:\.[0-9]{{1,{QUOTE_VOLUME.places}}})?"
are_usual = re.compile(f"(?:{_PRICE} ){{4}}{_VOLUME} {_QUOTE} {_VOLUME} {_QUOTE}").fullmatch
"""Whether a candle's texts, joined by spaces in the order of `Sum`, are within their limits by their form alone."""


class Scale(NamedTuple):
    """A number n of a market says n * 10^-places; prices, volumes and quote volumes have their own places."""

    price: int
    volume: int
    quote: int

    def holding(self, texts: Texts) -> "Scale":
        """The scale that holds these amounts too."""
        places = [len(text.partition(".")[2]) for text in texts]
        return Scale(
            max(self.price, *(places[n] for n in PRICES)),
            max(self.volume, *(places[n] for n in VOLUMES)),
            max(self.quote, *(places[n] for n in QUOTES)),
        )


COARSEST = Scale(0, 0, 0)


def whole(text: str, places: int) -> int:
    """The multiple of 10^-`places` that a text of a usual form says. Raises `ValueError` if it is between two."""
    before, _, behind = text.partition(".")
    more = places - len(behind)
    if more:
        if more < 0:
            raise ValueError(f"{text} has more than {places} places")
        return int(before + behind) * _POWERS[more]
    return int(before + behind)


def text_of(number: int, places: int) -> str:
    """The canonical plain decimal of a multiple of 10^-`places`."""
    digits = str(number)
    if number < 0:
        return "-" + text_of(-number, places)
    if not places:
        return digits
    if len(digits) <= places:
        digits = digits.rjust(places + 1, "0")
    if digits[-1] != "0":
        return f"{digits[:-places]}.{digits[-places:]}"
    behind = digits[-places:].rstrip("0")
    return f"{digits[:-places]}.{behind}" if behind else digits[:-places]


price_text = lru_cache(maxsize=32_768)(text_of)
"""`text_of` a price; kept, because the prices of windows change seldom."""


@cache
def texts_at(places: int) -> Callable[[int], str]:
    """`text_of` for so many places, in half the time for nearly all numbers: those with every digit in use."""
    before, behind, unit = slice(-places), slice(-places, None), 10**places

    def text(number: int) -> str:
        digits = str(number)
        if digits[-1] == "0":
            return text_of(number, places)
        if number > unit:
            return f"{digits[before]}.{digits[behind]}"
        return "0." + digits.rjust(places, "0") if number > 0 else "-" + text(-number)

    return text if places else str


def quotient(dividend: int, divisor: int) -> int:
    """`dividend / divisor`, rounded half-even once; `divisor` is greater than 0."""
    result, rest = divmod(dividend, divisor)
    twice = rest + rest
    return result if twice < divisor or (twice == divisor and not result % 2) else result + 1
