"""A made-up input partition: feeds that write trades and markers into a log as real ones do, from a seed.

Feeds die in mid-minute and return, stand beside each other, fill late, repeat themselves; runs publish history
between them. Everything keeps to what the design asks of producers, so what a reader makes of it can be held to its
word. `expected` is what the trades say, by integers, apart from the project's own fold.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import structs

from market.codec import decode_trade, encode_marker, encode_trade
from market.decimals import parse_decimal
from market.trade import Marker, Proof, Side, Source, Trade

MINUTE = 60_000_000
START = 28_333_334 * MINUTE  # a whole minute in 2023
KEYS = ("sim:AAA-USD", "sim:BBB-USD", "sim:CCC-USD")


class LogRecord(NamedTuple):
    """A record as a consumer hands it over."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass
class Log:
    """One partition, appended to in order."""

    records: list[LogRecord] = field(default_factory=list)
    now_ms: int = START // 1000

    def append(self, key: str | None, value: bytes | None, headers: Iterable[tuple[str, bytes]] = ()) -> LogRecord:
        record = LogRecord(
            "md.trades.v1",
            0,
            len(self.records),
            self.now_ms,
            None if key is None else key.encode(),
            value,
            tuple(headers),
        )
        self.records.append(record)
        return record

    def trade(self, trade: Trade, run: str | None = None) -> LogRecord:
        self.now_ms = max(self.now_ms, trade.time_us // 1000)
        return self.append(trade.key, encode_trade(trade), [] if run is None else [("run", run.encode())])

    def marker(self, key: str, until_us: int, proof: Proof = Proof.IDS, **more: object) -> LogRecord:
        self.now_ms = max(self.now_ms, until_us // 1000)
        more.setdefault("published_until_us", until_us)
        return self.append(key, None, encode_marker(Marker(complete_until_us=until_us, proof=proof, **more)))


def make_trade(key: str, number: int, time_us: int, price: str, qty: str = "1", side: Side = Side.BUY) -> Trade:
    exchange, symbol = key.split(":")
    return Trade(
        exchange=exchange,
        symbol=symbol,
        trade_id=str(number),
        price=parse_decimal(price),
        qty=parse_decimal(qty),
        side=side,
        time_us=time_us,
        received_us=time_us + 20_000,
    )


def history(rng: random.Random, key: str, minutes: int, start_us: int = START) -> list[Trade]:
    """Contiguous ids, times never falling, some minutes without a trade, ties in time."""
    trades: list[Trade] = []
    number = rng.randrange(1, 1000)
    for minute in range(minutes):
        times = sorted(rng.randrange(MINUTE) for _ in range(rng.choice((0, 0, 1, 2, 3, 6))))
        if len(times) > 1 and rng.random() < 0.3:
            times[1] = times[0]
        for time_us in times:
            price, qty = f"{rng.randrange(1, 10**6)}.{rng.randrange(100)}", f"0.{rng.randrange(10**9)}"
            side = rng.choice((Side.BUY, Side.SELL))
            trades.append(make_trade(key, number, start_us + minute * MINUTE + time_us, price, qty, side))
            number += 1
    return trades


class Feed:
    """A producer of one key that keeps to the rules: progress, begin, trades acknowledged before their marker."""

    def __init__(self, key: str, truth: list[Trade], rng: random.Random) -> None:
        self.key = key
        self.truth = truth
        self.rng = rng
        self.sent = 0
        self.marked_us = 0
        self.published_until_us = 0
        self.alive = False

    def start(self, log: Log, progress: dict[str, Marker], now_us: int) -> None:
        self.alive = True
        newest = progress.get(self.key)
        if newest is None:
            self.marked_us = -(-(now_us + 1) // MINUTE) * MINUTE
            self.sent = sum(trade.time_us < self.marked_us for trade in self.truth)
        else:
            self.marked_us = newest.complete_until_us
            last = int(newest.last_trade_id) if newest.last_trade_id else -1
            self.sent = sum(int(trade.trade_id) <= last or trade.time_us < self.marked_us for trade in self.truth)
        self.published_until_us = self.marked_us
        self._mark(log, progress, Proof.BEGIN)

    def advance(self, log: Log, progress: dict[str, Marker], now_us: int) -> None:
        """Publish what the exchange had until `now_us`, now and then a record twice, and the markers due."""
        while self.sent < len(self.truth) and self.truth[self.sent].time_us < now_us:
            trade = self.truth[self.sent]
            while trade.time_us >= self.marked_us + MINUTE:
                self.marked_us += MINUTE
                self._mark(log, progress, Proof.IDS)
            if self.rng.random() < 0.05 and trade.time_us // MINUTE == now_us // MINUTE and self.rng.random() < 0.5:
                return
            log.trade(trade)
            if self.rng.random() < 0.05:
                log.trade(trade)
            self.published_until_us = max(self.published_until_us, trade.time_us + 1)
            self.sent += 1
        while self.marked_us + MINUTE <= now_us and self.rng.random() < 0.8:
            self.marked_us += MINUTE
            self._mark(log, progress, Proof.IDS)

    def _mark(self, log: Log, progress: dict[str, Marker], proof: Proof) -> None:
        last = next((t for t in reversed(self.truth) if t.time_us < self.marked_us), None)
        marker = Marker(
            complete_until_us=self.marked_us,
            published_until_us=max(self.marked_us, self.published_until_us),
            proof=proof,
            last_trade_id=last.trade_id if last else None,
            last_price=last.price if last else None,
        )
        log.append(self.key, None, encode_marker(marker))
        if proof is not Proof.BEGIN and (
            self.key not in progress or progress[self.key].complete_until_us < self.marked_us
        ):
            progress[self.key] = marker


def make_log(
    seed: int, *, minutes: int = 30, runs: bool = True, start_us: int = START, keys: Sequence[str] = KEYS
) -> tuple[Log, dict[str, list[Trade]]]:
    """A log of that many market minutes, and the true trades of each key."""
    rng = random.Random(seed)
    truths = {key: history(rng, key, minutes, start_us) for key in keys}
    log, progress = Log(now_ms=start_us // 1000), dict[str, Marker]()
    # Two feeds that start before either wrote progress, the first of which dies, give an honest hole: not made here.
    feeds = [Feed(key, truths[key], rng) for key in keys for _ in range(rng.choice((1, 1, 2)))]
    now_us = start_us
    while now_us < start_us + (minutes - 1) * MINUTE:
        now_us += rng.randrange(1, MINUTE)
        log.now_ms = max(log.now_ms, now_us // 1000 + rng.randrange(500))
        for feed in rng.sample(feeds, len(feeds)):
            if not feed.alive:
                blind = any(other.alive for other in feeds if other.key == feed.key) and feed.key not in progress
                if not blind and rng.random() < 0.5:
                    feed.start(log, progress, now_us)
            elif feed.key in progress and rng.random() < 0.03:
                feed.alive = False
            else:
                feed.advance(log, progress, now_us)
        if rng.random() < 0.05:
            log.append(rng.choice(keys), rng.choice((b"", b"{", b"null", b'{"exchange":1}')))
        if rng.random() < 0.05:
            log.append(rng.choice(keys), None, [("roll", b"1")])
        if runs and rng.random() < 0.05:
            publish_run(log, rng.choice(keys), rng, run=f"run-{len(log.records)}")
    return log, truths


def publish_run(log: Log, key: str, rng: random.Random, run: str) -> None:
    """A run of some old minutes; interrupted somewhere and published again from its start, now and then."""
    first_us = START - 10_000 * MINUTE
    trades: list[Trade] = []
    for minute in range(length := rng.randrange(1, 15)):
        for _ in range(rng.choice((0, 1, 3))):
            at = first_us + minute * MINUTE + rng.randrange(MINUTE)
            trades.append(make_trade(key, len(trades) + 1, at, f"{rng.randrange(1, 99)}.5"))
    trades.sort(key=lambda trade: trade.time_us)
    records: list[tuple[str, object]] = []
    for minute in range(length):
        until_us = first_us + (minute + 1) * MINUTE
        records += [("trade", t) for t in trades if until_us - MINUTE <= t.time_us < until_us]
        records.append(("marker", until_us))
    if rng.random() < 0.4:
        _write_run(log, key, run, first_us, records[: rng.randrange(len(records))], end_us=None)
    _write_run(log, key, run, first_us, records, end_us=first_us + length * MINUTE)


def publish_again(log: Log, key: str, truth: Iterable[Trade], *, first_minute: int, minutes: int, run: str) -> None:
    """A run of some minutes, with the trades that a live feed had; each copy says where it is from."""
    first_us = START + first_minute * MINUTE
    records: list[tuple[str, object]] = []
    for until_us in range(first_us + MINUTE, first_us + (minutes + 1) * MINUTE, MINUTE):
        records += [
            ("trade", structs.replace(trade, source=Source.ARCHIVE, received_us=until_us + len(log.records)))
            for trade in truth
            if until_us - MINUTE <= trade.time_us < until_us
        ]
        records.append(("marker", until_us))
    _write_run(log, key, run, first_us, records, end_us=first_us + minutes * MINUTE)


def _write_run(
    log: Log, key: str, run: str, first_us: int, records: list[tuple[str, object]], end_us: int | None
) -> None:
    log.marker(key, first_us, Proof.BEGIN, run=run)
    for kind, what in records:
        if kind == "trade":
            assert isinstance(what, Trade)
            log.trade(what, run)
        else:
            assert isinstance(what, int)
            log.marker(key, what, run=run, end=what == end_us)


def expected(trades: Iterable[Trade], open_us: int) -> dict[str, object] | None:
    """A minute's figures from its trades, by plain integers at 18 places; None without trades."""
    inside = {t.trade_id: t for t in trades if open_us <= t.time_us < open_us + MINUTE}
    ordered = sorted(inside.values(), key=lambda t: (t.time_us, int(t.trade_id)))
    if not ordered:
        return None
    price = [int(t.price * 10**18) for t in ordered]
    qty = [int(t.qty * 10**18) for t in ordered]
    buys = [t.side is Side.BUY for t in ordered]
    return {
        "open": price[0],
        "high": max(price),
        "low": min(price),
        "close": price[-1],
        "volume": sum(qty),
        "quote_volume": sum(p * q for p, q in zip(price, qty, strict=True)),
        "trades": len(ordered),
        "taker_buy_volume": sum(q for q, buy in zip(qty, buys, strict=True) if buy),
        "taker_buy_quote_volume": sum(p * q for p, q, buy in zip(price, qty, buys, strict=True) if buy),
        "first_trade_id": str(min(int(t.trade_id) for t in ordered)),
        "last_trade_id": str(max(int(t.trade_id) for t in ordered)),
    }


def trades_in(records: Iterable[LogRecord], key: str) -> list[Trade]:
    """The live trades of a key in the log, by the records' own words."""
    return [
        decode_trade(record.value)
        for record in records
        if record.key == key.encode() and record.value and b"trade_id" in record.value and not record.headers
    ]
