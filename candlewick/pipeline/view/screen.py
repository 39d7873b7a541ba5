"""The live view: the board as a screenful, never higher than the terminal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from candlewick.pipeline.stage_names import API, POSTGRES_SINK, SINKS
from candlewick.pipeline.view.board import Board, StageFigures, SymbolFigures, Tone
from candlewick.pipeline.words import clock, duration
from market.candle import Status
from market.decimals import plain

_FIXED_ROWS = 9
"""Heading, hint, two rows of addresses, three rules, two table heads."""
_MIN_HAPPENINGS = 4
_WIDE = 100
"""Columns of a terminal that has room for everything."""
_TONES = {Tone.CALM: "default", Tone.GOOD: "green", Tone.WARNING: "yellow", Tone.BAD: "bold red"}
_UP, _DOWN, _DIM = "green", "red", "bright_black"
_DAY_MINUTES = 1440


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a run runs on: the exchange in words, its speed where it is simulated, and all addresses by name."""

    title: str = ""
    speed: float | None = None
    """Market seconds a second; None: a real exchange."""
    addresses: Mapping[str, str] = field(default_factory=dict)


class Screen:
    """Renders `board`, to the height it is given; `elapsed_s` says how long the run is up."""

    def __init__(self, board: Board, surroundings: Surroundings, *, elapsed_s: Callable[[], float]) -> None:
        self._board = board
        self._surroundings = surroundings
        self._elapsed_s = elapsed_s

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        board = self._board
        room = (options.height or console.height) - _FIXED_ROWS - len(board.stages)
        happenings = max(_MIN_HAPPENINGS, room - len(board.symbols))
        symbols = max(0, room - happenings)
        yield Group(
            self._heading(options),
            self._hint(),
            *self._addresses(),
            _rule(
                f"symbols ({len(board.symbols)}) · minute: change in the open minute · {_day(board)}: change over that "
                "time, 24 hours at most"
            ),
            _symbols(board, symbols, wide=options.max_width >= _WIDE),
            _rule("stages · lag: records not committed yet (produce: market time) · newest: age of its newest record"),
            _stages(board),
            _rule("what happens"),
            _happenings(board, happenings),
        )

    def _heading(self, options: ConsoleOptions) -> RenderableType:
        board, grid = self._board, Table.grid(expand=True)
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        grid.add_column(no_wrap=True, overflow="ellipsis", justify="right")
        market = datetime.fromtimestamp(board.market_ms / 1000, UTC)
        clock = f"{market:%Y-%m-%d %H:%M} UTC" if board.market_ms else "…"
        left = Text.assemble(("Candlewick ", "bold"), (f" {self._surroundings.title}", _DIM))
        counts = f"{board.candles:,} candles"
        if options.max_width >= _WIDE:
            gaps = board.gaps
            counts += f" · {board.revisions:,} revised · {gaps.open:,} gaps · {gaps.holes:,} holes"
        grid.add_row(left, Text(f"{counts}   market {clock}   up {duration(self._elapsed_s())}"))
        return grid

    def _hint(self) -> Text:
        """Who does not keep up; else how to end, and why market time goes as fast as it does."""
        if slow := self._board.slow():
            stages = ", ".join(f"{name} since {clock(since_s)} UTC" for name, since_s in slow.items())
            return _one_row(f"The pipeline does not keep up, held back by {stages}", "bold red")
        speed = self._surroundings.speed
        hint = "Ctrl-C drains" + ("" if speed is None else " and verifies")
        if speed is not None and self._board.is_at_present:
            hint += " · simulated time has reached the present and goes on as the clock does"
        elif speed is not None and speed > 1:
            hint += f" · {speed:g} times as fast as the clock: a candle every {60 / speed:.3g} s (--speed 1: real time)"
        return _one_row(hint, _DIM)

    def _addresses(self) -> list[Text]:
        texts = [f"{name} {address}" for name, address in self._surroundings.addresses.items()]
        return [_one_row(" · ".join(row), _DIM) for row in (texts[:3], texts[3:])]


def _one_row(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _rule(title: str) -> Rule:
    return Rule(Text(title, style=_DIM), align="left", style=_DIM)


def _day(board: Board) -> str:
    """Over how long the change of the last 24 hours goes so far."""
    minutes = board.day_minutes()
    if minutes in (0, _DAY_MINUTES):
        return "24h"
    return duration(minutes * 60).removesuffix(" 00s")


def _table(*columns: str) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, header_style=_DIM, padding=(0, 1))
    for column in columns:
        left = column in ("symbol", "stage", "state", "status")
        table.add_column(column, justify="left" if left else "right", no_wrap=True, overflow="ellipsis")
    return table


def _symbols(board: Board, height: int, *, wide: bool) -> RenderableType:
    prices = ("open", "high", "low", "volume") if wide else ()
    table = _table("symbol", "last", "minute", _day(board), *prices, "trades", "status")
    names = sorted(board.symbols)
    shown = names if len(names) <= height else names[: max(0, height - 1)]
    has_several = len({figures.candle.exchange for figures in board.symbols.values()}) > 1
    for name in shown:
        figures = board.symbols[name]
        table.add_row(name if has_several else figures.candle.symbol, *_symbol_row(figures, wide=wide))
    if len(shown) < len(names):
        table.add_row(Text(f"… {len(names) - len(shown)} more", style=_DIM))
    return table


def _symbol_row(figures: SymbolFigures, *, wide: bool) -> list[RenderableType]:
    candle = figures.candle
    prices = (candle.open, candle.high, candle.low, candle.volume) if wide else ()
    minute_percent = None if not candle.open else (candle.close - candle.open) / candle.open * 100
    tone = _tone(candle.close - candle.open)
    status = Text(candle.status.value, style=_DIM if candle.status in (Status.OPEN, Status.COMPLETE) else "yellow")
    return [
        Text(plain(candle.close), style=f"bold {tone}"),
        _percent(minute_percent),
        _percent(figures.change_percent()),
        *(Text(plain(value)) for value in prices),
        f"{candle.trades:,}",
        status,
    ]


def _percent(value: Decimal | None) -> Text:
    return Text("-", style=_DIM) if value is None else Text(f"{value:+.2f} %", style=_tone(value))


def _tone(change: Decimal) -> str:
    return _UP if change > 0 else _DOWN if change < 0 else "default"


def _stages(board: Board) -> RenderableType:
    table = _table("stage", "state", "records/s", "records", "lag", "newest", "written", "restarts")
    for name, figures in board.stages.items():
        table.add_row(*_stage_row(name, figures))
    return table


def _stage_row(name: str, figures: StageFigures) -> list[RenderableType]:
    state_style = "green" if figures.state == "running" else "yellow"
    age = "-" if figures.newest_age_ms is None else f"{figures.newest_age_ms / 1000:.1f} s"
    written = f"{figures.total('rows'):,} rows" if name in (*SINKS, POSTGRES_SINK) else ""
    slow = figures.pace.since_s is not None and figures.state == "running"
    return [
        name,
        Text("behind", style="bold red") if slow else Text(figures.state, style=state_style),
        f"{figures.records_per_s:,.0f}",
        f"{figures.total_records():,}",
        _lag(name, figures),
        age,
        written,
        Text(str(figures.restarts), style="yellow" if figures.restarts else _DIM),
    ]


def _lag(name: str, figures: StageFigures) -> str:
    if name == API:
        return "-"
    if figures.behind_s is not None:
        return duration(figures.behind_s)
    return "?" if figures.lag is None else f"{figures.lag:,}"


def _happenings(board: Board, height: int) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False, show_header=False)
    table.add_column(width=8, style=_DIM)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for happening in list(board.happenings)[-height:]:
        table.add_row(clock(happening.at_s), Text(happening.text, style=_TONES[happening.tone]))
    return table
