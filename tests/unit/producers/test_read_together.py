"""Frames that are read together and published without an object for each trade: what comes out is the same."""

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.codec import decode_trade, encode_marker, encode_trade
from market.encoded_trades import EncodedTrades
from market.errors import MalformedError
from market.key import MarketKey
from market.trade import Marker
from producers.exchange import Exchange, Message, ReadsTogether, RefusedTrade, TradeFrames, TradesPage
from producers.exchanges.binance import Binance
from producers.exchanges.binance_usdm import BinanceUsdM
from producers.feed.deciding import Deciding
from producers.feed.inbox import Connected, Disconnected, FromConnection, PageAnswer
from producers.feed.klines import Klines
from producers.feed.outbox import Outbox
from producers.feed.reading import TOGETHER, read_frames
from producers.feed.symbol import PageRequest, SymbolFeed
from runtime.settings import Settings
from runtime.telemetry import Meter

NAMES = {"BTCUSDT": "BTC-USDT", "ETHUSDT": "ETH-USDT", "PEPEUSDT": "PEPE-USDT"}
START_MS = 1_700_000_000_000
AMOUNTS = ["1", "0.1", "27000.10000000", "100", "100.00", "0.00000123", "123456.12345678901", "1234567.8", "0.50"]
ODD_AMOUNTS = [
    "0", "0.000", "00.1", "01", "1.", ".1", "-1", "1e3", "NaN", "", " 1", "1 1", "1.5\\n2.5", "१", "1" * 41,
    "123456789012.5", "1234567890123456", "0." + "0" * 20 + "1", "1." + "0" * 50,
]  # fmt: skip


def exchange(kind: type[Any]) -> Any:
    return kind(Settings(_env_file=None))


def frame(native: str, number: Any, time_ms: Any, **other: Any) -> bytes:
    """A frame of Binance's combined stream; `other` replaces fields, texts as they are in JSON."""
    fields = {"E": time_ms + 1, "p": '"27000.10"', "q": '"0.0010"', "m": "true"} | other
    return (
        f'{{"stream":"{native.lower()}@trade","data":{{"e":"trade","E":{fields["E"]},"s":"{native}","t":{number},'
        f'"p":{fields["p"]},"q":{fields["q"]},"T":{time_ms},"m":{fields["m"]},"M":true}}}}'
    ).encode()


def each(of: Exchange, frames: Sequence[bytes], received_us: Sequence[int]) -> list[Message | str]:
    """What each says by itself, up to one that cannot be read; then why."""
    said: list[Message | str] = []
    for raw, came_us in zip(frames, received_us, strict=True):
        try:
            said.append(of.read(raw, NAMES, came_us))
        except MalformedError as error:
            return [*said, str(error)]
    return said


def together(of: Exchange, frames: Sequence[bytes], received_us: Sequence[int]) -> list[Message | TradeFrames | str]:
    said: list[Message | TradeFrames | str] = []
    try:
        said.extend(read_frames(of, frames, received_us, NAMES))  # keeps what came before an error
    except MalformedError as error:
        said.append(str(error))
    return said


def opened(of: Exchange, messages: Sequence[Message | TradeFrames | str]) -> list[Message | str]:
    """Messages of their own in place of frames that were read together; their records are those of these messages."""
    said: list[Message | str] = []
    for message in messages:
        if not isinstance(message, TradeFrames):
            said.append(message)
            continue
        own = [of.read(raw, NAMES, us) for raw, us in zip(message.frames, message.received_us, strict=True)]
        said += own
        trades = [trade for each in own for trade in each.trades]
        assert len(trades) == len(own) == sum(len(columns.values) for columns in message.trades.values())
        assert not any(each.refused or each.closing or each.accepted or each.rejected for each in own)
        for native, columns in message.trades.items():
            mine = [trade for trade in trades if trade.symbol == NAMES[native]]
            assert columns.values == [encode_trade(trade) for trade in mine]
            assert [decode_trade(value) for value in columns.values] == mine
            assert columns.numbers == [int(trade.trade_id) for trade in mine]
            assert columns.times_us == [trade.time_us for trade in mine]
            assert (columns.time_us, columns.received_us) == (mine[-1].time_us, mine[-1].received_us)
        leads = [each.server_us - trade.time_us for each, trade in zip(own, trades, strict=True)]
        assert message.times == (
            max(each.server_us for each in own), max(trade.time_us for trade in trades), trades[-1].time_us,
            min(leads), max(leads),
        )  # fmt: skip
    return said


AGGREGATE = (
    b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1700000000001,"s":"BTCUSDT","a":5933014,"p":"0.001",'
    b'"q":"100","nq":"100","f":100,"l":105,"T":1700000000000,"m":true}}'
)


@pytest.mark.parametrize(
    ("kind", "payload"), [(Binance, frame("BTCUSDT", 12345, START_MS)), (BinanceUsdM, AGGREGATE)], ids=["spot", "usdm"]
)
def test_usual_frames_are_read_together(kind: type[Any], payload: bytes) -> None:
    of = exchange(kind)
    assert isinstance(of, ReadsTogether)
    frames, received_us = [payload] * TOGETHER, [START_MS * 1000 + number for number in range(TOGETHER)]
    said = together(of, frames, received_us)
    assert [type(message) for message in said] == [TradeFrames]
    assert opened(of, said) == each(of, frames, received_us)


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("field", ["p", "q"])
def test_amounts_are_written_as_decimals_would_be(field: str, amount: str) -> None:
    of = exchange(Binance)
    small = '"0.5"' if field == "q" else '"1"'
    frames = [frame("BTCUSDT", 7, START_MS, **{"p": small, "q": small, field: f'"{amount}"'})] * TOGETHER
    said = together(of, frames, [START_MS * 1000] * TOGETHER)
    assert opened(of, said) == each(of, frames, [START_MS * 1000] * TOGETHER)
    assert isinstance(said[0], TradeFrames) == (not (field == "p" and amount == "1234567.8"))


def odd_frame(rng: random.Random, number: int, ms: int) -> bytes:
    """A frame that is no usual one; in some the feed finds a trade nevertheless."""
    usual = frame("BTCUSDT", number, ms)
    return rng.choice(
        [
            frame("BTCUSDT", number, ms, p=f'"{rng.choice(ODD_AMOUNTS)}"'),
            frame("BTCUSDT", number, ms, q=f'"{rng.choice(ODD_AMOUNTS)}"'),
            frame("BTCUSDT", number, ms, p="27000.1"),
            frame("XRPUSDT", number, ms),
            frame("BTCUSDT", rng.choice([-1, 10**18, 2**64, '"7"', 1.5, "null"]), ms),
            frame("BTCUSDT", number, rng.choice([0, -5, 9_007_199_254_000, 2**63])),
            frame("BTCUSDT", number, ms, m=rng.choice(["1", "null", '"true"'])),
            frame("BTCUSDT", number, ms, E=rng.choice(['"x"', "null", "0", str(2**70)])),
            usual[: rng.randrange(120)],
            usual + rng.choice([b"x", b" ", b"\n", b"\n{}", b"\xff"]),
            b'{"e":5,' + usual[1:],
            usual.replace(b'"trade"', b'"aggTrade"'),
            f'{{"stream":"x","data":{{"e":"kline","E":{ms}}}}}'.encode(),
            f'{{"data":{{"e":"serverShutdown","E":{ms}}}}}'.encode(),
            rng.choice([b"", b"{}", b"[]", b"null", b"<html>", b'{"data":null}', b"\n"]),
        ]
    )


@settings(max_examples=300)
@given(st.integers(0), st.integers(0, 60), st.floats(0, 0.5))
def test_whatever_comes_is_read_as_each_by_itself(seed: int, count: int, odd: float) -> None:
    of, rng = exchange(Binance), random.Random(seed)
    frames, received_us = [], [START_MS * 1000 + number for number in range(count)]
    for number in range(count):
        if rng.random() < odd:
            frames.append(odd_frame(rng, number, START_MS))
        else:
            amounts = {
                "p": f'"{rng.choice(AMOUNTS)}"',
                "q": f'"{rng.choice(AMOUNTS)}"',
                "m": rng.choice(["true", "false"]),
            }
            frames.append(frame(rng.choice(list(NAMES)), number, START_MS + rng.randrange(3), **amounts))
    assert opened(of, together(of, frames, received_us)) == each(of, frames, received_us)


class Published(NamedTuple):
    """What a round sends; trades by key, because only within a key the order means something."""

    trades: dict[bytes, list[bytes]]
    rest: list[Any]


def encoded(what: Marker | RefusedTrade) -> object:
    return encode_marker(what) if isinstance(what, Marker) else what


def published(outbox: Outbox) -> Published:
    trades: dict[bytes, list[bytes]] = {}
    for symbol, traded in outbox.trades:
        values = traded.values if isinstance(traded, EncodedTrades) else [encode_trade(traded)]
        trades.setdefault(symbol.key, []).extend(values)

    def named(pairs: Sequence[tuple[Any, Any]]) -> list[Any]:
        return sorted(((symbol.key if symbol else b""), repr(encoded(what))) for symbol, what in pairs)

    events = sorted(map(repr, outbox.events))
    silent = sorted(symbol.key for symbol in outbox.silent)
    rest = [named(outbox.begins), named(outbox.refused), named(outbox.taken_back), named(outbox.resets)]
    return Published(trades, [*rest, named(outbox.markers), events, silent])


class Market:
    """Three symbols whose trades come in all ways that the feed has rules for."""

    def __init__(self, rng: random.Random, late_ms: int = 0) -> None:
        self.rng = rng
        self.now_ms, self.late_ms = START_MS, late_ms
        self.next = dict.fromkeys(NAMES, 100)
        self.history: dict[str, list[bytes]] = {native: [frame(native, 99, START_MS)] for native in NAMES}

    def trade(self) -> bytes:
        rng, native = self.rng, self.rng.choice(list(NAMES))
        self.now_ms += rng.choice([0, 0, 1, 5, 300, *([2_500] if self.late_ms and rng.random() < 0.1 else [])])
        self.next[native] += 1
        amounts = {"p": f'"{rng.choice(AMOUNTS[:6])}"', "q": f'"{rng.choice(AMOUNTS[:6])}"'}
        time_ms = self.now_ms - rng.choice([0] * 9 + [self.late_ms])
        made = frame(native, self.next[native], time_ms, **amounts)
        self.history[native].append(made)
        return made

    def frames(self, oddity: float) -> list[bytes]:
        rng, came = self.rng, [self.trade() for _ in range(self.rng.choice([2, 5, 40, 40]))]
        if rng.random() < oddity:
            kind, place = rng.randrange(7), rng.randrange(len(came))
            if kind == 0:
                del came[place]  # a gap
            elif kind == 1:
                came.insert(place, rng.choice(rng.choice(list(self.history.values()))))  # a repetition
            elif kind == 2:
                rng.shuffle(came)
            elif kind == 3:
                came.insert(place, frame("BTCUSDT", self.next["BTCUSDT"] + 1, self.now_ms + rng.choice([9e6, 9e8])))  # type: ignore[arg-type]
            elif kind == 4:
                self.now_ms += rng.choice([2_500, 60_000, 700_000])
            elif kind == 5:
                self.next[rng.choice(list(NAMES))] = rng.randrange(50)  # a reset
            else:
                came.insert(place, odd_frame(rng, self.next["BTCUSDT"], self.now_ms))
        if rng.random() < 0.3:
            came.append(f'{{"stream":"x","data":{{"e":"kline","E":{self.now_ms}}}}}'.encode())
        return came


class Feed:
    """One of the two ways; its requests are answered from the market's history."""

    def __init__(self, of: Exchange, read: Callable[..., list[Any]]) -> None:
        self.read, self.of = read, of
        self.deciding = Deciding(of, Meter("produce"), 1_200.0)
        feeds = [SymbolFeed(MarketKey(of.name, ours), native=native, partition=0, page_trades=50)
                 for native, ours in NAMES.items()]  # fmt: skip
        for feed in feeds:
            feed.klines = Klines(lag_s=0.0, patience_s=0.0)
        self.deciding.add(feeds)

    def round(self, frames: Sequence[bytes], received_us: Sequence[int], now_s: float, before: list[Any]) -> Published:
        arrived = [FromConnection(0, event) for event in before]
        for message in self.read(self.of, frames, received_us):
            if isinstance(message, str):
                arrived.append(FromConnection(0, Disconnected(message)))
                arrived.append(FromConnection(0, Connected()))
            else:
                arrived.append(FromConnection(0, message))
        return published(self.deciding.decide(arrived, now_s, received_us[-1] + 1_000))

    def ask(self, now_s: float) -> list[tuple[SymbolFeed, PageRequest]]:
        requests = [(feed, feed.next_request(now_s)) for feed in self.deciding.active]
        return sorted(((feed, asked) for feed, asked in requests if asked is not None), key=lambda pair: pair[0].key)  # type: ignore[misc]

    def answer(
        self, market: Market, asked: list[tuple[SymbolFeed, PageRequest]], now_s: float, wall_us: int
    ) -> Published:
        arrived = []
        for feed, request in asked:
            rows = [trade for raw in market.history[feed.native][-80:] for trade in self.of.read(raw, NAMES, 1).trades]
            if request.known is None:
                rows = rows[-1:]
            else:
                rows = sorted(
                    (row for row in rows if int(row.trade_id) >= request.known), key=lambda row: int(row.trade_id)
                )
            arrived.append(PageAnswer(feed, request, TradesPage(rows[: request.limit], len(rows) < request.limit)))
        return published(self.deciding.decide(arrived, now_s, wall_us))


@settings(max_examples=150, deadline=None)
@given(st.integers(0), st.sampled_from([0.0, 0.2, 0.6]), st.integers(5, 40))
def test_the_feed_decides_the_same_whichever_way_frames_are_read(seed: int, oddity: float, rounds: int) -> None:
    rng, now_s = random.Random(seed), 100.0
    of, market = exchange(Binance), Market(rng, 400 if oddity else 0)
    ways = [Feed(of, each), Feed(of, together)]
    for number in range(rounds):
        now_s += rng.choice([0.01, 0.01, 0.3, 5.0, 2_000.0 if oddity else 0.1])
        before = [Connected()] if number == 0 else []
        if oddity and rng.random() < 0.05:
            before = [Disconnected("lost"), Connected()]
        frames = market.frames(oddity)
        received_us = [market.now_ms * 1000 + index for index in range(len(frames))]
        sent = [way.round(frames, received_us, now_s, before) for way in ways]
        assert sent[0] == sent[1]
        asked = [way.ask(now_s + 0.3) for way in ways]
        assert [[(feed.key, request) for feed, request in each] for each in asked] == [
            [(feed.key, request) for feed, request in asked[0]]
        ] * 2
        if rng.random() < 0.7:
            answers = [way.answer(market, mine, now_s + 0.4, received_us[-1] + 2_000)
                       for way, mine in zip(ways, asked, strict=True)]  # fmt: skip
            assert answers[0] == answers[1]


def test_trades_that_follow_on_one_another_go_without_an_object_each() -> None:
    of = exchange(Binance)
    feed = Feed(of, together)
    for number in range(4):
        times_ms = [START_MS + 100 * number + index for index in range(20)]
        frames = [frame("BTCUSDT", 1_000 + 20 * number + index, time_ms) for index, time_ms in enumerate(times_ms)]
        messages = together(of, frames, [times_ms[-1] * 1000] * len(frames))
        events: list[Any] = [Connected(), *messages] if number == 0 else messages
        arrived = [FromConnection(0, event) for event in events]
        outbox = feed.deciding.decide(arrived, 100.0 + number, times_ms[-1] * 1000)
        traded = [traded for _, traded in outbox.trades]
        assert outbox.count() == (20, 0)
        if number > 0:  # the first round begins
            assert [type(columns) for columns in traded] == [EncodedTrades]
