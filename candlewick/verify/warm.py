"""ClickHouse's side, by raw SQL over plain HTTP."""

import json
from collections.abc import Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from candlewick.verify.amounts import trimmed
from candlewick.verify.check import StoredTrade
from candlewick.verify.expected import Fields, SpanUs
from candlewick.verify.log import trade_digest
from candlewick.verify.logged import CANDLE_AMOUNTS, KEPT_AMOUNTS, KEPT_FIELDS, KeptKind, KeptRow, row_of
from runtime.errors import CandlewickError, UnavailableError
from runtime.settings import Settings, clickhouse_address

_TIMEOUT_S = 120.0
# As readers do: FINAL keeps one row for each sorting key, so an id in two rows is a duplicate by data key.
_TRADES = """
SELECT trade_id, toString(price), toString(qty), side, toUnixTimestamp64Micro(time) FROM trades FINAL
WHERE exchange = {exchange:String} AND symbol = {symbol:String}
  AND time >= fromUnixTimestamp64Micro({from_us:Int64}) AND time < fromUnixTimestamp64Micro({until_us:Int64})
FORMAT TSV
"""
_CANDLES = f"""
SELECT toUnixTimestamp64Milli(open_time), toUnixTimestamp64Milli(close_time), trades, first_trade_id, last_trade_id,
  status, revision, {", ".join(f"toString({name})" for name in CANDLE_AMOUNTS)}
FROM candles
WHERE exchange = {{exchange:String}} AND symbol = {{symbol:String}} AND timeframe = '1m' AND run = ''
  AND open_time >= fromUnixTimestamp64Milli(intDiv({{from_us:Int64}}, 1000))
  AND open_time < fromUnixTimestamp64Milli(intDiv({{until_us:Int64}}, 1000))
ORDER BY open_time, revision DESC LIMIT 1 BY open_time
FORMAT TSV
"""  # noqa: S608  # column names of our own
_SHOWN = """
SETTINGS output_format_json_quote_decimals = 1, output_format_json_quote_64bit_integers = 0,
  output_format_decimal_trailing_zeros = 0
FORMAT JSONEachRow
"""


def _kept(kind: KeptKind, table: str, time: str, *more: str) -> str:
    """The query for a kind of records, each row as JSON in the topic's names."""
    names = ", ".join((*KEPT_FIELDS[kind], *KEPT_AMOUNTS[kind], *more))
    return f"""
SELECT {names} FROM {table} FINAL
WHERE exchange = {{exchange:String}} AND symbol = {{symbol:String}}
  AND {time} >= fromUnixTimestamp64Micro({{from_us:Int64}}) AND {time} < fromUnixTimestamp64Micro({{until_us:Int64}})
{_SHOWN}"""  # noqa: S608  # names of our own


_KEPT = {
    KeptKind.TICKER: _kept(
        KeptKind.TICKER,
        "tickers",
        "time",
        "toUnixTimestamp64Milli(time) AS time_ms",
        "toUnixTimestamp64Milli(since) AS since_ms",
    ),
    KeptKind.BAR: _kept(
        KeptKind.BAR,
        "bars",
        "close_time",
        "run",
        *(f"toUnixTimestamp64Micro({name}) AS {name}_us" for name in ("series_begin", "open_time", "close_time")),
    ),
    KeptKind.SIGNAL: _kept(
        KeptKind.SIGNAL,
        "signals",
        "time",
        "other",
        "toUnixTimestamp64Milli(time) AS time_ms",
        "mapApply((name, value) -> (name, toString(value)), values) AS values",
    ),
}


class WarmRows:
    """Asks ClickHouse. Use as an asynchronous context."""

    def __init__(self, settings: Settings) -> None:
        url = urlsplit(clickhouse_address(settings))
        self._url = f"{url.scheme}://{url.hostname}:{url.port or 8123}/"
        self._database = settings.clickhouse_database
        self._session = aiohttp.ClientSession(
            auth=aiohttp.BasicAuth(url.username, url.password or "") if url.username else None,
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def trades(self, key: str, span: SpanUs) -> Iterator[StoredTrade]:
        """The trades of a span, as readers by data key get them. Raises `UnavailableError` and `CandlewickError`."""
        return (_trade(key, row) for row in await self._rows(_TRADES, key, span))

    async def candles(self, key: str, span: SpanUs) -> dict[int, Fields]:
        """Open time in milliseconds → the live 1m candle of the highest revision."""
        return {int(row[0]): _candle(key, row) for row in await self._rows(_CANDLES, key, span)}

    async def kept(self, kind: KeptKind, key: str, span: SpanUs) -> Iterator[KeptRow]:
        """Tickers, bars or signals of a span, of each data key the highest revision."""
        lines = (await self._text(_KEPT[kind], key, span)).splitlines()
        return (_kept_row(kind, key, json.loads(line)) for line in lines)

    async def _rows(self, query: str, key: str, span: SpanUs) -> list[list[str]]:
        return [line.split("\t") for line in (await self._text(query, key, span)).splitlines()]

    async def _text(self, query: str, key: str, span: SpanUs) -> str:
        exchange, _, symbol = key.partition(":")
        parameters = {
            "database": self._database,
            "param_exchange": exchange,
            "param_symbol": symbol,
            "param_from_us": str(span.from_us),
            "param_until_us": str(span.until_us),
        }
        try:
            async with self._session.post(self._url, params=parameters, data=query.encode()) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"ClickHouse at {self._url} does not answer while verifying: {error}") from error
        if not response.ok:
            raise CandlewickError(f"ClickHouse at {self._url} refuses a verifying query: {text.strip()[:300]}")
        return text


def _trade(key: str, row: list[str]) -> StoredTrade:
    trade_id, price, qty, side, time_us = row
    digest = trade_digest(
        key=key, trade_id=trade_id, price=trimmed(price), qty=trimmed(qty), side=side, time_us=int(time_us)
    )
    return StoredTrade(trade_id, digest)


def _candle(key: str, row: list[str]) -> Fields:
    exchange, _, symbol = key.partition(":")
    open_ms, close_ms, trades, first_id, last_id, status, revision, *amounts = row
    return {
        "exchange": exchange,
        "symbol": symbol,
        "timeframe": "1m",
        "open_time_ms": int(open_ms),
        "close_time_ms": int(close_ms),
        **dict(zip(CANDLE_AMOUNTS, map(trimmed, amounts), strict=True)),
        "trades": int(trades),
        "first_trade_id": None if first_id == "\\N" else first_id,
        "last_trade_id": None if last_id == "\\N" else last_id,
        "revision": int(revision),
        "status": status,
    }


def _kept_row(kind: KeptKind, key: str, row: Fields) -> KeptRow:
    exchange, _, symbol = key.partition(":")
    fields = {"exchange": exchange, "symbol": symbol, **row}
    if kind is KeptKind.SIGNAL:
        values = {name: trimmed(value) for name, value in row["values"].items()}
        fields |= {"other": row["other"] or None, "values": values}
    return row_of(kind, fields, fields.pop("run", ""))
