"""What commands share: settings as flags, times and time spans, help.

A command takes the settings' flags as one parameter, and asks it for its settings::

    @app.command
    async def candles(*, once: bool = False, common: Common = NONE_GIVEN) -> None:
        settings = common.settings()
"""

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Group, Parameter
from cyclopts.help import DefaultFormatter
from rich.console import Console, ConsoleOptions
from rich.markdown import Markdown

from market.fields import MAX_TIME_US
from runtime.errors import UsageError
from runtime.settings import Settings, load_settings, unknown_variables

_GROUP = Group(
    "Settings", help="Each is CANDLEWICK_NAME in the environment too; all of them: candlewick settings.", sort_key=100
)


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True, kw_only=True)
class Common:
    """Settings given as flags; the others come from the environment and files."""

    home: Annotated[Path | None, Parameter(help="data folder of the local stack")] = None
    kafka: Annotated[str | None, Parameter(help="Kafka bootstrap servers")] = None
    redis: Annotated[str | None, Parameter(help="Redis URL")] = None
    clickhouse: Annotated[str | None, Parameter(help="ClickHouse HTTP URL")] = None
    postgres: Annotated[str | None, Parameter(help="PostgreSQL URL with its database")] = None
    cold: Annotated[str | None, Parameter(help="cold store URL")] = None
    prefix: Annotated[str | None, Parameter(help="put before every topic, group and Redis key")] = None
    partitions: Annotated[int | None, Parameter(help="partitions of every topic")] = None
    log_level: Annotated[str | None, Parameter(help="debug, info, warning or error")] = None

    def settings(self, **overrides: object) -> Settings:
        """The settings of this run; `overrides` are a command's own flags that are settings.

        Variables that look like settings and are none are warned of.
        """
        for name, nearest in unknown_variables().items():
            way_on = f"did you mean {nearest}?" if nearest else "candlewick settings shows those that there are"
            sys.stderr.write(f"candlewick: warning: {name} is no setting and is ignored: {way_on}\n")
        return load_settings(**(vars(self) | overrides))


NONE_GIVEN = Common()


def utc_us(moment: datetime) -> int:
    """A moment, UTC where it names no zone, as UTC microseconds; a `UsageError` where a trade can't be of that time."""
    time_us = (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // timedelta(microseconds=1)
    if not 0 <= time_us < MAX_TIME_US:
        raise UsageError(f"{moment.isoformat()} is out of range: give a time from 1970 on, such as 2026-01-31T12:00Z")
    return time_us


def given_us(flag: str, time: int | datetime) -> int:
    """A moment, or epoch milliseconds, in microseconds; a `UsageError` where no trade can be of that time."""
    if not isinstance(time, int):
        return utc_us(time)
    if not 0 <= time < MAX_TIME_US // 1000:
        raise UsageError(f"{flag} {time} is no time: give epoch milliseconds or a time such as 2019-10-11T00:01Z")
    return time * 1000


def _positive(_: Any, span: timedelta | None) -> None:
    if span is not None and span <= timedelta(0):
        raise ValueError("Give a time span greater than 0, such as 90s, 2m or 1h.")


def _written(span: timedelta | None) -> str | None:
    """A whole time span, as it is given: ``1h``; nothing where the default is none."""
    if span is None:
        return None
    seconds = int(span.total_seconds())
    size, unit = next((size, unit) for size, unit in ((3600, "h"), (60, "m"), (1, "s")) if seconds % size == 0)
    return f"{seconds // size}{unit}"


SPAN = Parameter(validator=_positive, show_default=_written)
"""Of every flag of type `timedelta`: annotate it with this, then with its own `Parameter`."""


def single_command(name: str, function: Callable[..., Any]) -> App:
    """The app of a command without subcommands.

    Its help is the line of `candlewick.cli`'s table (known without loading the command), the examples of the function's
    docstring, the rest of the docstring, then the parameters.
    """
    about = re.split(r"^Args:$", inspect.getdoc(function) or "", flags=re.MULTILINE)[0]
    examples = re.findall(r"^```$.*?^```$", about, flags=re.MULTILINE | re.DOTALL)
    prose = [text.strip() for text in re.split(r"^```$.*?^```$", about, flags=re.MULTILINE | re.DOTALL)]
    text = "\n\n".join(filter(None, [*examples, *prose]))
    app = App(name=name, help_format="markdown", help_formatter=_WithDescription(Markdown(text)))
    app.default(function)
    return app


class _WithDescription(DefaultFormatter):
    """Puts `text` between a command's one line and its parameters."""

    def __init__(self, text: Markdown) -> None:
        super().__init__()
        self._text = text

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        super().render_description(console, options, description)
        console.print(self._text)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
