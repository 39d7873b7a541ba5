"""PostgreSQL's side, by raw SQL."""

import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import asyncpg

from candlewick.verify.amounts import trimmed
from candlewick.verify.check import StoredTrade
from candlewick.verify.expected import Fields, SpanUs
from candlewick.verify.log import trade_digest
from candlewick.verify.logged import CANDLE_AMOUNTS, KEPT_AMOUNTS, KEPT_FIELDS, KeptKind, KeptRow, row_of
from runtime.errors import CandlewickError, UnavailableError
from runtime.settings import Settings, postgres_address

_TIMEOUT_S = 120.0
_SPAN = """
{0} >= timestamptz 'epoch' + $3 * interval '1 microsecond' AND {0} < timestamptz 'epoch' + $4 * interval '1 microsecond'
"""
_TRADES = f"""
SELECT trade_id, price::text, qty::text, side, (extract(epoch FROM time) * 1000000)::bigint FROM trades
WHERE exchange = $1 AND symbol = $2 AND {_SPAN.format("minute")} AND {_SPAN.format("time")}
"""  # noqa: S608  # column names of our own; spans are whole minutes
_CANDLES = f"""
SELECT (extract(epoch FROM open_time) * 1000)::bigint, (extract(epoch FROM close_time) * 1000)::bigint, trades,
  first_trade_id, last_trade_id, status, revision, {", ".join(f"{name}::text" for name in CANDLE_AMOUNTS)}
FROM candles
WHERE exchange = $1 AND symbol = $2 AND timeframe = '1m' AND run IS NULL
  AND {_SPAN.format("open_time")}
"""  # noqa: S608  # column names of our own


def _kept(kind: KeptKind, table: str, span: str, *more: str) -> str:
    """The query for a kind of records, in the topic's names."""
    amounts = (f'trim_scale("{name}")::text AS "{name}"' for name in KEPT_AMOUNTS[kind])
    names = ", ".join((*(f'"{name}"' for name in KEPT_FIELDS[kind]), *amounts, *more))
    return f"SELECT {names} FROM {table} WHERE exchange = $1 AND symbol = $2 AND {_SPAN.format(span)}"  # noqa: S608


def _epoch(name: str, units: int, shown: str) -> str:
    return f"(extract(epoch FROM {name}) * {units})::bigint AS {shown}"


_KEPT = {
    KeptKind.TICKER: _kept(
        KeptKind.TICKER, "tickers", "time", _epoch("time", 1000, "time_ms"), _epoch("since", 1000, "since_ms")
    ),
    KeptKind.BAR: _kept(
        KeptKind.BAR,
        "bars",
        "close_time",
        "run",
        *(_epoch(name, 1_000_000, f"{name}_us") for name in ("series_begin", "open_time", "close_time")),
    ),
    KeptKind.SIGNAL: _kept(
        KeptKind.SIGNAL, "signals", "time", "other", _epoch("time", 1000, "time_ms"), '"values"::text AS "values"'
    ),
}


class PostgresRows:
    """Asks PostgreSQL. Use as an asynchronous context."""

    def __init__(self, settings: Settings) -> None:
        self._url = postgres_address(settings)

    async def __aenter__(self) -> Self:
        try:
            self._connection = await asyncpg.connect(self._url, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise self._away(error) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def trades(self, key: str, span: SpanUs) -> Iterator[StoredTrade]:
        """The trades of a span. Raises `UnavailableError` and `CandlewickError`."""
        return (_trade(key, row) for row in await self._rows(_TRADES, key, span))

    async def candles(self, key: str, span: SpanUs) -> dict[int, Fields]:
        """Open time in milliseconds → the live 1m candle."""
        return {row[0]: _candle(key, row) for row in await self._rows(_CANDLES, key, span)}

    async def kept(self, kind: KeptKind, key: str, span: SpanUs) -> Iterator[KeptRow]:
        """Tickers, bars or signals of a span, of each data key the highest revision."""
        return (_kept_row(kind, key, dict(row)) for row in await self._rows(_KEPT[kind], key, span))

    async def _rows(self, query: str, key: str, span: SpanUs) -> list[Any]:
        exchange, _, symbol = key.partition(":")
        try:
            return list(await self._connection.fetch(query, exchange, symbol, span.from_us, span.until_us))
        except (asyncpg.InterfaceError, OSError) as error:
            raise self._away(error) from error
        except asyncpg.PostgresError as error:
            raise CandlewickError(f"PostgreSQL refuses a verifying query: {error}") from error

    def _away(self, error: Exception) -> UnavailableError:
        return UnavailableError(
            f"PostgreSQL at {urlsplit(self._url).hostname} does not answer while verifying: {error}"
        )


def _trade(key: str, row: Any) -> StoredTrade:
    trade_id, price, qty, side, time_us = row
    digest = trade_digest(
        key=key, trade_id=trade_id, price=trimmed(price), qty=trimmed(qty), side=side, time_us=time_us
    )
    return StoredTrade(trade_id, digest)


def _candle(key: str, row: Any) -> Fields:
    exchange, _, symbol = key.partition(":")
    open_ms, close_ms, trades, first_id, last_id, status, revision, *amounts = row
    return {
        "exchange": exchange,
        "symbol": symbol,
        "timeframe": "1m",
        "open_time_ms": open_ms,
        "close_time_ms": close_ms,
        **dict(zip(CANDLE_AMOUNTS, map(trimmed, amounts), strict=True)),
        "trades": trades,
        "first_trade_id": first_id,
        "last_trade_id": last_id,
        "revision": revision,
        "status": status,
    }


def _kept_row(kind: KeptKind, key: str, row: Fields) -> KeptRow:
    exchange, _, symbol = key.partition(":")
    fields = {"exchange": exchange, "symbol": symbol, **row}
    if kind is KeptKind.SIGNAL:
        fields |= {"other": row["other"] or None, "values": json.loads(row["values"])}
    return row_of(kind, fields, fields.pop("run", ""))
