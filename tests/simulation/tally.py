"""Candles by plain counting, apart from the engine: which trades count for which minute, and what they add up to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from broker import Entry
from market_log import MINUTE, expected

from market.codec import decode_marker, decode_trade
from market.errors import MalformedError
from market.partition import partition_of
from market.trade import Proof, Trade
from processors.candles.core import Rules

AHEAD = 2 * MINUTE
RANKS = {"ids": 0, "connection": 1, "kline": 2, "hole": 3}
STATUS = ("complete", "connected", "kline", "hole")


@dataclass
class _Minutes:
    """One key's live minutes, or those of one run."""

    trades: dict[int, dict[str, Trade]] = field(default_factory=dict)
    told: dict[int, dict[str, Trade]] = field(default_factory=dict)
    """Those that stand before the newest marker: what came since has not come out yet."""
    ranks: dict[int, int] = field(default_factory=dict)
    begin: int | None = None
    final_until: int | None = None

    def price_at(self, open_us: int) -> int | None:
        """The price of a minute without trades, where there are trades before it."""
        before = [trade for at, trades in self.told.items() if at < open_us for trade in trades.values()]
        return None if not before else int(max(before, key=_order).price * 10**18)


def _order(trade: Trade) -> tuple[int, int]:
    return trade.time_us, int(trade.trade_id)


def tally(
    records: Sequence[Entry], candles: Sequence[Entry], partition: int, partitions: int, rules: Rules
) -> Iterator[str]:
    """What is wrong in the committed candles, by the trades and markers of the log."""
    all_series = _counted(records, partition, partitions, rules.allowed_lateness_us)
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in candles:
        candle = orjson.loads(record.value or b"")
        run = dict(record.headers).get("run")
        name = ((record.key or b"").decode(), run, candle["open_time_ms"] * 1000)
        if name in newest and newest[name]["revision"] >= candle["revision"]:
            yield f"{name}: revision {candle['revision']} does not rise"
        newest[name] = candle
    for (key, run), minutes in all_series.items():
        for open_us, rank in minutes.ranks.items():
            want = expected(minutes.told.get(open_us, {}).values(), open_us)
            candle = newest.pop((key, run, open_us), None)
            if candle is None:
                if want is not None:
                    yield f"{key} {run} {open_us}: no candle over {want['trades']} trades"
                continue
            if want is None and run is None and (flat := minutes.price_at(open_us)) is not None:
                want = dict.fromkeys(("open", "high", "low", "close"), flat) | {"trades": 0, "volume": 0}
            found = {name: _whole(name, candle[name]) for name in want or ()}
            if want != (found or None) or (want is None and candle["trades"]):
                yield f"{key} {run} {open_us}: {found} for {want}"
            if run is None and candle["status"] != STATUS[rank]:
                yield f"{key} {open_us}: {candle['status']} for {STATUS[rank]}"
    yield from (
        f"{name}: a candle that nothing asked for" for name, candle in newest.items() if candle["status"] != "hole"
    )


def _counted(
    records: Sequence[Entry], partition: int, partitions: int, allowed_lateness: int
) -> dict[tuple[str, bytes | None], _Minutes]:
    all_series: dict[tuple[str, bytes | None], _Minutes] = {}
    for record in records:
        if record.key is None or partition_of(record.key, partitions) != partition:
            continue
        key, now = record.key.decode(), record.timestamp * 1000
        try:
            said = decode_trade(record.value) if record.value is not None else decode_marker(record.headers)
        except MalformedError:
            continue
        if isinstance(said, Trade):
            if said.time_us <= now + AHEAD and said.key == key:
                _count(
                    all_series.setdefault((key, dict(record.headers).get("run")), _Minutes()), said, allowed_lateness
                )
        elif said is not None and max(said.complete_until_us, said.published_until_us) <= now + AHEAD:
            run = None if said.run is None else said.run.encode()
            _close(all_series.setdefault((key, run), _Minutes()), said, allowed_lateness)
    return all_series


def _count(series: _Minutes, trade: Trade, allowed_lateness: int) -> None:
    if series.final_until is not None and trade.time_us < series.final_until:
        return
    open_us = trade.time_us // MINUTE * MINUTE
    if series.begin is None:  # nothing is held longer than a final boundary would hold it
        series.trades = {at: trades for at, trades in series.trades.items() if at >= open_us - allowed_lateness}
    elif open_us < series.begin:
        return
    series.trades.setdefault(open_us, {}).setdefault(trade.trade_id, trade)


def _close(series: _Minutes, marker: Any, allowed_lateness: int) -> None:
    until = marker.complete_until_us
    if series.final_until is not None and until <= series.final_until:
        return
    if series.begin is None:
        series.begin = -(-marker.published_until_us // MINUTE) * MINUTE
        series.trades = {at: trades for at, trades in series.trades.items() if at >= series.begin}
    series.final_until = max(series.final_until or 0, until if marker.end else until - allowed_lateness)
    series.told = {open_us: dict(trades) for open_us, trades in series.trades.items()}
    if marker.proof is not Proof.BEGIN and until - MINUTE >= series.begin:
        rank = RANKS[marker.proof]
        series.ranks[until - MINUTE] = min(rank, series.ranks.get(until - MINUTE, rank))


def _whole(name: str, value: Any) -> Any:
    """Decimals as whole numbers at 18 places, products at 36."""
    if name in ("trades", "first_trade_id", "last_trade_id"):
        return value
    places = 36 if "quote" in name else 18
    whole, _, rest = value.partition(".")
    return int(whole + rest.ljust(places, "0"))
