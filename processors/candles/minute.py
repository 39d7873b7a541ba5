"""One held minute of a series: its trades, what markers said of it, and whether it has to be emitted. Pure."""

from decimal import Decimal
from typing import Any

import orjson
from msgspec import structs

from market.candle import Candle, Fold, Status
from market.codec import decode_given_candle, encode_given_candle
from market.decimals import ZERO, plain
from market.given_candle import GivenCandle
from market.key import MarketKey
from market.timeframe import MINUTE_US, Timeframe
from market.trade import Marker


class HeldMinute:
    """A minute [open, open + 60 s) that is not behind the final boundary of its series."""

    __slots__ = ("changed", "emitted", "fold", "kline", "newest_offset", "open_us", "price", "status")

    def __init__(self, open_us: int) -> None:
        self.open_us = open_us
        self.fold = Fold()
        self.status: Status | None = None
        """The best status that markers gave the minute; None until it is closed."""
        self.price: Decimal | None = None
        """`last_price` of its own marker."""
        self.kline: GivenCandle | None = None
        """The exchange's own candle, where it stands in for the trades."""
        self.emitted = False
        self.changed = False
        """Whether a new trade, a better proof or another close before it has come since it was emitted."""
        self.newest_offset = 0
        """Offset in the input of the newest trade in it."""

    @property
    def end_us(self) -> int:
        """First microsecond after the minute."""
        return self.open_us + MINUTE_US

    @property
    def is_due(self) -> bool:
        """Whether the minute is closed, and was not emitted as it stands now."""
        return self.status is not None and (self.changed or not self.emitted)

    def close(self, status: Status, marker: Marker | None) -> bool:
        """Take in a status and the marker that gives it (None: there was no marker); False if nothing changes.

        The best of several statuses counts, unless the marker takes back what was said before.
        """
        takes_back = marker is not None and marker.takes_back and status is not self.status
        if self.status is not None and self.status.rank <= status.rank and not takes_back:
            return False
        self.status = status
        self.changed = True
        if marker is not None:
            self.kline = marker.kline if status is Status.KLINE else None
            if self.price is None:
                self.price = marker.last_price
        return True

    def closing_price(self) -> Decimal | None:
        """Its own close: of the exchange's kline if one stands in, else of its trades; None if it has none."""
        if self.status is Status.KLINE and self.kline is not None:
            return self.kline.close
        return self.fold.close if self.fold.trades else None

    def candle(self, market: MarketKey, flat: Decimal | None, *, status: Status, revision: int) -> Candle:
        """The candle as it stands; `flat` is the price of a minute without trades."""
        fold = self.fold
        values: dict[str, Any] = {
            "open": fold.open,
            "high": fold.high,
            "low": fold.low,
            "close": fold.close,
            "volume": fold.volume,
            "quote_volume": fold.quote_volume,
            "trades": fold.trades,
            "taker_buy_volume": fold.taker_buy_volume,
            "taker_buy_quote_volume": fold.taker_buy_quote_volume,
            "first_trade_id": fold.first_trade_id(),
            "last_trade_id": fold.last_trade_id(),
        }
        if status is Status.KLINE and self.kline is not None:
            values |= _told(self.kline) | {"first_trade_id": None, "last_trade_id": None}
        elif not fold.trades:
            values |= dict.fromkeys(("open", "high", "low", "close"), flat or ZERO)
        return Candle(
            exchange=market.exchange,
            symbol=market.symbol,
            timeframe=Timeframe.M1,
            open_time_ms=self.open_us // 1000,
            close_time_ms=self.end_us // 1000 - 1,
            revision=revision,
            status=status,
            **values,
        )

    def snapshot(self) -> dict[str, Any]:
        """The minute as JSON values; `restore` reads it back."""
        return {
            "fold": self.fold.snapshot() if self.fold.trades else None,
            "status": self.status,
            "price": None if self.price is None else plain(self.price),
            "kline": None if self.kline is None else orjson.loads(encode_given_candle(self.kline)),
            "emitted": self.emitted,
            "changed": self.changed,
            "newest_offset": self.newest_offset,
        }

    @classmethod
    def restore(cls, open_us: int, snapshot: dict[str, Any]) -> "HeldMinute":
        """The minute of a snapshot."""
        minute = cls(open_us)
        if snapshot["fold"] is not None:
            minute.fold = Fold.restore(snapshot["fold"])
        minute.status = None if snapshot["status"] is None else Status(snapshot["status"])
        minute.price = None if snapshot["price"] is None else Decimal(snapshot["price"])
        if snapshot["kline"] is not None:
            minute.kline = decode_given_candle(orjson.dumps(snapshot["kline"]))
        minute.emitted = snapshot["emitted"]
        minute.changed = snapshot["changed"]
        minute.newest_offset = snapshot["newest_offset"]
        return minute


def _told(given: GivenCandle) -> dict[str, Any]:
    """The values that the exchange gives for its candle; the other values come from the known trades."""
    fields = structs.asdict(given)
    del fields["open_time_ms"]
    return {name: value for name, value in fields.items() if value is not None}
