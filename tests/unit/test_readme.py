"""What the README says of settings and commands is true."""

import re
from pathlib import Path

from candlewick.cli import _COMMANDS
from candlewick.commands.settings import markdown_table

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_settings_table_is_the_generated_one() -> None:
    assert markdown_table().strip() in README, "run `candlewick settings --markdown` and put its table in"


def test_every_command_it_names_is_there() -> None:
    named = set(re.findall(r"^candlewick (\w+)", README, flags=re.MULTILINE)) | set(
        re.findall(r"`candlewick (\w+)", README)
    )
    assert named - {"COMMAND"} <= set(_COMMANDS)
