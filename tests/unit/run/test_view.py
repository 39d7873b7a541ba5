"""The board and its two views: pure, time is given."""

import io
from decimal import Decimal

import pytest
from rich.console import Console

from candlewick.pipeline.view.board import MAX_HAPPENINGS, Board, StageFigures, Tone
from candlewick.pipeline.view.line import duration, summary_line
from candlewick.pipeline.view.screen import Screen
from market.candle import Candle, Status
from market.feed import FeedEvent, FeedEventKind

T0_MS = 1_700_000_040_000


def candle(symbol: str = "BTC-USDT", minute: int = 0, *, status: Status = Status.COMPLETE) -> Candle:
    one = Decimal(1)
    return Candle(
        exchange="binance", symbol=symbol, timeframe="1m", open_time_ms=T0_MS + 60_000 * minute,
        close_time_ms=T0_MS + 60_000 * (minute + 1) - 1, open=one, high=one, low=one, close=one, volume=one,
        quote_volume=one, trades=1, taker_buy_volume=one, taker_buy_quote_volume=one, revision=1, status=status,
    )  # fmt: skip


def event(kind: FeedEventKind) -> FeedEvent:
    return FeedEvent(exchange="binance", symbol="BTC-USDT", event=kind, at_ms=T0_MS, first_id="7", last_id="9")


def busy_board(symbols: int) -> Board:
    board = Board(stages={name: StageFigures() for name in ("produce", "candles", "sink.redis")})
    for number in range(symbols):
        board.take_live(candle(f"S{number:04d}-USDT", status=Status.OPEN))
    for number in range(2 * MAX_HAPPENINGS):
        board.say(T0_MS / 1000, f"happening {number}", Tone.WARNING)
    return board


def drawn(board: Board, *, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    screen = Screen(board, title="simulator at 10x", elapsed_s=lambda: 65.0)
    return ["".join(segment.text for segment in line).rstrip() for line in console.render_lines(screen, pad=False)]


@pytest.mark.parametrize("symbols", [0, 3, 20, 3000])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (130, 40)])
def test_the_screen_is_never_higher_or_wider_than_the_terminal(symbols: int, width: int, height: int) -> None:
    lines = drawn(busy_board(symbols), width=width, height=height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert lines[-1].endswith(f"happening {2 * MAX_HAPPENINGS - 1}")
    assert any(line.startswith("sink.redis") for line in lines)


def test_symbols_that_do_not_fit_are_counted() -> None:
    assert any("more" in line and "2990" in line for line in drawn(busy_board(3000), width=130, height=24))


def test_a_second_candle_of_a_minute_is_a_revision_and_is_said() -> None:
    board = Board()
    for minute in (0, 1, 0):
        board.take_closed(0.0, candle(minute=minute))
    assert (board.candles, board.revisions) == (3, 1)
    assert board.happenings[-1].text == "BTC-USDT 22:14 revised: complete"


def test_gaps_are_counted_until_they_are_filled_or_holes() -> None:
    board = Board()
    for kind in (FeedEventKind.GAP_OPENED, FeedEventKind.GAP_OPENED, FeedEventKind.GAP_FILLED, FeedEventKind.HOLE):
        board.take_feed_event(event(kind))
    assert (board.gaps.open, board.gaps.filled, board.gaps.holes) == (0, 1, 1)
    assert board.happenings[-1].text == "BTC-USDT hole, trades 7…9"


def test_counts_go_on_over_the_restart_of_a_stage() -> None:
    board = Board()
    board.take_progress("sink.redis", {"records": 100, "records_per_s": 5.0, "lag": 3, "rows": 90})
    board.stages["sink.redis"].carry_over()
    board.take_progress("sink.redis", {"records": 10, "records_per_s": 5.0, "lag": 0, "rows": 9})
    figures = board.stages["sink.redis"]
    assert (figures.total_records(), figures.total("rows"), figures.lag) == (110, 99, 0)


def test_the_summary_line_says_rates_lags_and_what_went_wrong() -> None:
    board = Board()
    board.take_progress("produce", {"records": 10, "records_per_s": 1234.4})
    board.take_progress("sink.redis", {"records": 10, "records_per_s": 1.0, "lag": 2000})
    board.take_closed(0.0, candle())
    board.take_feed_event(event(FeedEventKind.GAP_OPENED))
    board.stages["sink.redis"].restarts = 2
    assert summary_line(board, 65.0) == (
        "1m 05s · 1,234 trades/s · 1 candles · lag: redis 2,000 · gaps: 1 open, 0 filled, 0 holes · restarts: 2"
    )


def test_time_spans_are_told_in_words() -> None:
    assert [duration(seconds) for seconds in (9.9, 65, 7_265)] == ["9s", "1m 05s", "2h 01m"]
