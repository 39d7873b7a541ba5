"""Which changes of a record's schema break with programs and records of an earlier version.

BACKWARD: a program of today reads what was written yesterday. FORWARD: a program of yesterday, still running or
rolled back, reads what is written today. A format may only gain optional fields; docs/formats.md has the rules.
"""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

_WORDS = {"title", "description", "examples", "$schema"}
_GREATER_IS_NARROWER = {"minimum", "minLength", "minItems"}
_LESS_IS_NARROWER = {"maximum", "maxLength", "maxItems"}
_INSIDE = ("items", "additionalProperties", "propertyNames")
_FIELDS = {"properties", "required", "$defs", "prefixItems", *_INSIDE}
_TODAY = "BACKWARD: {path} {what}: a program of today would refuse records that are in the log"
_YESTERDAY = "FORWARD: {path} {what}: a program of the release would refuse records of today"


def breaks(old: Schema, new: Schema, path: str = "the record") -> Iterator[str]:
    """One sentence for each incompatible change from the released schema `old` to `new`."""
    yield from _fields(old, new, path)
    for keyword in sorted((old.keys() | new.keys()) - _WORDS - _FIELDS - {"default"}):
        if old.get(keyword) != new.get(keyword):
            yield from _limit(keyword, old.get(keyword), new.get(keyword), path)
    for name in old.get("$defs", {}).keys() & new.get("$defs", {}).keys():
        yield from breaks(old["$defs"][name], new["$defs"][name], name)
    for keyword in _INSIDE:
        if (keyword in old) != (keyword in new):
            yield _TODAY.format(path=path, what=f"has another {keyword}")
        elif keyword in old:
            yield from breaks(old[keyword], new[keyword], f"{path}[{keyword}]")
    if len(columns := old.get("prefixItems", [])) != len(others := new.get("prefixItems", [])):
        yield _TODAY.format(path=path, what="has another number of columns")
    for place, (column, other) in enumerate(zip(columns, others, strict=False)):
        yield from breaks(column, other, f"{path}[{place}]")


def _fields(old: Schema, new: Schema, path: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    was_required, is_required = set(old.get("required", [])), set(new.get("required", []))
    for name in sorted(before.keys() | after.keys()):
        place = f"{path}.{name}"
        if name not in after:
            what = "was removed" if name in was_required else "was removed, which others would take for its default"
            yield _YESTERDAY.format(path=place, what=what)
        elif name not in before:
            if name in is_required:
                yield _TODAY.format(path=place, what="is new and required")
        else:
            if name in is_required - was_required:
                yield _TODAY.format(path=place, what="is required now")
            if name in was_required - is_required:
                yield _YESTERDAY.format(path=place, what="is optional now")
            elif before[name].get("default") != after[name].get("default"):
                yield f"BACKWARD: {place} has another default: records in the log without it would mean something else"
            yield from breaks(before[name], after[name], place)


def _limit(keyword: str, old: Any, new: Any, path: str) -> Iterator[str]:
    """A constraint that changed: narrower breaks BACKWARD, wider FORWARD, what cannot be compared both."""
    narrower = wider = True
    if keyword in ("type", "enum") and old is not None and new is not None:
        before, after = _values(old), _values(new)
        narrower, wider = bool(before - after), bool(after - before)
    elif keyword in _GREATER_IS_NARROWER | _LESS_IS_NARROWER:
        narrower = old is None or (new is not None and (new > old) == (keyword in _GREATER_IS_NARROWER))
        wider = not narrower
    elif old is None or new is None:
        narrower, wider = old is None, new is None
    what = f"has {keyword} {new!r} where it had {old!r}"
    if narrower:
        yield _TODAY.format(path=path, what=what)
    if wider:
        yield _YESTERDAY.format(path=path, what=what)


def _values(kind: Any) -> set[Any]:
    return set(kind) if isinstance(kind, list) else {kind}
