"""Records of the warm store by time, as Arrow tables in their topics' form (`sinks.record_forms`).

They are read in whole minutes, in the order of the tables' keys, so that no more is read than is asked for. All raise
what the client raises (`sinks.clickhouse.connect.clickhouse_errors` translates it).
"""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
from clickhouse_connect.driver import AsyncClient

from market.fields import MAX_TIME_US
from market.timeframe import MINUTE_US
from sinks.record_forms import COUNTS, FORMS, RecordKind


class _TableSelection(NamedTuple):
    columns: str
    table: str
    time: str
    """The column by which they are asked."""
    microseconds: str
    """Turns the time into microseconds."""
    condition: str
    """Parameters in braces."""
    sorted_by: str = ""
    """Columns of the table's key before the minute, where it has one: they have one value."""


_MARKET = "exchange = {exchange:String} AND symbol = {symbol:String}"
_SELECTIONS = {
    RecordKind.TRADES: _TableSelection(
        "exchange, symbol, trade_id, price, qty, side, toUnixTimestamp64Micro(r.time) AS time_us, "
        "toUnixTimestamp64Micro(r.received) AS received_us, source, seq, r.precedence AS precedence",
        "trades", "r.time", "toUnixTimestamp64Micro(r.time)", _MARKET, "exchange, symbol, ",
    ),
    RecordKind.SIGNALS: _TableSelection(
        "exchange, symbol, kind, state, severity, toUnixTimestamp64Milli(r.time) AS time_ms, r.revision AS revision, "
        "nullIf(r.other, '') AS other, window_minutes, values, r.revision AS precedence",
        "signals", "r.time", "toUnixTimestamp64Milli(r.time) * 1000", _MARKET,
    ),
    RecordKind.BARS: _TableSelection(
        "exchange, symbol, kind, threshold, toUnixTimestamp64Micro(r.series_begin) AS series_begin_us, number, "
        "toUnixTimestamp64Micro(r.open_time) AS open_time_us, toUnixTimestamp64Micro(r.close_time) AS close_time_us, "
        "open, high, low, close, volume, quote_volume, trades, taker_buy_volume, taker_buy_quote_volume, "
        "first_trade_id, last_trade_id, remainder, late_trades, r.revision AS revision, status, "
        "r.revision AS precedence",
        "bars", "r.close_time", "toUnixTimestamp64Micro(r.close_time)",
        f"{_MARKET} AND kind = {{kind:String}} AND threshold = toDecimal256({{threshold:String}}, 18) AND run = ''",
    ),
    RecordKind.FUNDING: _TableSelection(
        "exchange, symbol, toUnixTimestamp64Milli(r.time) AS time_ms, rate, kind, "
        "toUnixTimestamp64Milli(r.next_time) AS next_time_ms, mark_price, r.precedence AS precedence",
        "funding", "r.time", "toUnixTimestamp64Milli(r.time) * 1000", _MARKET,
    ),
    RecordKind.GAPS: _TableSelection(
        "exchange, symbol, event, toUnixTimestamp64Milli(r.at) AS at_ms, first_id, last_id, "
        "toUnixTimestamp64Micro(r.from_time) AS from_us, toUnixTimestamp64Micro(r.until_time) AS until_us, run, "
        "reason, r.offset AS precedence, r.partition AS partition, r.offset AS offset",
        "feeds", "r.at", "toUnixTimestamp64Milli(r.at) * 1000",
        f"{_MARKET} AND event IN ('gap_opened', 'gap_filled', 'hole', 'taken_back')",
    ),
}  # fmt: skip
_INSTRUMENTS = (
    "SELECT exchange, symbol, native, base, quote, status, tick, lot, contract, "
    "toUnixTimestamp64Milli(r.since) AS since_ms, r.offset AS precedence "
    "FROM instruments AS r FINAL WHERE exchange = {exchange:String} ORDER BY symbol"
)
_MINUTE_COUNTS = """
SELECT intDiv(toUnixTimestamp64Milli(open_time), 60000) AS minute, trades, toString(status) AS status
FROM candles FINAL
WHERE exchange = {exchange:String} AND symbol = {symbol:String} AND timeframe = '1m'
  AND open_time >= fromUnixTimestamp64Milli({from_ms:Int64}) AND open_time < fromUnixTimestamp64Milli({until_ms:Int64})
ORDER BY open_time
"""
_SPANS = """
SELECT 'KIND' AS kind, toUnixTimestamp64Milli(toDateTime64(min(TIME), 3)) AS first,
    toUnixTimestamp64Milli(toDateTime64(max(TIME), 3)) AS last
FROM TABLE GROUP BY toYYYYMM(TIME)
"""


async def read_table(
    client: AsyncClient,
    kind: RecordKind,
    parameters: Mapping[str, str],
    *,
    from_minute: int,
    until_minute: int,
    most: int,
) -> pa.Table:
    """The records of minutes since 1970 in [from_minute, until_minute), in no particular order within a minute.

    `parameters` are those in the selection's braces. If there are more than `most`, those of the first minutes, and of
    the minute that goes beyond it all.
    """
    selection = _SELECTIONS[kind]
    minute = f"intDiv({selection.microseconds}, {MINUTE_US})"
    query = (
        f"SELECT {selection.columns} {_source(selection)} "
        f"ORDER BY {selection.sorted_by}{minute} LIMIT {{most:UInt64}} WITH TIES"
    )
    bounds = _bounds(from_minute, until_minute)
    return await _table(client, query, dict(parameters) | bounds | {"most": most}, FORMS[kind].schema)


async def estimate_rows(
    client: AsyncClient, kind: RecordKind, parameters: Mapping[str, str], *, from_minute: int, until_minute: int
) -> int:
    """How many rows would be read, by the index: not less than there are, and up to some 16,000 for each part more."""
    query = f"EXPLAIN ESTIMATE SELECT count() {_source(_SELECTIONS[kind])}"
    answer = await client.query(query, parameters=dict(parameters) | _bounds(from_minute, until_minute))
    return sum(int(row["rows"]) for row in answer.named_results())


async def read_instruments(client: AsyncClient, exchange: str) -> pa.Table:
    """All instruments of an exchange, by symbol."""
    return await _table(client, _INSTRUMENTS, {"exchange": exchange}, FORMS[RecordKind.INSTRUMENTS].schema)


async def read_minute_counts(client: AsyncClient, parameters: Mapping[str, str | int]) -> pa.Table:
    """Of each 1m candle its minute since 1970, how many trades it has, and its status."""
    return await _table(client, _MINUTE_COUNTS, parameters, COUNTS)


async def read_record_spans(client: AsyncClient) -> dict[RecordKind, list[tuple[int, int]]]:
    """UTC milliseconds of the first and the last record of any market, month by month; of the parts' own bounds."""
    parts = [
        _SPANS.replace("KIND", kind).replace("TIME", selection.time[2:]).replace("TABLE", selection.table)
        for kind, selection in _SELECTIONS.items()
    ]
    spans: dict[RecordKind, list[tuple[int, int]]] = {kind: [] for kind in _SELECTIONS}
    for kind, first, last in (await client.query(" UNION ALL ".join(parts))).result_rows:
        spans[RecordKind(kind)].append((first, last))
    return {kind: sorted(of_kind) for kind, of_kind in spans.items()}


def _source(selection: _TableSelection) -> str:
    """Bounded twice: by the time, which parts are chosen by, and by the minute, which is in the key of trades."""
    minute = f"intDiv({selection.microseconds}, {MINUTE_US})"
    return (
        f"FROM {selection.table} AS r FINAL WHERE {selection.condition} "
        f"AND {minute} >= {{from_minute:Int64}} AND {minute} < {{until_minute:Int64}} "
        f"AND {selection.time} >= fromUnixTimestamp64Micro({{from_us:Int64}}) "
        f"AND {selection.time} < fromUnixTimestamp64Micro({{until_us:Int64}})"
    )


def _bounds(from_minute: int, until_minute: int) -> dict[str, int]:
    until_us = min(until_minute * MINUTE_US, MAX_TIME_US)
    return {
        "from_minute": from_minute,
        "until_minute": until_minute,
        "from_us": from_minute * MINUTE_US,
        "until_us": until_us,
    }


async def _table(client: AsyncClient, query: str, parameters: Mapping[str, str | int], schema: pa.Schema) -> pa.Table:
    answer = await client.raw_query(query, parameters=dict(parameters), fmt="ArrowStream")
    if not answer:  # as for no rows
        return schema.empty_table()
    with pa.ipc.open_stream(answer) as stream:
        return stream.read_all().select(schema.names).cast(schema)
