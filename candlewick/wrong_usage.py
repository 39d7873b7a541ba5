"""A command line that cannot be understood, told in one sentence."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, get_args

from cyclopts.exceptions import CoercionError, CycloptsError

_FORMS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    timedelta: "a time span such as 90s, 2m or 1h",
    datetime: "a time such as 2026-01-31T12:00Z",
}


def usage_sentence(error: CycloptsError) -> str:
    """What is wrong and what may be given instead."""
    if isinstance(error, CoercionError) and error.token is not None and error.msg is None:
        kinds = get_args(error.target_type) or (error.target_type,)
        *forms, last = [form for kind in kinds for form in _forms(kind)] or [""]
        if last:
            name = error.token.keyword or (error.argument.name if error.argument else "an argument")
            return f"{name} is '{error.token.value}': give {' or '.join(filter(None, [', '.join(forms), last]))}"
    return " ".join(str(error).split())


def _forms(kind: Any) -> Iterator[str]:
    if kind in _FORMS:
        yield _FORMS[kind]
    elif isinstance(kind, type) and issubclass(kind, Enum):
        yield from (str(member.value) for member in kind)
