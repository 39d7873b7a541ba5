"""Yesterday's records are read for ever, tomorrow's are read by what is known of them."""

import json
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from json_schema import as_texts, validator
from market_log import LogRecord, make_log
from msgspec import structs
from next_version import UNKNOWN_HEADERS, everywhere, with_unknown
from rolled import START, minute

from describe.page import PAGE, meanings
from market import codec
from market.candle import Candle
from market.decimals import plain
from market.feed import FeedEvent, Progress
from market.funding import FundingRate
from market.given_candle import GivenCandle
from market.instrument import Instrument
from market.signal import Signal
from market.timeframe import Timeframe
from market.trade import Marker, Trade
from processors.candles.core import Core, Outputs, Rules
from processors.candles.state import changes, core_of
from processors.engine.state import StateError, StoredState
from processors.rolling.core import Rolling
from sinks.clickhouse import encode as clickhouse
from sinks.parquet import schema as parquet
from sinks.redis import encode as redis
from sinks.redis.trades import HotTrades
from sinks.redis.writes import HotTopic

GOLDEN = Path(__file__).parents[2] / "data" / "records_v1"
DECODERS: dict[str, Callable[[bytes], Any]] = {
    "trade": codec.decode_trade,
    "candle": codec.decode_candle,
    "bar": codec.decode_bar,
    "ticker": codec.decode_ticker,
    "signal": codec.decode_signal,
    "feed-event": codec.decode_feed_event,
    "progress": codec.decode_progress,
    "instrument": codec.decode_instrument,
    "funding-rate": codec.decode_funding_rate,
}


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def said(model: Any) -> Any:
    """A model as plain JSON values, decimals in canonical form."""
    if hasattr(model, "__struct_fields__"):
        return {name: said(getattr(model, name)) for name in model.__struct_fields__}
    if isinstance(model, dict):
        return {name: said(value) for name, value in model.items()}
    if isinstance(model, bytes):
        return model.decode()
    return plain(model) if isinstance(model, Decimal) else model


def known(means: dict[str, Any], model: Any) -> Any:
    """Of what is said today, that which was said then: a format may have gained fields."""
    return _known(means, said(model))


def _known(means: Any, today: Any) -> Any:
    if not isinstance(means, dict) or not isinstance(today, dict):
        return today
    return {name: _known(means[name], value) for name, value in today.items() if name in means}


GOLDENS = [(name, case) for name in DECODERS for case in golden(name)]


@pytest.mark.parametrize(("name", "case"), GOLDENS, ids=[name for name, _ in GOLDENS])
def test_the_records_of_v1_are_read_for_ever(name: str, case: dict[str, Any]) -> None:
    model = DECODERS[name](case["value"].encode())
    assert known(case["means"], model) == case["means"]
    validator(name).validate(json.loads(case["value"]))


@pytest.mark.parametrize("case", golden("marker"), ids=lambda case: case["means"]["proof"])
def test_the_markers_of_v1_are_read_for_ever(case: dict[str, Any]) -> None:
    headers = [(name, value.encode()) for name, value in case["headers"]]
    marker = codec.decode_marker(headers)
    assert known(case["means"], marker) == case["means"]
    validator("marker").validate(as_texts(headers))
    assert codec.decode_marker([*UNKNOWN_HEADERS, *headers, *UNKNOWN_HEADERS]) == marker


def test_the_dead_letters_of_v1_are_read_for_ever() -> None:
    for case in golden("dead-letter"):
        headers = [(name, value.encode()) for name, value in case["headers"]]
        validator("dead-letter").validate(as_texts(headers))
        told = {name: codec.header(headers, f"__streams.errors.{name}") for name in ("topic", "partition", "offset")}
        assert told == {name: str(case["means"][name]).encode() for name in told}
        assert codec.run_of(headers) == case["means"]["run"]


def state_of(records: list[list[str]]) -> StoredState:
    stored = StoredState()
    stored.take(LogRecord("s", 0, n, 0, key.encode(), value.encode(), ()) for n, (key, value) in enumerate(records))
    return stored


def go_on(records: list[list[str]]) -> tuple[Core, Outputs]:
    """What an engine does with a stored state and the log of the golden file behind it."""
    case = golden("state")
    core = core_of(state_of(records), partition=0, partitions=1, rules=Rules())
    log = [
        LogRecord("md.trades.v1", 0, case["position"] + n, record["timestamp"], record["key"].encode(),
                  record["value"] and record["value"].encode(), tuple((h, v.encode()) for h, v in record["headers"]))
        for n, record in enumerate(case["log"])
    ]  # fmt: skip
    return core, core.process(log)


def holds_to_golden(outputs: Outputs) -> None:
    case = golden("state")
    assert len(outputs.candles) == len(case["candles"])
    for (candle, run), (value, run_then) in zip(outputs.candles, case["candles"], strict=True):
        then = json.loads(value)
        assert (known(then, candle), run) == (then, run_then)
    assert [record.offset for record in outputs.late] == case["late"]
    assert not outputs.dead


def test_the_state_of_v1_is_gone_on_from_for_ever() -> None:
    for _, value in golden("state")["records"]:
        validator("state").validate(json.loads(value))
    holds_to_golden(go_on(golden("state")["records"])[1])


def test_unknown_fields_and_kinds_of_a_newer_engine_s_state_are_passed_over() -> None:
    records = [[key, json.dumps(everywhere(json.loads(value)))] for key, value in golden("state")["records"]]
    strange = [['["next","sim:AAA-USD"]', '{"v":1,"x":[]}'], ['["windows"]', '{"v":1}']]
    core, outputs = go_on([strange[0], *records, strange[1]])
    holds_to_golden(outputs)
    assert not {record.key for record in changes(core)} & {key.encode() for key, _ in strange}


def test_what_an_engine_writes_over_a_newer_one_s_state_is_what_it_knows() -> None:
    records = [[key, json.dumps(everywhere(json.loads(value)))] for key, value in golden("state")["records"]]
    core, _ = go_on(records)
    for record in changes(core):
        assert record.value is None or b"next" not in record.value


@pytest.mark.parametrize("kind", ["position", "series", "minute"])
def test_a_state_record_that_lacks_a_field_stops_the_engine(kind: str) -> None:
    records = golden("state")["records"]
    at = next(n for n, (key, _) in enumerate(records) if json.loads(key)[0] == kind)
    key, value = records[at]
    for name in json.loads(value).keys() - {"v"}:
        less = {other: inner for other, inner in json.loads(value).items() if other != name}
        with pytest.raises(StateError, match="broken"):
            go_on([*records[:at], [key, json.dumps(less)], *records[at + 1 :]])


@pytest.mark.parametrize("version", [2, 10])
def test_a_newer_version_of_the_state_stops_the_engine(version: int) -> None:
    with pytest.raises(StateError, match=rf"newer version \({version}, this one reads 1\)"):
        _ = state_of([['["position"]', f'{{"v":{version},"offset":1}}']]).position


def test_what_a_newer_record_replaced_stops_nothing() -> None:
    unreadable = ['{"v":2,"offset":1}', "{", '{"v":1}']
    records = [['["position"]', value] for value in (*unreadable, '{"v":1,"offset":7,"floor_us":null}')]
    assert state_of(records).position == 7


@pytest.mark.parametrize(("name", "case"), GOLDENS, ids=[name for name, _ in GOLDENS])
def test_unknown_fields_are_passed_over_wherever_they_stand(name: str, case: dict[str, Any]) -> None:
    more = json.dumps(everywhere(json.loads(case["value"]))).encode()
    assert DECODERS[name](more) == DECODERS[name](case["value"].encode())


def test_every_optional_field_has_the_default_that_the_page_says() -> None:
    section = PAGE.read_text().split("\n## How the formats grow\n")[1]
    told: dict[tuple[str, str], Any] = {}
    for line in section.splitlines():
        if line.startswith("| ") and not line.startswith("| record"):
            record, names, default = (cell.strip() for cell in line.strip("|").split("|"))
            value = json.loads(default.split("`")[1])
            told |= {(record, name.strip().strip("`")): value for name in names.split(",")}
    models = {"Trade": Trade, "Candle": Candle, "Feed event": FeedEvent, "Progress": Progress, "Marker": Marker,
              "Kline": GivenCandle, "Instrument": Instrument, "Funding rate": FundingRate,
              "Signal": Signal}  # fmt: skip
    assert told == {
        (record, field.name): field.default
        for record, model in models.items()
        for field in structs.fields(model)
        if not field.required
    }
    assert all(name in meanings(record) for record, name in told)


@pytest.mark.parametrize("name", DECODERS)
def test_a_record_without_an_optional_field_has_its_default(name: str) -> None:
    schema = validator(name).schema
    fields = json.loads(golden(name)[0]["value"])
    optional = schema["properties"].keys() - set(schema["required"])
    for field in optional:
        model = DECODERS[name](json.dumps({k: v for k, v in fields.items() if k != field}).encode())
        assert said(model)[field] == schema["properties"][field]["default"]
    assert optional or name in ("bar", "ticker")


def test_a_marker_without_an_optional_header_has_its_default() -> None:
    headers = [("complete_until_us", b"60000000"), ("published_until_us", b"60000000"), ("proof", b"ids")]
    marker = codec.decode_marker(headers)
    for field in structs.fields(Marker):
        assert field.required or getattr(marker, field.name) == field.default


@pytest.mark.parametrize("seed", range(3))
def test_the_engine_makes_the_same_of_a_log_with_unknown_fields_and_passes_late_and_dead_ones_on_whole(
    seed: int,
) -> None:
    log, _ = make_log(seed)
    late = next(record for record in log.records if record.value and b"trade_id" in record.value and not record.headers)
    records = [*log.records, late._replace(offset=len(log.records))]
    next_records = [with_unknown(record) for record in records]
    before, after = (
        Core(partition=0, partitions=1, position=0, rules=Rules(), awaits_floor=False).process(some)
        for some in (records, next_records)
    )
    assert after.candles == before.candles
    assert [record.offset for record in after.late] == [record.offset for record in before.late]
    assert [record.offset for record, _ in after.dead] == [record.offset for record, _ in before.dead]
    assert after.late
    for record in (*after.late, *(record for record, _ in after.dead)):
        whole = next_records[record.offset]
        assert (record.key, record.value, record.headers) == (whole.key, whole.value, whole.headers)


def test_a_dead_letter_keeps_every_header_before_its_own() -> None:
    headers = codec.dead_letter_headers(ValueError("x"), topic="t", partition=0, offset=1, headers=UNKNOWN_HEADERS)
    assert tuple(headers[: len(UNKNOWN_HEADERS)]) == UNKNOWN_HEADERS


def plain_and_next(name: str, topic: str) -> tuple[list[LogRecord], list[LogRecord]]:
    """The golden records of a kind, as they are and with unknown fields and headers."""
    records = [
        LogRecord(topic, 0, n, 0, DECODERS[name](case["value"].encode()).key.encode(), case["value"].encode(), ())
        for n, case in enumerate(golden(name))
    ]
    return records, [
        record._replace(value=json.dumps(everywhere(json.loads(record.value or b""))).encode(), headers=UNKNOWN_HEADERS)
        for record in records
    ]


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("candle", clickhouse.CANDLES),
        ("ticker", clickhouse.TICKERS),
        ("feed-event", clickhouse.FEEDS),
        ("funding-rate", clickhouse.FUNDING),
        ("instrument", clickhouse.INSTRUMENTS),
        ("signal", clickhouse.SIGNALS),
        ("bar", clickhouse.BARS),
        ("trade", parquet.TRADES),
        ("candle", parquet.CANDLES),
        ("funding-rate", parquet.FUNDING),
        ("feed-event", parquet.FEEDS),
        ("instrument", parquet.INSTRUMENTS),
        ("signal", parquet.SIGNALS),
        ("bar", parquet.BARS),
    ],
)
def test_a_store_s_rows_are_the_same_with_unknown_fields(name: str, table: Any) -> None:
    def encode(records: list[LogRecord]) -> Any:
        if isinstance(table, parquet.Dataset):
            return table.reading(1)(0, records)
        return clickhouse.encode(table, 0, records, 1)

    before, after = map(encode, plain_and_next(name, "t"))
    assert before.rows > 0
    assert not before.refused
    assert (after.rows, len(after.refused)) == (before.rows, len(before.refused))
    assert after.chunk.equals(before.chunk)


HOT = {
    "trade": [HotTrades("", 1)],
    "candle": [redis.HotRecords(kind, "", 1) for kind in (redis.candles(Timeframe.M1), redis.LIVE)],
    "ticker": [redis.HotRecords(redis.TICKERS, "", 1)],
    "instrument": [redis.HotRecords(redis.INSTRUMENTS, "", 1)],
    "funding-rate": [redis.HotRecords(redis.FUNDING, "", 1)],
    "signal": [redis.HotRecords(redis.SIGNALS, "", 1)],
    "bar": [redis.HotRecords(redis.BARS, "", 1)],
}


@pytest.mark.parametrize(("name", "topic"), [(name, topic) for name, topics in HOT.items() for topic in topics])
def test_the_hot_store_s_writes_are_the_same_with_unknown_fields(name: str, topic: HotTopic) -> None:
    before, after = (topic.encode(0, records) for records in plain_and_next(name, "t"))
    assert before.rows > 0
    assert after.chunk == before.chunk


def test_rolling_makes_the_same_of_candles_with_unknown_fields() -> None:
    at = random.Random(1)
    values = [minute(at, START + n * 60_000, 10 + n) for n in range(130)]
    key = b"binance:BTC-USDT"
    outputs = []
    for more in (False, True):
        core = Rolling(0, 1)
        made = []
        for n, value in enumerate(values):
            told = json.dumps(everywhere(json.loads(value))).encode() if more else value
            headers = UNKNOWN_HEADERS if more else ()
            made += core.take(LogRecord("c", 0, n, START + n * 60_000, key, told, headers))
        outputs.append(made + core.flush())
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) > 100
