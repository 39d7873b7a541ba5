"""What docs/formats.md says is what the codec reads and writes."""

import re
from collections.abc import Callable
from enum import EnumType
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import orjson
import pytest
from msgspec import structs

from market.candle import Candle
from market.codec import (
    dead_letter_headers,
    decode_candle,
    decode_feed_event,
    decode_funding_rate,
    decode_given_candle,
    decode_instrument,
    decode_marker,
    decode_progress,
    decode_signal,
    decode_ticker,
    decode_trade,
    encode_candle,
    encode_feed_event,
    encode_funding_rate,
    encode_given_candle,
    encode_instrument,
    encode_marker,
    encode_progress,
    encode_signal,
    encode_ticker,
    encode_trade,
)
from market.errors import MalformedError
from market.feed import FeedEvent, Progress
from market.funding import FundingRate
from market.given_candle import GivenCandle
from market.instrument import Instrument
from market.partition import partition_of
from market.signal import Signal
from market.ticker import Ticker, Window
from market.trade import Marker, Trade

PAGE = (Path(__file__).parents[3] / "docs" / "formats.md").read_text()
SECTIONS = {section.split("\n")[0]: section for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)}


def example(section: str, language: str) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", SECTIONS[section], flags=re.DOTALL)
    return str(block)


def headers(section: str) -> list[tuple[str, bytes]]:
    pairs = (line.split(": ", 1) for line in example(section, "headers").splitlines())
    return [(name, value.encode()) for name, value in pairs]


@pytest.mark.parametrize(
    ("section", "decode", "encode"),
    [
        ("Trade", decode_trade, encode_trade),
        ("Kline", decode_given_candle, encode_given_candle),
        ("Candle", decode_candle, encode_candle),
        ("Ticker", decode_ticker, encode_ticker),
        ("Signal", decode_signal, encode_signal),
        ("Feed event", decode_feed_event, encode_feed_event),
        ("Progress", decode_progress, encode_progress),
        ("Instrument", decode_instrument, encode_instrument),
        ("Funding rate", decode_funding_rate, encode_funding_rate),
    ],
)
def test_the_example_is_what_is_written_and_read(
    section: str, decode: Callable[[bytes], Any], encode: Callable[[Any], bytes]
) -> None:
    value = orjson.dumps(orjson.loads(example(section, "json")))
    assert encode(decode(value)) == value


@pytest.mark.parametrize(
    ("section", "models"),
    [
        ("Trade", [Trade]),
        ("Marker", [Marker]),
        ("Kline", [GivenCandle]),
        ("Candle", [Candle]),
        ("Ticker", [Ticker, Window]),
        ("Signal", [Signal]),
        ("Feed event", [FeedEvent]),
        ("Progress", [Progress]),
        ("Instrument", [Instrument]),
        ("Funding rate", [FundingRate]),
    ],
)
def test_the_tables_name_every_field_and_mark_the_optional(section: str, models: list[Any]) -> None:
    rows = [line.split("|")[1] for line in SECTIONS[section].splitlines() if line.startswith("| `")]
    told = {name: bool(mark) for row in rows for name, mark in re.findall(r"`([^`]+)`(\??)", row)}
    fields = {
        field.name: not field.required or NoneType in get_args(field.type)
        for model in models
        for field in structs.fields(model)
    }
    assert told == fields


@pytest.mark.parametrize(
    ("section", "model"),
    [
        ("Trade", Trade),
        ("Marker", Marker),
        ("Candle", Candle),
        ("Signal", Signal),
        ("Feed event", FeedEvent),
        ("Instrument", Instrument),
        ("Funding rate", FundingRate),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_the_tables_name_every_value_of_a_kind(section: str, model: Any) -> None:
    kinds = {field.name: field.type for field in structs.fields(model) if isinstance(field.type, EnumType)}
    assert kinds
    for name, kind in kinds.items():
        (row,) = [row for row in SECTIONS[section].splitlines() if re.match(rf"\| .*`{name}`", row)]
        assert {f"`{value}`" for value in kind} <= set(re.findall("`[^`]+`", row))


def test_the_marker_is_what_is_written_and_read() -> None:
    marker = decode_marker(headers("Marker"))
    assert marker is not None
    assert encode_marker(marker) == headers("Marker")


def test_the_dead_letter_is_what_is_written() -> None:
    with pytest.raises(MalformedError) as refused:
        decode_trade(orjson.dumps({**orjson.loads(example("Trade", "json")), "price": "NaN"}))
    written = dead_letter_headers(refused.value, topic="md.trades.v1", partition=3, offset=1048576)
    assert written == headers("Dead letter")


def test_the_partition_is_what_the_hash_gives() -> None:
    (partition,) = re.findall(r"of 12 partitions `binance:BTC-USDT` is in (\d+)", PAGE)
    assert partition_of(b"binance:BTC-USDT", 12) == int(partition)
