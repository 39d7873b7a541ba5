"""Records of the warm store, page by page, as their topics' JSON, which ClickHouse writes.

A page begins behind a cursor: the sorting key of the record before it. All raise what the client raises
(`sinks.clickhouse.connect.clickhouse_errors` translates it).
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson
from clickhouse_connect.driver import AsyncClient

from sinks.clickhouse.json_form import JSON_FORM
from sinks.record_forms import Cursor, RecordKind

__all__ = ["Cursor", "RecordKind", "RecordPage", "is_cursor", "read_days", "read_exchanges", "read_records"]


class _Selection(NamedTuple):
    columns: str
    source: str
    """Table and conditions; parameters in braces."""
    keys: tuple[tuple[str, str], ...]
    """Expressions that the records are sorted by, and their types."""


class RecordPage(NamedTuple):
    """Records as JSON, and where the next page begins; None: this was the last."""

    values: list[bytes]
    cursor: Cursor | None


_MARKET = "exchange = {exchange:String} AND symbol = {symbol:String}"
_BETWEEN_MS = (
    "{0} >= fromUnixTimestamp64Milli({{from_ms:Int64}}) AND {0} < fromUnixTimestamp64Milli({{until_ms:Int64}})"
)
_SELECTIONS = {
    RecordKind.TRADES: _Selection(
        "exchange, symbol, trade_id, price, qty, side, toUnixTimestamp64Micro(r.time) AS time_us, "
        "toUnixTimestamp64Micro(r.received) AS received_us, source, seq",
        f"trades AS r FINAL WHERE {_MARKET} AND {_BETWEEN_MS.format('r.time')}",
        (
            ("toUnixTimestamp64Micro(r.time)", "Int64"),
            ("toInt64(r.id_number < 0)", "Int64"),
            ("if(r.id_number >= 0, r.id_number, ifNull(r.seq, -1))", "Int64"),
            ("r.id_text", "String"),
        ),
    ),
    RecordKind.SIGNALS: _Selection(
        "exchange, symbol, kind, state, severity, toUnixTimestamp64Milli(r.time) AS time_ms, revision, "
        "nullIf(r.other, '') AS other, window_minutes, values",
        f"signals AS r FINAL WHERE {_MARKET} AND {_BETWEEN_MS.format('r.time')}",
        (
            ("toUnixTimestamp64Milli(r.time)", "Int64"),
            ("toString(r.kind)", "String"),
            ("toString(r.other)", "String"),
            ("toInt64(r.window_minutes)", "Int64"),
        ),
    ),
    RecordKind.BARS: _Selection(
        "exchange, symbol, kind, threshold, toUnixTimestamp64Micro(r.series_begin) AS series_begin_us, number, "
        "toUnixTimestamp64Micro(r.open_time) AS open_time_us, toUnixTimestamp64Micro(r.close_time) AS close_time_us, "
        "open, high, low, close, volume, quote_volume, trades, taker_buy_volume, taker_buy_quote_volume, "
        "first_trade_id, last_trade_id, remainder, late_trades, revision, status",
        f"bars AS r FINAL WHERE {_MARKET} AND kind = {{kind:String}} AND threshold = toDecimal256({{threshold:String}},"
        f" 18) AND run = '' AND {_BETWEEN_MS.format('r.close_time')}",
        (
            ("toUnixTimestamp64Micro(r.close_time)", "Int64"),
            ("toUnixTimestamp64Micro(r.series_begin)", "Int64"),
            ("toInt64(r.number)", "Int64"),
        ),
    ),
    RecordKind.FUNDING: _Selection(
        "exchange, symbol, toUnixTimestamp64Milli(r.time) AS time_ms, rate, kind, "
        "toUnixTimestamp64Milli(r.next_time) AS next_time_ms, mark_price",
        f"funding AS r FINAL WHERE {_MARKET} AND {_BETWEEN_MS.format('r.time')}",
        (("toUnixTimestamp64Milli(r.time)", "Int64"),),
    ),
    RecordKind.GAPS: _Selection(
        "exchange, symbol, event, toUnixTimestamp64Milli(r.at) AS at_ms, first_id, last_id, "
        "toUnixTimestamp64Micro(r.from_time) AS from_us, toUnixTimestamp64Micro(r.until_time) AS until_us, run, reason",
        f"feeds AS r FINAL WHERE {_MARKET} AND event IN ('gap_opened', 'gap_filled', 'hole', 'taken_back') "
        f"AND {_BETWEEN_MS.format('r.at')}",
        (
            ("toUnixTimestamp64Milli(r.at)", "Int64"),
            ("toInt64(r.partition)", "Int64"),
            ("toInt64(r.offset)", "Int64"),
        ),
    ),
    RecordKind.INSTRUMENTS: _Selection(
        "exchange, symbol, native, base, quote, status, tick, lot, contract, "
        "toUnixTimestamp64Milli(r.since) AS since_ms",
        "instruments AS r FINAL WHERE exchange = {exchange:String}",
        (("toString(r.symbol)", "String"),),
    ),
}
_LEAVE_OUT = {RecordKind.TRADES, RecordKind.GAPS}
"""Their topics leave out what has no value."""
_no_value = re.compile(rb',"[a-z_]+":null').sub  # nothing of that form is in a text: its quotes would be escaped
_FIRST_KEY = b',"key_0":'
_EXCHANGES = "SELECT DISTINCT exchange FROM instruments ORDER BY exchange"
_DAYS = " ".join(
    (
        "SELECT toString(toDate(open_time, 'UTC')) AS date, toString(status) AS status, count() AS minutes",
        f"FROM candles FINAL WHERE {_MARKET} AND timeframe = '1m' AND {_BETWEEN_MS.format('open_time')}",
        "GROUP BY date, status ORDER BY date, status",
    )
)


async def read_records(
    client: AsyncClient, kind: RecordKind, parameters: Mapping[str, str | int], *, after: Cursor | None, limit: int
) -> RecordPage:
    """At most `limit` records behind `after`. `parameters` are those in the selection's braces."""
    selection = _SELECTIONS[kind]
    keys = [expression for expression, _ in selection.keys]
    behind = ", ".join(f"{{after_{place}:{type_}}}" for place, (_, type_) in enumerate(selection.keys))
    query = " ".join(
        (
            f"SELECT {selection.columns},",
            ", ".join(f"{key} AS key_{place}" for place, key in enumerate(keys)),
            f"FROM {selection.source}",
            "" if after is None else f"AND ({', '.join(keys)}) > ({behind})",
            f"ORDER BY {', '.join(keys)} LIMIT {{limit:UInt32}}",
        )
    )
    given = dict(parameters) | {f"after_{place}": value for place, value in enumerate(after or ())}
    answer = await client.raw_query(
        query, parameters=given | {"limit": limit + 1}, settings=JSON_FORM, fmt="JSONEachRow"
    )
    lines = [line.rpartition(_FIRST_KEY) for line in answer.splitlines()]
    cursor = None
    if len(lines) > limit:
        cursor = tuple(orjson.loads(b'{"key_0":' + lines[limit - 1][2]).values())
    values = [begin + b"}" for begin, _, _ in lines[:limit]]
    return RecordPage([_no_value(b"", value) for value in values] if kind in _LEAVE_OUT else values, cursor)


def is_cursor(kind: RecordKind, values: Sequence[object]) -> bool:
    """Whether these can be a cursor into records of that kind."""
    types = [int if type_ == "Int64" else str for _, type_ in _SELECTIONS[kind].keys]
    return len(values) == len(types) and all(
        type(value) is type_ and (type_ is str or -(2**63) <= value < 2**63)  # type: ignore[operator]  # an int then
        for value, type_ in zip(values, types, strict=True)
    )


async def read_exchanges(client: AsyncClient) -> list[str]:
    """The exchanges that have instruments, in order."""
    return [exchange for (exchange,) in (await client.query(_EXCHANGES)).result_rows]


async def read_days(client: AsyncClient, parameters: Mapping[str, str | int]) -> list[tuple[str, str, int]]:
    """How many 1m candles of each status there are on each UTC day."""
    return [
        (date, status, minutes)
        for date, status, minutes in (await client.query(_DAYS, parameters=dict(parameters))).result_rows
    ]
