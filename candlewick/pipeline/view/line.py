"""The one line that says how a run does, where there is no terminal."""

from candlewick.pipeline.stage_names import API, is_producer
from candlewick.pipeline.view.board import Board
from candlewick.pipeline.words import duration

INTERVAL_S = 5.0


def summary_line(board: Board, elapsed_s: float, now_s: float) -> str:
    """Rates, counts and lags in one line of text; what is not known yet is ``?``."""
    per_s = sum(figures.records_per_s for name, figures in board.stages.items() if is_producer(name))
    texts = [
        f"{duration(elapsed_s):>6}",
        f"{per_s:,.0f} trades/s",
        f"{board.candles:,} candles" + (f" ({board.revisions:,} revised)" if board.revisions else ""),
    ]
    lags = [
        f"{name.removeprefix('sink.')} {'?' if figures.lag is None else f'{figures.lag:,}'}"
        for name, figures in board.stages.items()
        if name != API and not is_producer(name)
    ]
    texts.append("lag: " + (", ".join(lags) or "?"))
    gaps = board.gaps
    if gaps.open or gaps.filled or gaps.holes:
        texts.append(f"gaps: {gaps.open:,} open, {gaps.filled:,} filled, {gaps.holes:,} holes")
    if restarts := sum(figures.restarts for figures in board.stages.values()):
        texts.append(f"restarts: {restarts}")
    if slow := board.slow():
        texts.append("DOES NOT KEEP UP: " + ", ".join(f"{name} for {duration(now_s - slow[name])}" for name in slow))
    return " · ".join(texts)
