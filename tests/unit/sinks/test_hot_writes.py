"""What a batch changes in the hot store; which copies and versions are left out; what lost writes are recognised by."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log import T0_US, candle, trade
from records import BAR, FUNDING, INSTRUMENT, SIGNAL, TICKER

from market.candle import id_order
from market.codec import decode_trade, encode_trade
from market.key import MarketKey
from market.timeframe import Timeframe
from market.trade import numeric_id
from sinks.redis import calls as redis_calls
from sinks.redis import encode as redis
from sinks.redis import keys
from sinks.redis.positions import NOWHERE, Loss, Note, PartitionRecord, Position, find_loss
from sinks.redis.scripts import Call
from sinks.redis.trades import HotTrades, trade_member
from sinks.redis.writes import Write, WriteKind

RUN = (("run", b"r"),)


@pytest.fixture(params=[0, 1000], ids=["by columns", "one by one"], autouse=True)
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.redis.trades.FEW", request.param)


def record(fields: dict[str, Any], headers: tuple[tuple[str, bytes], ...] = (), *, plain: bool = True) -> Any:
    value = json.dumps(fields).encode()
    key = f"{fields['exchange']}:{fields['symbol']}".encode()
    return SimpleNamespace(
        offset=0, key=key, value=encode_trade(decode_trade(value)) if plain else value, headers=headers
    )


def trades_of(write: Write) -> list[list[tuple[int, str, dict[str, Any]]]]:
    """Time, member and value of the live trades, and of those of runs."""
    parts = [[part.decode().split("\n") if part else [] for part in write.lists[at : at + 3]] for at in (0, 3)]
    return [
        [(int(time), member, json.loads(value)) for time, member, value in zip(*part, strict=True)] for part in parts
    ]


def test_hot_members_sort_as_trade_ids_do() -> None:
    ids = ["9", "10", "99", "100", "abc", "007", "0", "1" * 18, "1" * 19]

    def member(trade_id: str) -> str:
        number = numeric_id(trade_id)
        return trade_member(trade_id if number is None else number)

    assert sorted(ids, key=member) == sorted(ids, key=id_order)


def test_a_market_s_trades_are_one_write_with_the_log_s_own_bytes() -> None:
    usual = [record(trade(number, symbol=symbol)) for number in range(3) for symbol in ("A-B", "C-D")]
    encoded = HotTrades("p.", 1).encode(0, usual)
    assert [(write.tag, write.keys) for write in encoded.chunk] == [
        (f"binance:{symbol}", (f"p.cw:trades:{{binance:{symbol}}}", f"p.cw:trades:data:{{binance:{symbol}}}"))
        for symbol in ("A-B", "C-D")
    ]
    assert encoded.chunk[0].lists[2] == b"\n".join(one.value for one in usual[::2])


def test_what_is_not_in_canonical_form_is_held_in_it() -> None:
    odd = [
        record(trade(1), plain=False),
        record(trade(2, qty="0.100", price="5.0")),
        SimpleNamespace(**vars(record(trade(3))) | {"value": record(trade(3)).value.replace(b'.5"', b'.50"')}),
        SimpleNamespace(**vars(record(trade(4))) | {"value": record(trade(4)).value.replace(b',"source":"ws"', b"")}),
    ]
    [write] = HotTrades("", 1).encode(0, odd).chunk
    assert write.lists[2].split(b"\n") == [encode_trade(decode_trade(one.value)) for one in odd]


def test_of_live_copies_the_first_goes_and_of_runs_the_last_and_a_run_s_only_replaces() -> None:
    copies = [
        record(trade(1, price="1")), record(trade(1, price="2"), plain=False), record(trade(1, price="3"), RUN),
        record(trade(1, price="4"), RUN), record(trade(2, trade_id="x", price="5")),
        record(trade(2, trade_id="x", price="6")), record(trade(7, price="7"), RUN),
    ]  # fmt: skip
    [write] = HotTrades("", 1).encode(0, copies).chunk
    live, runs = trades_of(write)
    assert [(member, value["price"]) for _, member, value in live] == [("0011", "1"), ("1x", "5")]
    assert [(member, value["price"]) for _, member, value in runs] == [("0011", "4"), ("0017", "7")]
    assert write.skipped == 0


def test_of_many_trades_the_newest_go_and_the_others_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.redis.trades.TRADES_KEPT", 3)
    same_time = {"time_us": T0_US + 10**6}
    ids = [record(trade(number, **same_time)) for number in (9, 100, 10, 9, 100)]
    ids += [record(trade(0, trade_id="x", **same_time)), record(trade(1)), record(trade(1))]
    [write] = HotTrades("", 1).encode(0, ids).chunk
    assert [member for _, member, _ in trades_of(write)[0]] == ["00210", "003100", "1x"]
    assert write.skipped == 2


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.booleans(), st.booleans()), max_size=40))
def test_the_order_of_the_log_counts_whatever_form_a_trade_has(told: list[tuple[int, int, bool, bool]]) -> None:
    log = [
        record(trade(number, price=str(1 + place), time_us=T0_US + later), RUN if of_run else (), plain=plain)
        for place, (number, later, of_run, plain) in enumerate(told)
    ]
    live: dict[str, str] = {}
    runs: dict[str, str] = {}
    for place, (number, _, of_run, _) in enumerate(told):
        if of_run:
            runs[str(number)] = str(1 + place)
        else:
            live.setdefault(str(number), str(1 + place))
    writes = HotTrades("", 1).encode(0, log).chunk
    sent = (
        [{value["trade_id"]: value["price"] for _, _, value in part} for part in trades_of(writes[0])]
        if writes
        else [{}, {}]
    )
    assert sent == [live, runs]


def of_records(kind: redis.HotKind, values: list[dict[str, Any]]) -> list[Write]:
    encoded = redis.HotRecords(kind, "", 1).encode(0, [record(value, plain=False) for value in values])
    assert not encoded.refused
    return list(encoded.chunk)


def test_of_a_candle_s_versions_the_newest_goes_and_of_many_candles_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "candles_kept", lambda _: 2)
    minutes = [candle(minute, revision) for minute, revision in [(0, 1), (1, 5), (1, 3), (2, 2), (2, 2), (1, 4)]]
    [write] = of_records(redis.candles(Timeframe.M1), minutes)
    opens, revisions, values = (part.decode().split("\n") for part in write.lists)
    assert list(zip(opens, revisions, strict=True)) == [
        (str(candle(minute, 0)["open_time_ms"]), revision) for minute, revision in ((1, "5"), (2, "2"))
    ]
    assert [json.loads(value)["revision"] for value in values] == [5, 2]
    assert write.skipped == 4


def test_a_candle_of_another_timeframe_goes_under_its_own_key() -> None:
    strange = candle(1, 1, timeframe="5m", close_time_ms=1_700_000_399_999)
    writes = of_records(redis.candles(Timeframe.M1), [candle(0, 1), strange])
    assert [write.keys for write in writes] == [
        ("cw:candles:1m:{binance:BTC-USDT}",), ("cw:candles:5m:{binance:BTC-USDT}",),
    ]  # fmt: skip


def test_the_newest_of_what_there_is_one_of_goes() -> None:
    [live] = of_records(redis.LIVE, [candle(5, 20), candle(6, 30), candle(5, 40)])
    assert live.lists[:3] == (b"", str(candle(6, 0)["open_time_ms"]).encode(), b"30")
    [ticker] = of_records(redis.TICKERS, [TICKER | {"revision": revision} for revision in (1, 3, 2)])
    assert (ticker.lists[2], ticker.skipped) == (b"3", 2)


def test_funding_is_kept_by_kind_and_instruments_by_exchange() -> None:
    rates = [
        FUNDING | {"kind": kind, "time_ms": time_ms}
        for kind, time_ms in [("settled", 1), ("expected", 9), ("settled", 5)]
    ]
    [write] = of_records(redis.FUNDING, rates)
    assert (write.keys, write.lists[:2]) == (("cw:funding:{binance:BTC-USDT-PERP}",), (b"expected\nsettled", b"9\n5"))
    listed = [INSTRUMENT, INSTRUMENT | {"symbol": "A-B"}, INSTRUMENT | {"status": "halted"}]
    [write] = of_records(redis.INSTRUMENTS, listed)
    assert (write.tag, write.keys, write.lists[0]) == ("binance", ("cw:instruments:{binance}",), b"A-B\nBTC-USDT")
    assert [json.loads(value)["status"] for value in write.lists[3].split(b"\n")] == ["trading", "halted"]


def test_of_a_signal_s_versions_the_newest_goes_and_of_many_signals_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "SIGNALS", redis.SIGNALS._replace(kept=5))
    told = [
        {"revision": 1}, {"revision": 3}, {"revision": 2}, {"kind": "stale", "other": None}, {"other": "okx:A-B"},
        {"window_minutes": 60}, {"time_ms": 120_000}, {"time_ms": 9},
    ]  # fmt: skip
    [write] = of_records(redis.SIGNALS, [SIGNAL | fields for fields in told])
    times, values = (part.decode().split("\n") for part in write.lists)
    identity = write.identity.decode().split("\n")
    assert (write.keys, write.skipped) == (("cw:signals:{binance:BTC-USDT}",), 3)
    assert times == ["60000", "60000", "60000", "60000", "120000"]
    assert identity == ["kind", "other", "window_minutes"]
    assert sorted(json.loads(value)["revision"] for value in values) == [2, 2, 2, 2, 3]


def test_live_bars_go_by_kind_and_threshold_and_those_of_runs_do_not() -> None:
    told = [BAR | fields for fields in ({"number": 10}, {"number": 9}, {"number": 9, "revision": 2}, {"kind": "tick"})]
    records = [record(fields, plain=False) for fields in told] + [record(BAR | {"number": 11}, RUN, plain=False)]
    encoded = redis.HotRecords(redis.BARS, "p.", 1).encode(0, records)
    dollars, ticks = encoded.chunk
    assert (dollars.keys, ticks.keys) == (
        ("p.cw:bars:dollar:1000000:{binance:BTC-USDT}",), ("p.cw:bars:tick:1000000:{binance:BTC-USDT}",),
    )  # fmt: skip
    values = [json.loads(value) for value in dollars.lists[1].split(b"\n")]
    assert [(value["number"], value["revision"]) for value in values] == [(9, 2), (10, 1)]
    assert (encoded.rows, encoded.refused, dollars.skipped) == (4, [], 1)


@pytest.mark.parametrize(
    "market", [MarketKey("binance", "BTC-USDT"), MarketKey("}x", "a{b}%7Dc"), MarketKey("币", "%")]
)
def test_a_market_s_keys_are_of_one_tag_that_says_which_market_it_is(market: MarketKey) -> None:
    named = [of(("p."), str(market)) for of in (keys.trades_key, keys.trades_data_key, keys.live_key, keys.written_key)]
    named.append(keys.candles_key("p.", str(market), "1m"))
    tags = {name[name.index("{") + 1 :].partition("}")[0] for name in named}
    assert len(tags) == 1
    assert "" not in tags
    assert {keys.market_of(name.encode()) for name in named} == {market}


def test_a_position_says_which_topic_it_is_of() -> None:
    assert Position.parse("12@abc") == (12, "abc")
    assert Position.parse("12@abc").offset_in("abc") == Position.parse("12").offset_in("abc") == 12
    assert Position.parse("12@abc").offset_in("") == 12, "brokers cannot say"
    assert Position.parse("12@abc").offset_in("other") == NOWHERE
    assert Position.parse("").offset == Position.parse("x@abc").offset == NOWHERE
    assert [str(Position(12, "abc")), str(Position(12, "")), str(Position(NOWHERE, "abc"))] == ["12@abc", "12", ""]


def test_a_tag_written_less_far_than_noted_is_a_loss_and_reading_goes_on_from_there() -> None:
    week_s = keys.POSITIONS_TTL_S
    fields = {b"position": b"90@T", b"{a}": b"80 1000", b"{b}": b"50 1000", b"{c}": b"60 1000", b"{old}": b"70 5"}
    after = PartitionRecord.parse(fields, now_s=week_s + 900)
    assert after.notes == {"a": Note(80, 1000), "b": Note(50, 1000), "c": Note(60, 1000)}, (
        "what is old may have expired"
    )
    assert find_loss(after, {"a": 80, "b": 55, "c": 60}) is None
    assert find_loss(after, {"a": 79, "b": 20, "c": 60}) == Loss({"a": 79, "b": 20}, 20)
    assert find_loss(after, {"a": NOWHERE, "b": 50, "c": 60}) == Loss({"a": NOWHERE}, NOWHERE)
    after.position = "10@T"
    assert find_loss(after, {"a": 79, "b": 50, "c": 60}) == Loss({"a": 79}, 10), "it was moved back"
    after.position = ""
    assert find_loss(after, {"a": 79, "b": 50, "c": 60}) == Loss({"a": 79}, NOWHERE), "it is read from the beginning"
    assert [after.known(tag, week_s + 900) for tag in ("a", "d")] == [80, NOWHERE]
    assert after.known("a", week_s + 1000) == NOWHERE


def placed(tag: str, items: int, *, of_runs: int = 0) -> redis_calls.PlacedWrite:
    """A write of so many trades of a market."""
    columns = [[f"{tag}{name}{number}" for number in range(items)] for name in "tmv"]
    columns += [[f"{tag}{name}run{number}" for number in range(of_runs)] for name in "tmv"]
    lists = tuple("\n".join(column).encode() for column in columns)
    write = Write(WriteKind.TRADES, tag, (f"k{tag}", f"d{tag}"), 60, 500, 0, lists, items, of_runs=of_runs)
    return redis_calls.PlacedWrite(f"topic/0 id -1 {items} 0", write)


def made(writes: list[redis_calls.PlacedWrite], *, any_keys: bool) -> list[Call]:
    return list(redis_calls.joined(writes, prefix="", publish="PUBLISH", any_keys=any_keys))


def test_writes_of_many_markets_are_one_call_whose_lists_run_on() -> None:
    [call] = made([placed("a", 2), placed("b", 0, of_runs=1), placed("c", 1)], any_keys=True)
    assert call.keys == tuple(name for tag in "abc" for name in (f"cw:written:{{{tag}}}", f"k{tag}", f"d{tag}"))
    assert call.arguments[6] == "topic/0 id -1 2 0 0 2 0\ntopic/0 id -1 0 0 0 0 1\ntopic/0 id -1 1 0 0 1 0"
    assert call.arguments[7:] == (b"at0\nat1\nct0", b"am0\nam1\ncm0", b"av0\nav1\ncv0", b"btrun0", b"bmrun0", b"bvrun0")


def test_in_a_cluster_a_call_has_the_writes_of_one_market_in_their_order() -> None:
    calls = made([placed("a", 1), placed("b", 1), placed("a", 2)], any_keys=False)
    assert [call.keys[1::3] for call in calls] == [("ka", "ka"), ("kb",)]
    assert calls[0].arguments[7] == b"at0\nat0\nat1"


def test_a_call_is_bounded() -> None:
    calls = made([placed("a", 600), placed("b", 300, of_runs=300), placed("c", 1)], any_keys=True)
    assert [call.keys[1::3] for call in calls] == [("ka", "kb"), ("kc",)]


def test_writes_that_are_kept_in_different_ways_are_calls_of_their_own() -> None:
    other = placed("b", 1)
    calls = made([placed("a", 1), other._replace(write=other.write._replace(ttl_s=61))], any_keys=True)
    assert [call.arguments[3] for call in calls] == [60, 61]
