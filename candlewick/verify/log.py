"""What one partition of the trades and 1m candle topics says, in little memory. Pure."""

from array import array
from dataclasses import dataclass, field

from candlewick.verify.expected import Fields

BEGIN = "begin"


def trade_digest(*, key: str, trade_id: str, price: str, qty: str, side: str, time_us: int) -> int:
    """64 bits that stand for a trade, wherever it was read; amounts in canonical text."""
    return hash((key, trade_id, price, qty, side, time_us))


def candle_digest(fields: Fields) -> int:
    """64 bits that stand for a candle, `revision` included; `fields` as in JSON."""
    return hash(tuple(sorted(fields.items())))


@dataclass
class KeyLog:
    """What the log says of one key's live series: its trades in offset order (some 100 bytes each) and its markers."""

    ids: list[str] = field(default_factory=list)
    digests: "array[int]" = field(default_factory=lambda: array("q"))
    times_us: "array[int]" = field(default_factory=lambda: array("q"))
    begun_us: int | None = None
    """`complete_until_us` of the first `begin` marker: where the first whole minute of the series opens."""
    begun_with: str | None = None
    """The id that this marker names as its `last_trade_id`: the feed had that trade, and need not publish it."""
    newest_us: int | None = None
    """The greatest `complete_until_us` of its markers."""
    marked: set[int] = field(default_factory=set)
    """`complete_until_us` of every marker but `begin`."""
    candles: dict[int, Fields] = field(default_factory=dict)
    """Open time in milliseconds → the 1m candle of the highest revision."""

    begins: list[tuple[int, int]] = field(default_factory=list)
    """For each later `begin` marker: how many trades stand before it, and its `complete_until_us`."""

    @property
    def forgotten(self) -> set[str]:
        """The ids of trades that a feed which began again later could not know of."""
        return {
            self.ids[index]
            for trades, until_us in self.begins
            for index in range(trades)
            if self.times_us[index] >= until_us
        }

    def status(self, open_us: int) -> str:
        """What the candle of a minute says; empty where there is none."""
        return str(self.candles.get(open_us // 1000, {}).get("status", ""))

    def take_marker(self, complete_until_us: int, proof: str, last_trade_id: str) -> None:
        """Note a marker; its last trade's id is empty where it names none."""
        if proof != BEGIN:
            self.marked.add(complete_until_us)
        elif self.begun_us is None:
            self.begun_us = complete_until_us
            self.begun_with = last_trade_id or None
        else:
            self.begins.append((len(self.ids), complete_until_us))
        self.newest_us = max(self.newest_us or 0, complete_until_us)

    def take_candle(self, fields: Fields) -> None:
        """Keep the candle of the highest revision."""
        known = self.candles.get(fields["open_time_ms"])
        if known is None or known["revision"] < fields["revision"]:
            self.candles[fields["open_time_ms"]] = fields


@dataclass
class PartitionLog:
    """One partition of the log. `trades` and `candles` map each record's offset to its digest, runs included."""

    partition: int
    keys: dict[str, KeyLog] = field(default_factory=dict)
    trades: dict[int, int] = field(default_factory=dict)
    candles: dict[int, int] = field(default_factory=dict)

    def key(self, name: str) -> KeyLog:
        """The log of a key, made at its first record."""
        return self.keys.setdefault(name, KeyLog())
