"""What README and the other documents say of settings and commands is true."""

import re
from pathlib import Path

import pytest

from candlewick.cli import _COMMANDS
from candlewick.commands.settings import markdown_table

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
    *(ROOT / "docs").glob("*.md"),
]


def test_the_settings_table_is_the_generated_one() -> None:
    assert markdown_table().strip() in DOCUMENTS[0].read_text(), (
        "run `candlewick settings --markdown` and put its table in"
    )


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_it_names_is_there(path: Path) -> None:
    named = set(re.findall(r"(?:^|`)candlewick ([a-z]+)", path.read_text(), flags=re.MULTILINE))
    assert named <= set(_COMMANDS)
