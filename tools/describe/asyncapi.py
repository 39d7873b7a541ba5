"""The AsyncAPI document: every topic with its records, how it is kept, and who reads and writes it."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from candlewick.health.lag import inputs
from describe.page import opening
from market.timeframe import Timeframe
from market.topics import Topics, TopicSpec

Part = dict[str, Any]

_BINDING = "0.5.0"
_JSON_SCHEMA = "application/schema+json;version=2020-12"
_TOPICS = Topics()
_DLQ = ".dlq"
_ROLLED = [timeframe for timeframe in Timeframe if timeframe is not Timeframe.M1]
_AT_LEAST_ONCE = "at least once"
_TRANSACTIONAL = "exactly once, in transactions: read with isolation.level=read_committed"
_RUN = {"headers": "run-header"}
_MESSAGES: dict[str, tuple[str, dict[str, str]]] = {
    # name: section of formats.md, and which schema file its parts have
    "trade": ("Trade", {"payload": "trade", **_RUN}),
    "marker": ("Marker", {"headers": "marker"}),
    "candle": ("Candle", {"payload": "candle", **_RUN}),
    "bar": ("Bar", {"payload": "bar", **_RUN}),
    "ticker": ("Ticker", {"payload": "ticker"}),
    "signal": ("Signal", {"payload": "signal"}),
    "feed-event": ("Feed event", {"payload": "feed-event"}),
    "progress": ("Progress", {"payload": "progress"}),
    "instrument": ("Instrument", {"payload": "instrument"}),
    "funding-rate": ("Funding rate", {"payload": "funding-rate"}),
    "dead-letter": ("Dead letter", {"headers": "dead-letter"}),
    "state": ("State", {"payload": "state"}),
    "bars-state": ("Bars state", {"payload": "bars-state"}),
}
_MARKET_KEY = {"type": "string", "pattern": "^[^:|]+:[^|]+$", "examples": ["binance:BTC-USDT"]}
_KEYS = {
    "progress": {"type": "string", "description": "exchange:SYMBOL, and of a run exchange:SYMBOL|run"},
    "dead-letter": {"type": "string", "description": "of the refused record, byte for byte"},
    "state": {"type": "string", "description": 'a JSON array, as in ["series","binance:BTC-USDT",null]'},
    "bars-state": {
        "type": "string",
        "description": 'a JSON array, as in ["open","binance:BTC-USDT",null,"dollar","1000000"]',
    },
}
_SENDS = {
    "produce": [_TOPICS.trades, _TOPICS.feeds, _TOPICS.progress, _TOPICS.instruments, _TOPICS.funding],
    "import": [_TOPICS.trades, _TOPICS.feeds, _TOPICS.progress, _TOPICS.dead_letters(_TOPICS.trades)],
    "candles": [_TOPICS.candles(), _TOPICS.late, _TOPICS.live, _TOPICS.state, _TOPICS.dead_letters(_TOPICS.trades)],
    "bars": [_TOPICS.bars, _TOPICS.bars_state, _TOPICS.dead_letters(_TOPICS.trades)],
    "rolling": [*map(_TOPICS.candles, _ROLLED), _TOPICS.tickers, _TOPICS.dead_letters(_TOPICS.candles())],
    "signals": [_TOPICS.signals, _TOPICS.dead_letters(_TOPICS.candles())],
}


def document() -> Part:
    """The whole document; references to schemas are relative to its folder."""
    specs = {spec.name: spec for spec in _TOPICS.specs()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Candlewick",
            "version": version("candlewick"),
            "description": "Exchange trades in; exact, complete, replayable candles out. Of each topic: its records, "
            "how long they are kept, who reads and writes them. The words are explained in formats.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(spec) for name, spec in specs.items()},
        "operations": dict(_operations()),
        "components": {"messages": {name: _message(name) for name in _MESSAGES}},
    }


def messages_of(topic: str) -> list[str]:
    """Which messages a topic holds, by their names in the document; none where nothing writes it yet."""
    if topic.endswith(_DLQ):
        return ["dead-letter"]
    if topic in (_TOPICS.trades, _TOPICS.late):
        return ["trade", "marker"] if topic == _TOPICS.trades else ["trade"]
    if topic == _TOPICS.live or topic in map(_TOPICS.candles, Timeframe):
        return ["candle"]
    named = {
        _TOPICS.bars: "bar",
        _TOPICS.bars_state: "bars-state",
        _TOPICS.tickers: "ticker",
        _TOPICS.signals: "signal",
        _TOPICS.feeds: "feed-event",
        _TOPICS.progress: "progress",
        _TOPICS.state: "state",
        _TOPICS.instruments: "instrument",
        _TOPICS.funding: "funding-rate",
    }
    return [named[topic]] if topic in named else []


def _channel(spec: TopicSpec) -> Part:
    names = messages_of(spec.name)
    return {
        "address": spec.name,
        "description": _delivery(spec.name) if names else "Reserved: nothing is written to it yet.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": spec.partitions,
                "topicConfiguration": {name: _setting(name, value) for name, value in spec.config.items()},
                "bindingVersion": _BINDING,
            }
        },
    }


def _delivery(topic: str) -> str:
    exact = {_TOPICS.candles(), _TOPICS.bars, _TOPICS.state, _TOPICS.bars_state, _TOPICS.late}
    if topic in exact:
        delivered = _TRANSACTIONAL
    elif topic == _TOPICS.dead_letters(_TOPICS.trades):
        delivered = "of the engines exactly once, in transactions; of the others at least once: read committed"
    elif topic == _TOPICS.live:
        delivered = "outside of transactions, when changed and at most once a second; none while catching up"
    elif topic == _TOPICS.trades:
        delivered = f"{_AT_LEAST_ONCE}: the same trade may stand there more than once"
    elif topic in map(_TOPICS.candles, _ROLLED):
        delivered = f"{_AT_LEAST_ONCE}; a revision always has the same bytes"
    elif topic == _TOPICS.signals:
        delivered = f"{_AT_LEAST_ONCE}, always with the same bytes"
    else:
        delivered = _AT_LEAST_ONCE
    placed = "murmur2 of the key"
    if topic in exact or topic.endswith(_DLQ):
        placed = "the partition of the input record, which is murmur2 of a market's key"
    return f"Delivery: {delivered}. Partition: {placed}."


def _setting(name: str, value: str) -> Any:
    if name == "cleanup.policy":
        return value.split(",")
    return int(value) if name.endswith(".ms") else value


def _message(name: str) -> Part:
    section, files = _MESSAGES[name]
    parts: Part = {part: _reference(file) for part, file in files.items()}
    content = {}
    if name == "marker":
        parts["payload"] = {"type": "null", "description": "None: a record without value."}
    if name == "dead-letter":
        content = {"contentType": "application/octet-stream"}
    return {
        "name": name,
        "title": section,
        "description": opening(section),
        **content,
        **parts,
        "bindings": {"kafka": {"key": _KEYS.get(name, _MARKET_KEY), "bindingVersion": _BINDING}},
    }


def _reference(file: str) -> Part:
    return {"schemaFormat": _JSON_SCHEMA, "schema": {"$ref": f"./schemas/{file}.json"}}


def _operations() -> Iterable[tuple[str, Part]]:
    for part, topics in _SENDS.items():
        for topic in topics:
            yield f"{part}.sends.{topic}", {"action": "send", "channel": _to(topic)}
    for stage, topics in inputs(_TOPICS).items():
        group = {"type": "string", "enum": [_TOPICS.group(stage)]}
        bindings = {"kafka": {"groupId": group, "bindingVersion": _BINDING}}
        for topic in topics:
            yield (
                f"{stage}.receives.{topic}",
                {"action": "receive", "channel": _to(topic), "bindings": bindings},
            )


def _to(topic: str) -> Part:
    return {"$ref": f"#/channels/{topic}"}
