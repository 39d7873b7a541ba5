"""What may be given instead of a wrong setting, in words."""

from collections.abc import Mapping
from typing import Any

from pydantic.fields import FieldInfo


def allowed_words(error: Mapping[str, Any], field: FieldInfo) -> str:
    """What `field` takes, where pydantic refused a value of it with `error` (one of `ValidationError.errors()`)."""
    context = error.get("ctx", {})
    match error["type"]:
        case "enum":
            return f"choose {context['expected'].replace(chr(39), '')}"
        case "value_error":
            return str(context["error"])
    if "bool" in str(field.annotation):
        return "give true or false"
    if "int" in str(field.annotation):
        return f"give a whole number{_bounds(field)}"
    if "float" in str(field.annotation):
        return f"give a number{_bounds(field)}"
    return str(error["msg"])


def _bounds(field: FieldInfo) -> str:
    bounds = {
        name: getattr(rule, name) for rule in field.metadata for name in ("ge", "gt", "le") if hasattr(rule, name)
    }
    lower = f" from {bounds['ge']}" if "ge" in bounds else f" greater than {bounds['gt']}" if "gt" in bounds else ""
    return lower + (f" to {bounds['le']}" if "le" in bounds else "")
