"""What docs/formats.md says of each field: the words stand there once, and the schemas take them over."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
_ROW = re.compile(r"^\| (`[^|]*`)\?* *\| (.*) \|$", re.MULTILINE)
_NAME = re.compile(r"`([^`]+)`")


def meanings(section: str) -> dict[str, str]:
    """Field or header → what the tables under ``## section`` say of it."""
    (text,) = (
        part for part in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE) if part.startswith(f"{section}\n")
    )
    return {name: meaning for names, meaning in _ROW.findall(text) for name in _NAME.findall(names)}


def opening(section: str) -> str:
    """The first paragraph under ``## section``."""
    return PAGE.read_text().split(f"\n## {section}\n", 1)[1].split("\n\n", 1)[0].strip()
