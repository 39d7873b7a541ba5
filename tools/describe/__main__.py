"""Write docs/asyncapi.yaml and docs/schemas: ``python -m describe``; with ``release`` keep them as this version's."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import yaml

from describe.asyncapi import document
from describe.records import record_schemas

DOCS = Path(__file__).parents[2] / "docs"
RELEASED = DOCS / "schemas" / "released"


def files() -> dict[str, str]:
    """Path below docs/ → text, of all that is generated."""
    schemas = {f"schemas/{name}.json": _json(schema) for name, schema in record_schemas().items()}
    parts = json.loads(json.dumps(document()))  # no object twice, or YAML would refer back to it
    text = yaml.safe_dump(parts, sort_keys=False, width=120, allow_unicode=True)
    opening = "# Made of the models by `make schemas`; what the topics hold is explained in formats.md.\n"
    return {"asyncapi.yaml": opening + text, **schemas}


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _write() -> None:
    for name, text in files().items():
        (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / name).write_text(text)


def _release() -> None:
    """A version's schemas are never changed again: other programs, and records in the log, hold to them."""
    folder = RELEASED / version("candlewick")
    if folder.exists():
        sys.exit(f"{folder.name} is released: raise the version first")
    folder.mkdir(parents=True)
    for name, schema in record_schemas().items():
        (folder / f"{name}.json").write_text(_json(schema))


if __name__ == "__main__":
    if sys.argv[1:] == ["release"]:
        _release()
    else:
        _write()
