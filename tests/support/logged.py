"""What a store has to hold of the log, by plain JSON and by the rules of docs/sinks.md; none of our decoders."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from candle_engine import Place
from holdings import Held, candle_fields, candle_key, trade_fields, trade_key

from market.records import Record
from runtime.kafka import read_to_end
from runtime.settings import Settings

HOT_TRADES = 500
"""The hot store keeps so many of a market."""


@dataclass
class Logged:
    """The records of the trade and the candle topic."""

    live: list[dict[str, Any]] = field(default_factory=list)
    """Trades in the order of their partitions."""
    of_runs: list[dict[str, Any]] = field(default_factory=list)
    candles: list[dict[str, Any]] = field(default_factory=list)
    malformed: list[Place] = field(default_factory=list)
    places: list[tuple[str, int, int]] = field(default_factory=list)
    """As in `Held.places`."""

    def whole(self) -> Held:
        """What a store of everything holds: a run's last copy of a trade, else the first live one."""
        trades = {trade_key(one): trade_fields(one) for one in [*reversed(self.live), *self.of_runs]}
        return Held(trades, self._newest_candles(), places=sorted(self.places))

    def hot(self) -> Held:
        """What Redis holds: the newest live trades of each market; a run's copy of these."""
        markets: dict[Any, dict[str, dict[str, Any]]] = defaultdict(dict)
        for one in self.live:
            markets[one["exchange"], one["symbol"]].setdefault(one["trade_id"], one)
        newest = [one for trades in markets.values() for one in sorted(trades.values(), key=_age)[-HOT_TRADES:]]
        kept = {trade_key(one) for one in newest}
        of_runs = [one for one in self.of_runs if trade_key(one) in kept]
        return Held({trade_key(one): trade_fields(one) for one in [*newest, *of_runs]}, self._newest_candles())

    def _newest_candles(self) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        return {candle_key(one): candle_fields(one) for one in sorted(self.candles, key=itemgetter("revision"))}


def _age(one: dict[str, Any]) -> tuple[int, int]:
    return one["time_us"], int(one["trade_id"])


async def read_log(settings: Settings) -> Logged:
    """All that is committed. A run's trades have to follow the live ones of their ids."""
    logged = Logged()
    async for records in read_to_end(settings, settings.topics.trades):
        for record in records:
            _note_trade(logged, record)
    async for records in read_to_end(settings, settings.topics.candles()):
        for record in records:
            if record.value is not None:
                logged.candles.append(json.loads(record.value))
                logged.places.append(("candles", record.partition, record.offset))
    return logged


def _note_trade(logged: Logged, record: Record) -> None:
    if record.value is None:
        return
    try:
        one = json.loads(record.value)
        trade_key(one)
    except (ValueError, KeyError, TypeError):
        logged.malformed.append(Place(record.topic, record.partition, record.offset))
        return
    (logged.of_runs if dict(record.headers).get("run") else logged.live).append(one)
    logged.places.append(("trades", record.partition, record.offset))
