"""The one line that says how a run does, where there is no terminal."""

from candlewick.pipeline.view.board import Board

INTERVAL_S = 5.0


def summary_line(board: Board, elapsed_s: float) -> str:
    """Rates, counts and lags in one line of text."""
    produced = board.stages.get("produce")
    parts = [
        f"{duration(elapsed_s):>6}",
        f"{produced.records_per_s if produced else 0:,.0f} trades/s",
        f"{board.candles:,} candles" + (f" ({board.revisions:,} revised)" if board.revisions else ""),
    ]
    lags = [
        f"{name.removeprefix('sink.')} {figures.lag:,}"
        for name, figures in board.stages.items()
        if figures.lag is not None and name != "produce"
    ]
    parts.append("lag: " + (", ".join(lags) or "not known yet"))
    gaps = board.gaps
    if gaps.open or gaps.filled or gaps.holes:
        parts.append(f"gaps: {gaps.open:,} open, {gaps.filled:,} filled, {gaps.holes:,} holes")
    if restarts := sum(figures.restarts for figures in board.stages.values()):
        parts.append(f"restarts: {restarts}")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """A time span in words: ``42s``, ``3m 05s``, ``2h 03m``."""
    whole = int(seconds)
    if whole < 60:  # noqa: PLR2004  # seconds of a minute
        return f"{whole}s"
    if whole < 3600:  # noqa: PLR2004  # seconds of an hour
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
