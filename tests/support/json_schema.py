"""Records held against docs/schemas by an independent validator."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


def _pattern(_: Any, pattern: str, instance: object, __: Any) -> Iterator[ValidationError]:
    """JSON Schema's patterns are those of ECMA-262, where ``$`` is the end; Python's lets a line feed follow it."""
    if isinstance(instance, str) and not re.search(pattern.removesuffix("$") + r"\Z", instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _is_whole(_: Any, value: object) -> bool:
    """JSON Schema takes 1.0 for a whole number; the codec, and this check, tell them apart."""
    return isinstance(value, int) and not isinstance(value, bool)


_Validator = extend(
    Draft202012Validator,
    {"pattern": _pattern},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole),
)


def validator(name: str) -> Any:
    """The validator of ``docs/schemas/<name>.json``."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    Draft202012Validator.check_schema(schema)
    return _Validator(schema)


def as_texts(headers: Any) -> dict[str, str | None]:
    """Headers as the schemas see them: the last of each name, as text."""
    return {name: None if value is None else value.decode(errors="replace") for name, value in headers}
