"""The board and its two views: pure, time is given."""

import io
import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from rich.console import Console

from candlewick.pipeline.stage_names import STAGES
from candlewick.pipeline.view.board import MAX_HAPPENINGS, Board, StageFigures, Tone
from candlewick.pipeline.view.line import summary_line
from candlewick.pipeline.view.screen import Screen, Surroundings
from candlewick.pipeline.words import duration
from market.candle import Candle, Status
from market.feed import FeedEvent, FeedEventKind
from market.ticker import Ticker, Window

T0_MS = 1_700_000_040_000
T0_S = T0_MS / 1000


SURROUNDINGS = Surroundings(
    title="simulated exchange at 10x",
    speed=10.0,
    addresses={
        "Kafka": "127.0.0.1:9092",
        "Redis": "redis://127.0.0.1:6379/0",
        "ClickHouse": "http://127.0.0.1:8123",
        "API": "http://127.0.0.1:8080",
        "cold store": "file:///data/cold",
    },
)


def candle(symbol: str = "BTC-USDT", minute: int = 0, *, status: Status = Status.COMPLETE) -> Candle:
    unit = Decimal(1)
    return Candle(
        exchange="binance", symbol=symbol, timeframe="1m", open_time_ms=T0_MS + 60_000 * minute,
        close_time_ms=T0_MS + 60_000 * (minute + 1) - 1, open=unit, high=unit, low=unit, close=unit, volume=unit,
        quote_volume=unit, trades=1, taker_buy_volume=unit, taker_buy_quote_volume=unit, revision=1, status=status,
    )  # fmt: skip


def event(kind: FeedEventKind) -> FeedEvent:
    return FeedEvent(exchange="binance", symbol="BTC-USDT", event=kind, at_ms=T0_MS, first_id="7", last_id="9")


def busy_board(symbols: int) -> Board:
    board = Board(stages={name: StageFigures() for name in STAGES})
    for number in range(symbols):
        board.take_live(candle(f"S{number:04d}-USDT", status=Status.OPEN))
    for number in range(2 * MAX_HAPPENINGS):
        board.say(T0_MS / 1000, f"happening {number}", Tone.WARNING)
    return board


def drawn(board: Board, *, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    screen = Screen(board, SURROUNDINGS, elapsed_s=lambda: 65.0)
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
    assert any("more" in line and "2997" in line for line in drawn(busy_board(3000), width=130, height=24))


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
    board.take_progress_line("sink.redis", {"records": 100, "records_per_s": 5.0, "unread": 3, "rows": 90})
    board.stages["sink.redis"].carry_over()
    board.take_progress_line("sink.redis", {"records": 10, "records_per_s": 5.0, "unread": 0, "rows": 9})
    figures = board.stages["sink.redis"]
    assert (figures.total_records(), figures.total("rows")) == (110, 99)


def test_the_summary_line_says_rates_lags_and_what_went_wrong() -> None:
    board = Board()
    board.take_progress_line("produce", {"records": 10, "records_per_s": 1234.4})
    board.stages |= {"candles": StageFigures(), "sink.redis": StageFigures(), "serve": StageFigures()}
    board.take_lags(0.0, {"sink.redis": 2000})
    board.take_closed(0.0, candle())
    board.take_feed_event(event(FeedEventKind.GAP_OPENED))
    board.stages["sink.redis"].restarts = 2
    assert summary_line(board, 65.0, 65.0) == (
        "1m 05s · 1,234 trades/s · 1 candles · lag: candles ?, redis 2,000 · gaps: 1 open, 0 filled, 0 holes · "
        "restarts: 2"
    )


def test_the_screen_says_the_addresses_how_to_end_and_why_time_goes_so_fast() -> None:
    text = "\n".join(drawn(busy_board(3), width=130, height=40))
    for name, address in SURROUNDINGS.addresses.items():
        assert f"{name} {address}" in text
    assert "Ctrl-C drains and verifies" in text
    assert "10 times as fast as the clock: a candle every 6 s" in text


def ticker(minutes: int) -> Ticker:
    unit = Decimal(1)
    window = Window(
        minutes=minutes, open=unit, high=unit, low=unit, close=unit, change=unit, change_percent=unit, vwap=unit,
        volume=unit, quote_volume=unit, taker_buy_volume=unit, trades=1, status=Status.COMPLETE,
    )  # fmt: skip
    return Ticker(
        exchange="binance", symbol="BTC-USDT", time_ms=T0_MS, last=unit, live=False, revision=1, windows={"24h": window}
    )


@pytest.mark.parametrize(("minutes", "column"), [(20, "20m"), (90, "1h 30m"), (1440, "24h")])
def test_the_change_of_the_day_says_over_how_long_it_goes(minutes: int, column: str) -> None:
    board = Board()
    board.take_live(candle())
    board.take_ticker(ticker(minutes))
    assert f"{column}: change over that time" in "\n".join(drawn(board, width=130, height=40))


def lags_over(seconds: int, lag: Callable[[int], int], board: Board, *, stage: str = "sink.redis") -> list[str]:
    board.stages.setdefault(stage, StageFigures(state="running"))
    return [news.text for second in range(seconds) for news in board.take_lags(T0_S + second, {stage: lag(second)})]


def test_a_stage_whose_lag_grows_is_named_with_since_when_and_again_when_it_has_caught_up() -> None:
    board = Board()
    news = lags_over(60, lambda second: min(second, 80 - second) * 500, board)
    assert news[0].startswith("sink.redis does not keep up since 22:14:0")
    assert news[0].endswith("records behind and growing")
    assert len(news) == 1
    assert summary_line(board, 60.0, T0_S + 60).endswith("DOES NOT KEEP UP: sink.redis for 1m 00s")
    screen = "\n".join(drawn(board, width=130, height=40))
    assert "The pipeline does not keep up, held back by sink.redis since 22:14:0" in screen
    board.stages["sink.redis"].state = "stopped"
    assert board.slow() == {}
    board.stages["sink.redis"].state = "running"
    assert [news.text for news in board.take_lags(T0_S + 60, {"sink.redis": 0})] == [
        "sink.redis has caught up: it did not keep up for 1m 00s"
    ]


def test_a_lag_of_a_few_seconds_of_a_busy_stage_says_nothing_though_its_rate_comes_in_bursts() -> None:
    board = Board()
    for second in range(60):
        board.take_progress_line("candles", {"records": 1, "records_per_s": 20_000.0 * (second % 2)})
        assert board.take_lags(T0_S + second, {"candles": 300 * second}) == []


@pytest.mark.parametrize(
    "lag",
    [
        lambda _: 500,
        lambda second: second % 7 * 20_000,  # commits by batches
        lambda _: 50_000,  # far behind, and not farther
        lambda second: 100_000 - 1_000 * second,  # a backlog that is worked off
    ],
)
def test_a_lag_that_does_not_grow_says_nothing(lag: Callable[[int], int]) -> None:
    assert lags_over(60, lag, Board()) == []


def test_a_producer_whose_markers_fall_behind_market_time_is_named() -> None:
    board = Board(stages={"produce": StageFigures(state="running")})
    news: list[str] = []
    for second in range(100):
        market_us = int((T0_S + 10 * second) * 1e6)
        marked_us = market_us if second < 20 else int((T0_S + 200 + second) * 1e6)
        board.take_marker("binance:BTC-USDT", marked_us - marked_us % 60_000_000)
        board.take_marker("binance:ETH-USDT", market_us)
        news += [said.text for said in board.take_market_time(T0_S + second, market_us, 10.0)]
    assert len(news) == 1
    assert re.fullmatch(
        r"produce does not keep up since 22:14:\d\d: \d+m \d\ds of market time behind and growing", news[0]
    )


def test_a_producer_that_marks_each_minute_keeps_up_at_any_speed() -> None:
    for speed in (1.0, 10.0, 1000.0):
        board = Board(stages={"produce": StageFigures(state="running")})
        for second in range(300):
            market_us = int((T0_S + speed * second) * 1e6)
            board.take_marker("binance:BTC-USDT", market_us - market_us % 60_000_000)
            assert board.take_market_time(T0_S + second, market_us, speed) == []


def test_time_spans_are_told_in_words() -> None:
    assert [duration(seconds) for seconds in (9.9, 65, 7_265)] == ["9s", "1m 05s", "2h 01m"]
