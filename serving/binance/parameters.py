"""A request's parameters as Binance reads them, and its errors. Pure.

Source: Binance's spot documentation, `rest-api.md` and `errors.md`: codes are fixed, words may vary.
"""

from collections.abc import Collection, Sequence
from http import HTTPStatus

import orjson

from market.fields import MAX_TIME_US

DEFAULT_EXCHANGE = "binance"
"""Whose data ``/api/v3`` gives."""
DEFAULT_LIMIT, MAX_LIMIT = 500, 1_000
_LEGAL = "^[0-9]{1,20}$"
_MAX_DIGITS = 20
_MICROSECONDS_FROM = 10**14
"""A time of so much is in microseconds: in milliseconds it would lie in the year 5138."""


class SpotApiError(Exception):
    """Told to the client as ``{"code": …, "msg": …}``."""

    def __init__(self, code: int, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    @property
    def body(self) -> bytes:
        """The answer's body."""
        return orjson.dumps({"code": self.code, "msg": str(self)})


def invalid_symbol(detail: str = "") -> SpotApiError:
    """No such market."""
    return SpotApiError(-1121, f"Invalid symbol.{detail and ' '}{detail}")


def invalid(name: str, detail: str = "") -> SpotApiError:
    """A parameter that cannot be."""
    return SpotApiError(-1130, f"Data sent for parameter '{name}' is not valid{detail and ': '}{detail}.")


class SpotParameters:
    """The parameters that were sent. All raise `SpotApiError`."""

    def __init__(self, pairs: Sequence[tuple[str, str]], known: Collection[str], time_unit: str = "") -> None:
        self._values = dict(pairs)
        self.is_micro = time_unit.upper() == "MICROSECOND"
        """Whether the answer's times are microseconds, by the header ``X-MBX-TIME-UNIT``."""
        if len(self._values) < len(pairs):
            raise SpotApiError(-1101, "Duplicate values for a parameter detected.")
        read = [name for name in self._values if name in known]
        if len(read) < len(self._values):
            sent = len(self._values)
            raise SpotApiError(
                -1104, f"Not all sent parameters were read; read '{len(read)}' parameter(s) but was sent '{sent}'."
            )
        for name, value in pairs:
            if not value:
                raise SpotApiError(-1105, f"Parameter '{name}' was empty.")

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str:
        """A parameter that has to be there."""
        if name not in self._values:
            raise SpotApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return self._values[name]

    def optional(self, name: str, default: str = "") -> str:
        """A parameter that need not be there."""
        return self._values.get(name, default)

    def number(self, name: str) -> int | None:
        """A whole number, or None where it was not sent."""
        text = self._values.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
            raise SpotApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{_LEGAL}'.")
        return int(text)

    def time_ms(self, name: str) -> int | None:
        """A time, which may be sent in milliseconds or in microseconds; at most the greatest that a record can have."""
        value = self.number(name)
        if value is None:
            return None
        return min(value // 1_000 if value >= _MICROSECONDS_FROM else value, MAX_TIME_US // 1_000 - 1)

    @property
    def limit(self) -> int:
        """How many rows; more than `MAX_LIMIT` are as many."""
        limit = self.number("limit")
        if limit == 0:
            raise invalid("limit")
        return DEFAULT_LIMIT if limit is None else min(limit, MAX_LIMIT)

    def names(self) -> list[str] | None:
        """The market or markets of ``symbol`` or ``symbols`` (a JSON array); None: all."""
        if "symbol" in self and "symbols" in self:
            raise SpotApiError(-1128, "Combination of optional parameters invalid: send symbol or symbols.")
        if "symbols" in self:
            return array_of_texts("symbols", self.text("symbols"))
        return [self.text("symbol")] if "symbol" in self else None


def array_of_texts(name: str, text: str) -> list[str]:
    """A parameter that is a JSON array of texts, each once."""
    try:
        texts = orjson.loads(text)
    except orjson.JSONDecodeError:
        texts = None
    if not isinstance(texts, list) or not texts or not all(isinstance(each, str) for each in texts):
        raise SpotApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '[\"A\",\"B\"]'.")
    if len(set(texts)) < len(texts):
        raise SpotApiError(-1151, "Symbol is present multiple times in the list.")
    return texts
