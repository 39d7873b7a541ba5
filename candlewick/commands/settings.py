"""``candlewick settings``: what can be set."""

import sys

from rich.table import Table

from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.tables import print_table
from runtime.settings import ENV_PREFIX, Settings


def show(*, markdown: bool = False, common: Common = NONE_GIVEN) -> None:
    """Show every setting: its variable, its meaning, its default, and what it is now.

    ```
    candlewick settings
    candlewick settings --markdown    (the table of the README)
    ```

    Args:
        markdown: print name, meaning and default as a Markdown table.
        common: the settings that are shown.
    """
    if markdown:
        sys.stdout.write(markdown_table())
        return
    settings = common.settings()
    table = Table("setting", "meaning", "default", "now")
    for name, meaning, default in rows():
        value = getattr(settings, name.removeprefix(ENV_PREFIX).lower())
        table.add_row(name, meaning, default, "" if value is None else str(value))
    print_table(table)


app = single_command("settings", show)


def rows() -> list[tuple[str, str, str]]:
    """(variable, meaning, default) of every setting."""
    return [
        (f"{ENV_PREFIX}{name.upper()}", field.description or "", "" if field.default is None else str(field.default))
        for name, field in Settings.model_fields.items()
    ]


def markdown_table() -> str:
    """The settings as the README shows them."""
    lines = ["| setting | meaning | default |", "|---|---|---|"]
    lines += [f"| `{name}` | {meaning} | {f'`{default}`' if default else ''} |" for name, meaning, default in rows()]
    return "\n".join(lines) + "\n"
