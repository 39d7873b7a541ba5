"""The JSON Schemas and the codec take and refuse the same records."""

import json
import re
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from bar_log import Disk, new_core
from hypothesis import given, settings
from hypothesis import strategies as st
from json_schema import as_texts, validator
from market_log import make_log
from market_strategies import (
    bars,
    candles,
    feed_events,
    funding_rates,
    given_candles,
    instruments,
    markers,
    progresses,
    signals,
    tickers,
    trades,
)

from market import codec
from market.errors import MalformedError
from market.signal import Signal
from market.trade import Marker
from processors.candles.core import Core, Rules
from processors.candles.state import changes

KINDS: dict[str, tuple[Any, Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "trade": (trades, codec.encode_trade, codec.decode_trade),
    "candle": (candles, codec.encode_candle, codec.decode_candle),
    "bar": (bars, codec.encode_bar, codec.decode_bar),
    "ticker": (tickers, codec.encode_ticker, codec.decode_ticker),
    "signal": (signals, codec.encode_signal, codec.decode_signal),
    "feed-event": (feed_events, codec.encode_feed_event, codec.decode_feed_event),
    "progress": (progresses, codec.encode_progress, codec.decode_progress),
    "instrument": (instruments, codec.encode_instrument, codec.decode_instrument),
    "funding-rate": (funding_rates, codec.encode_funding_rate, codec.decode_funding_rate),
    "kline": (given_candles, codec.encode_given_candle, codec.decode_given_candle),
}
VALIDATORS = {name: validator(name) for name in (*KINDS, "marker", "run-header", "dead-letter", "state", "bars-state")}
WRONG = [
    *[None, True, 0, -1, 1.0, 1.5, 1 << 63, 1 << 64, [], {}, [1]],
    *["", "x" * 128, "x" * 129, "a:b", "a|b", "ws", "complete", "0", "1", "-1", "+1", "1.5", "-0.5", "1e5", "NaN"],
    *["1\n", "\n1", " 1", "1.", ".5", "1,5", "\u0663", "1" * 41, "1" * 101, "0." + "1" * 41, "0." + "1" * 81],
    *[
        "0.0",
        "1" + "0" * 15,
        "1" + "0" * 16,
        "1" + "0" * 20,
        "0." + "1" * 19,
        "1." + "0" * 30,
        "a\x00",
        "\x7f",
        "99x",
        "1d",
    ],
    *[1 << 53, (1 << 53) - 1],
]
few = settings(max_examples=40, deadline=None)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from(WRONG),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


BEYOND_A_SCHEMA = re.compile(r"price \* qty|from low|of a \w+ candle|has \d+ bytes|is before open|below threshold")
"""Refusals that a schema cannot express: fields held against each other, bytes counted."""


def is_read(decode: Callable[[Any], Any], record: Any) -> bool:
    return refusal(decode, record) is None


def refusal(decode: Callable[[Any], Any], record: Any) -> str | None:
    try:
        decode(record)
    except MalformedError as error:
        return str(error)
    return None


def holds_alike(name: str, fields: dict[str, Any]) -> None:
    refused = refusal(KINDS[name][2], json.dumps(fields).encode())
    valid = VALIDATORS[name].is_valid(fields)
    assert (refused is None) == valid or (valid and BEYOND_A_SCHEMA.search(refused or "")), (fields, refused)


@pytest.mark.parametrize("name", KINDS)
@few
@given(data=st.data())
def test_what_is_written_is_valid(name: str, data: st.DataObject) -> None:
    models, encode, _ = KINDS[name]
    VALIDATORS[name].validate(orjson.loads(encode(data.draw(models))))


@pytest.mark.parametrize("name", KINDS)
@few
@given(data=st.data())
def test_a_record_with_any_field_missing_or_replaced_is_taken_by_both_or_by_none(
    name: str, data: st.DataObject
) -> None:
    models, encode, _ = KINDS[name]
    fields = orjson.loads(encode(data.draw(models)))
    field = data.draw(st.sampled_from(sorted(VALIDATORS[name].schema["properties"])))
    holds_alike(name, {key: value for key, value in fields.items() if key != field})
    holds_alike(name, {**fields, field: data.draw(json_values)})
    for wrong in WRONG:
        holds_alike(name, {**fields, field: wrong})


@few
@given(data=st.data())
def test_so_is_a_ticker_with_any_field_of_a_window_replaced(data: st.DataObject) -> None:
    fields = orjson.loads(codec.encode_ticker(data.draw(tickers.filter(lambda ticker: ticker.windows))))
    window = data.draw(st.sampled_from(sorted(fields["windows"])))
    field = data.draw(st.sampled_from(sorted(fields["windows"][window])))
    for value in (data.draw(json_values), *WRONG):
        holds_alike("ticker", {**fields, "windows": {window: {**fields["windows"][window], field: value}}})
    without = {key: value for key, value in fields["windows"][window].items() if key != field}
    holds_alike("ticker", {**fields, "windows": {window: without}})
    for bad_name in ("", "x" * 129):
        holds_alike("ticker", {**fields, "windows": {bad_name: fields["windows"][window]}})


@few
@given(signals, st.text(max_size=5), json_values)
def test_so_is_a_signal_with_any_value_replaced(signal: Signal, name: str, value: Any) -> None:
    fields = orjson.loads(codec.encode_signal(signal))
    for wrong in (value, *WRONG):
        holds_alike("signal", {**fields, "values": {name: wrong}})
    for long_name in ("x" * 515, "x" * 516):
        holds_alike("signal", {**fields, "values": {long_name: "-1.5"}})


@pytest.mark.parametrize("value", [None, 1, "x", [], {}])
@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_record_at_all_is_refused_by_both(name: str, value: object) -> None:
    assert not is_read(KINDS[name][2], json.dumps(value).encode())
    assert not VALIDATORS[name].is_valid(value)


@few
@given(markers)
def test_a_marker_that_is_written_is_valid(marker: Marker) -> None:
    VALIDATORS["marker"].validate(as_texts(codec.encode_marker(marker)))


BEYOND_A_TEXT = re.compile(r"is no time in|not a whole minute|not a kline|the kline opens")
"""Refusals of a header that a schema cannot express: a whole minute, before June 2255; what JSON in a text says."""


header_texts = st.none() | st.sampled_from([wrong for wrong in WRONG if isinstance(wrong, str)]) | st.text(max_size=20)


@settings(max_examples=100, deadline=None)
@given(markers, st.sampled_from(sorted(Marker.__struct_fields__)), header_texts)
def test_a_marker_with_any_header_missing_or_replaced_is_taken_by_both_or_by_none(
    marker: Marker, name: str, text: str | None
) -> None:
    written = dict(codec.encode_marker(marker))
    without = {other: value for other, value in written.items() if other != name}
    for headers in (without, {**written, name: None if text is None else text.encode()}):
        valid = VALIDATORS["marker"].is_valid(as_texts(headers.items()))
        refused = refusal(codec.decode_marker, list(headers.items()))
        assert (refused is None) == valid or (valid and BEYOND_A_TEXT.search(refused or ""))


@given(header_texts)
def test_a_run_is_taken_by_both_or_by_none(text: str | None) -> None:
    headers = [("run", None if text is None else text.encode())]
    assert is_read(codec.run_of, headers) == VALIDATORS["run-header"].is_valid({"run": text})


def test_a_dead_letter_is_valid() -> None:
    error = MalformedError("no")
    headers = codec.dead_letter_headers(error, topic="md.trades.v1", partition=3, offset=7, headers=[("x", None)])  # type: ignore[list-item]
    VALIDATORS["dead-letter"].validate(as_texts(headers))
    assert not VALIDATORS["dead-letter"].is_valid(as_texts(headers[:2]))


@pytest.mark.parametrize("seed", range(5))
def test_the_state_that_the_engine_writes_is_valid(seed: int) -> None:
    log, _ = make_log(seed)
    core = Core(partition=0, partitions=1, position=0, rules=Rules(), awaits_floor=bool(seed % 2))
    core.process(log.records[: len(log.records) // 2])
    written = [(orjson.loads(record.key)[0], record.value) for record in changes(core) if record.value]
    assert {kind for kind, _ in written} == {"position", "series", "minute"}
    for kind, value in written:
        fields = orjson.loads(value)
        VALIDATORS["state"].validate(fields)
        allowed = VALIDATORS["state"].schema["$defs"]
        assert fields.keys() == allowed[kind]["properties"].keys()
        assert VALIDATORS["state"].evolve(schema={**allowed[kind], "$defs": allowed}).is_valid(fields)
        assert not fields.get("fold") or fields["fold"].keys() == set(allowed["fold"]["required"])


@pytest.mark.parametrize("seed", range(5))
def test_the_state_that_the_bar_engine_writes_is_valid(seed: int) -> None:
    log, _ = make_log(seed)
    core, disk = new_core(awaits_floor=bool(seed % 2)), Disk()
    core.process(log.records[: len(log.records) // 2])
    disk.write(core)
    kinds = {"position", "thresholds", "series", "minute", "trades", "open", "bar"}
    written = {orjson.loads(key)[0] for key in disk.values}
    assert kinds >= written >= (kinds if seed % 2 == 0 else {"position", "thresholds", "series"})
    for key, value in disk.values.items():
        fields, kind = orjson.loads(value), orjson.loads(key)[0]
        VALIDATORS["bars-state"].validate(fields)
        allowed = VALIDATORS["bars-state"].schema["$defs"]
        assert fields.keys() == allowed[kind]["properties"].keys()
        assert VALIDATORS["bars-state"].evolve(schema={**allowed[kind], "$defs": allowed}).is_valid(fields)
