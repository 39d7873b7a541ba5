"""The figures that stages count: one table for the progress line, the metrics and the documents.

A metric is called after its figure: ``candlewick_<figure>``, of a counter with ``_total``, in seconds where the figure
is in seconds or milliseconds; its only label is ``stage``.
"""

from typing import Literal, NamedTuple

FigureName = Literal[
    "records", "unread", "newest_age_ms", "rebalances",
    "candles", "bars", "late", "dead_letters", "tickers", "windows_left", "rows", "rejected",
    "gaps_open", "gaps_filled", "holes", "taken_back", "resets", "reconnects", "refused", "conflicts", "clock_ignored",
    "clocks_away", "rest_weight", "rest_closed_s", "messages", "waiting", "received_ms", "acknowledged_ms", "clock_ms",
    "missing_trades", "fill_behind_s", "fill_rest_s", "not_recorded", "surveying_rows", "publishing_rows",
    "minutes_done", "minutes_left", "signals", "too_late",
]  # fmt: skip


class Figure(NamedTuple):
    """What a figure means; a counter only rises, for as long as the process lives."""

    meaning: str
    is_counter: bool = True


FIGURES: dict[FigureName, Figure] = {
    "records": Figure("Records handled"),
    "unread": Figure("Records in the log that are not read yet", is_counter=False),
    "newest_age_ms": Figure("Age of the newest record handled, by the log clock", is_counter=False),
    "rebalances": Figure("Rebalances of the consumer group that this process took part in"),
    "candles": Figure("Candles published"),
    "bars": Figure("Bars published"),
    "late": Figure("Trades behind the final boundary: in no candle or bar; the candle engine publishes them again"),
    "dead_letters": Figure("Records published to a dead letter topic"),
    "tickers": Figure("Tickers published"),
    "windows_left": Figure("Windows left out because some of their minutes are in no store"),
    "signals": Figure("Signals published"),
    "too_late": Figure("Candles that came after their place in the log of all partitions was passed"),
    "rows": Figure("Rows that the store has acknowledged"),
    "rejected": Figure("Records that the store can't hold, published to a dead letter topic"),
    "gaps_open": Figure("Symbols with a gap that may still be filled", is_counter=False),
    "gaps_filled": Figure("Gaps filled"),
    "holes": Figure("Gaps given up: their trades are missing for good"),
    "taken_back": Figure("Claims of completeness taken back"),
    "resets": Figure("Resets of trade ids by the exchange"),
    "reconnects": Figure("Connections lost and opened anew"),
    "refused": Figure("Messages that are no trades, published to the dead letter topic"),
    "conflicts": Figure("Trade ids told twice, with different contents"),
    "clock_ignored": Figure("Messages whose clock can't be right"),
    "clocks_away": Figure("Connections whose exchange clock is away", is_counter=False),
    "rest_weight": Figure("Request weight used of the exchange's limit", is_counter=False),
    "rest_closed_s": Figure("Time until the exchange takes REST requests again", is_counter=False),
    "messages": Figure("Messages of the exchange read"),
    "waiting": Figure("Messages and pages that wait between socket and publisher", is_counter=False),
    "received_ms": Figure("From the newest trade's time to its message read, by both clocks", is_counter=False),
    "acknowledged_ms": Figure("From that message read to its trade acknowledged by Kafka", is_counter=False),
    "clock_ms": Figure("The exchange's clock less ours, at most: the least delay of any message", is_counter=False),
    "missing_trades": Figure("Trades that are known to be missing, and still asked for", is_counter=False),
    "fill_behind_s": Figure("Market time from the oldest missing trade until now", is_counter=False),
    "fill_rest_s": Figure("Time until the missing trades are there, at the rate of the last minute", is_counter=False),
    "not_recorded": Figure("Frames that are in no capture: the disk was full or too slow"),
    "surveying_rows": Figure("Rows of recordings checked"),
    "publishing_rows": Figure("Rows of recordings published"),
    "minutes_done": Figure("Minutes of market time backfilled"),
    "minutes_left": Figure("Minutes of market time that are still to be backfilled", is_counter=False),
}


def metric_name(figure: FigureName) -> str:
    """The name of the figure's metric, as Prometheus shows it."""
    name: str = "unread_records" if figure == "unread" else figure
    if name.endswith(("_s", "_ms")):
        name = name.rpartition("_")[0] + "_seconds"
    return f"candlewick_{name}{'_total' if FIGURES[figure].is_counter else ''}"


def in_metric_units(figure: FigureName, value: float) -> float:
    """`value` of the figure in its metric's unit."""
    return value / 1000 if figure.endswith("_ms") else value
