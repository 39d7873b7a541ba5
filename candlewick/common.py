"""The settings that every command takes as flags.

A command takes them in one line, and asks them for its settings::

    @app.command
    async def candles(*, once: bool = False, common: Common = NONE_GIVEN) -> None:
        settings = common.settings()
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Group, Parameter

from market.fields import MAX_TIME_US
from runtime.errors import UsageError
from runtime.settings import Settings, load_settings

_GROUP = Group(
    "Settings", help="Each is CANDLEWICK_NAME in the environment too; all of them: candlewick settings.", sort_key=100
)


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True, kw_only=True)
class Common:
    """Settings given as flags; what is not given comes from the environment and files."""

    home: Annotated[Path | None, Parameter(help="data folder of the local stack")] = None
    kafka: Annotated[str | None, Parameter(help="Kafka bootstrap servers")] = None
    redis: Annotated[str | None, Parameter(help="Redis URL")] = None
    clickhouse: Annotated[str | None, Parameter(help="ClickHouse HTTP URL")] = None
    cold: Annotated[str | None, Parameter(help="cold store URL")] = None
    prefix: Annotated[str | None, Parameter(help="before every topic, group and Redis key")] = None
    partitions: Annotated[int | None, Parameter(help="partitions of every topic")] = None
    log_level: Annotated[str | None, Parameter(help="debug, info, warning or error")] = None

    def settings(self, **overrides: object) -> Settings:
        """The settings of this run; `overrides` are a command's own flags that are settings."""
        return load_settings(**(vars(self) | overrides))


NONE_GIVEN = Common()


def parse_time_us(text: str) -> int:
    """An ISO 8601 time, UTC where it names no zone, as UTC microseconds; `ValueError` where it is none we can hold."""
    at = datetime.fromisoformat(text)
    time_us = round(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1_000_000)
    if not 0 <= time_us < MAX_TIME_US:
        raise ValueError(f"{text} is out of range")
    return time_us


def parse_span(text: str) -> float:
    """A time span such as ``90s``, ``2m``, ``1h`` or plain seconds, in seconds."""
    number, unit = (text[:-1], text[-1]) if text and text[-1] in _UNITS else (text, "s")
    if not number.replace(".", "", 1).isdigit() or float(number) <= 0:
        raise UsageError(f"{text!r} is no time span: write 90s, 2m or 1h")
    return float(number) * _UNITS[unit]


def _positive(_: Any, span: timedelta | None) -> None:
    if span is not None and span <= timedelta(0):
        raise ValueError("Give a time span greater than 0, such as 90s, 2m or 1h.")


def _written(span: timedelta) -> str:
    """A whole time span, as it is given: ``1h``."""
    seconds = int(span.total_seconds())
    size, unit = next((size, unit) for size, unit in ((3600, "h"), (60, "m"), (1, "s")) if seconds % size == 0)
    return f"{seconds // size}{unit}"


SPAN = Parameter(validator=_positive, show_default=_written)
"""What a flag of type `timedelta` is annotated with, before its own `Parameter`."""


def single_command(name: str, function: Callable[..., Any]) -> App:
    """The app of a command without subcommands; the function's docstring, examples and all, ends its help.

    (Above the parameters stands the line of `candlewick.cli`'s table: it is known without loading the command.)
    """
    about = re.split(r"^Args:$", inspect.getdoc(function) or "", flags=re.MULTILINE)[0]
    app = App(name=name, help_format="markdown", help_epilogue=about)
    app.default(function)
    return app


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
