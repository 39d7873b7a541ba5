"""``candlewick settings``: what can be set."""

import sys

from rich.table import Table

from candlewick.common import NONE_GIVEN, Common, single_command
from candlewick.tables import print_table
from runtime.figures import FIGURES, metric_name
from runtime.settings import ENV_PREFIX, Settings, variable


def show(*, markdown: bool = False, metrics: bool = False, common: Common = NONE_GIVEN) -> None:
    """Show every setting: its variable, its meaning, its default, and its value now.

    ```
    candlewick settings
    candlewick settings --markdown    (the table of the README)
    candlewick settings --metrics     (what stages log and export)
    ```

    Args:
        markdown: print name, meaning and default as a Markdown table.
        metrics: print the figures of progress lines and metrics as a Markdown table instead.
        common: the settings that are shown.
    """
    if metrics:
        sys.stdout.write(metrics_table())
        return
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
        (variable(name), field.description or "", "" if field.default is None else str(field.default))
        for name, field in Settings.model_fields.items()
    ]


def markdown_table() -> str:
    """The settings as the README shows them."""
    lines = ["| setting | meaning | default |", "|---|---|---|"]
    lines += [f"| `{name}` | {meaning} | {f'`{default}`' if default else ''} |" for name, meaning, default in rows()]
    return "\n".join(lines) + "\n"


def metrics_table() -> str:
    """The figures of all stages: their names in the progress line and as metrics."""
    lines = ["| in the progress line | metric | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | `{metric_name(name)}` | {figure.meaning} |" for name, figure in FIGURES.items()]
    return "\n".join(lines) + "\n"
