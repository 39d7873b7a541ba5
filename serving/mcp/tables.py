"""Answers of the API in the form that assistants are given: short, and saying how to get the rest. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def tabled(records: Sequence[Json]) -> Json:
    """Records as ``{"same": …, "columns": …, "rows": …}``: names stand once, and values that all have stand in `same`.

    A record without a value has null there. It takes about a third of the records' own JSON.
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    same = {
        name: records[0][name]
        for name in names
        if len(records) > 1 and name in records[0] and all(record.get(name) == records[0][name] for record in records)
    }
    columns = [name for name in names if name not in same]
    return {"same": same, "columns": columns, "rows": [[record.get(name) for name in columns] for record in records]}


def shortened(answer: Json, name: str) -> Json:
    """The API's answer, its records under `name` as a table, with all that it tells of source and coverage.

    ``rest`` says how to go on where there is more.
    """
    records = answer[name]
    told = {key: value for key, value in answer.items() if key not in {name, "next_cursor", "next_from_ms"}}
    if answer.get("next_cursor") is not None:
        told["rest"] = f"there are more: ask the same again with cursor={answer['next_cursor']}"
    if answer.get("next_from_ms") is not None:
        told["rest"] = f"there are more: ask the same again with from_time={iso_time(answer['next_from_ms'])}"
    return told | {name: tabled(records)}


def time_ms(text: str | None) -> int | None:
    """UTC milliseconds of ``2026-01-31T12:00Z`` (UTC where it names no zone), or of milliseconds.

    Raises `ValueError` for another text.
    """
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    moment = datetime.fromisoformat(text)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // timedelta(milliseconds=1)


def iso_time(ms: int) -> str:
    """The time as text that `time_ms` takes."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
