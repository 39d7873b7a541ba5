"""The rows of a ticker, one for each window, back as the ticker that they were made of. Pure."""

from collections.abc import Sequence

from market.candle import Status
from market.ticker import Ticker, Window
from sinks.decode import StoredRow, epoch_ms, malformed_rows

_OF_WINDOW = (
    "minutes", "open", "high", "low", "close", "change", "change_percent", "vwap", "volume", "quote_volume",
    "taker_buy_volume", "trades", "missing", "taker_buy_share", "realised_volatility",
)  # fmt: skip


def decode_ticker_rows(rows: Sequence[StoredRow]) -> Ticker | None:
    """A ticker out of its windows' rows; if rows have several times, only the newest count. None without rows.

    Raises `MalformedError`.
    """
    if not rows:
        return None
    with malformed_rows("ticker"):
        newest = max(rows, key=lambda row: row["time"])
        return Ticker(
            exchange=newest["exchange"],
            symbol=newest["symbol"],
            time_ms=epoch_ms(newest["time"]),
            last=newest["last"],
            live=newest["live"],
            revision=newest["revision"],
            windows={row["window"]: _window(row) for row in rows if row["time"] == newest["time"]},
        )


def _window(row: StoredRow) -> Window:
    since_ms = None if row["since"] is None else epoch_ms(row["since"])
    return Window(**{name: row[name] for name in _OF_WINDOW}, status=Status(row["status"]), since_ms=since_ms)
