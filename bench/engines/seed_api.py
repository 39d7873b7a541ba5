"""What one would write first: FastAPI, a query of ClickHouse kept in Redis for a minute, `JSONResponse`.

``seed_api.py PORT``; where the stores are comes by `CANDLEWICK_*`. It checks nothing and says nothing of what it lacks.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import clickhouse_connect
import redis.asyncio as redis
import uvloop
from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from granian.constants import Interfaces
from granian.server.embed import Server

from runtime.settings import clickhouse_address, load_settings, redis_address

KEPT_S = 60
"""So long that it hardly ever has to ask the store: the kindest way to measure it."""
_CANDLES = """
SELECT open_time, close_time, toString(open) AS open, toString(high) AS high, toString(low) AS low,
  toString(close) AS close, toString(volume) AS volume, toString(quote_volume) AS quote_volume, trades,
  toString(taker_buy_volume) AS taker_buy_volume, toString(taker_buy_quote_volume) AS taker_buy_quote_volume,
  first_trade_id, last_trade_id, revision, status
FROM candles FINAL WHERE exchange = {exchange:String} AND symbol = {symbol:String} AND timeframe = '1m'
ORDER BY open_time DESC LIMIT {limit:UInt32}
"""
_TRADES = """
SELECT trade_id, toString(price) AS price, toString(qty) AS qty, side, time, received, source
FROM trades FINAL WHERE exchange = {exchange:String} AND symbol = {symbol:String}
ORDER BY time DESC LIMIT {limit:UInt32}
"""
_TICKERS = """
SELECT * FROM tickers FINAL WHERE exchange = {exchange:String} AND symbol = {symbol:String}
ORDER BY time DESC LIMIT 1 BY window
"""


@asynccontextmanager
async def connected(app: FastAPI) -> AsyncIterator[None]:
    """With both clients."""
    settings = load_settings()
    app.state.cache = redis.Redis.from_url(redis_address(settings))
    app.state.store = await clickhouse_connect.get_async_client(
        dsn=clickhouse_address(settings), database=settings.clickhouse_database
    )
    yield


app = FastAPI(lifespan=connected)


async def answered(key: str, query: str, **parameters: Any) -> JSONResponse:
    """Out of the cache, else of the store."""
    kept = await app.state.cache.get(key)
    if kept is not None:
        return JSONResponse(json.loads(kept))
    answer = await app.state.store.query(query, parameters=parameters)
    rows = jsonable_encoder([dict(zip(answer.column_names, row, strict=True)) for row in answer.result_rows])
    await app.state.cache.set(key, json.dumps(rows), ex=KEPT_S)
    return JSONResponse(rows)


@app.get("/v1/candles")
async def candles(exchange: str, symbol: str, limit: int = 500) -> JSONResponse:
    """The newest candles."""
    key = f"seed:candles:{exchange}:{symbol}:{limit}"
    return await answered(key, _CANDLES, exchange=exchange, symbol=symbol, limit=limit)


@app.get("/v1/trades")
async def trades(exchange: str, symbol: str, limit: int = 100) -> JSONResponse:
    """The newest trades."""
    key = f"seed:trades:{exchange}:{symbol}:{limit}"
    return await answered(key, _TRADES, exchange=exchange, symbol=symbol, limit=limit)


@app.get("/v1/tickers")
async def tickers(exchange: str, symbols: str) -> JSONResponse:
    """The newest ticker."""
    return await answered(f"seed:tickers:{exchange}:{symbols}", _TICKERS, exchange=exchange, symbol=symbols)


async def main() -> None:
    """Serve until killed."""
    await Server(app, address="127.0.0.1", port=int(sys.argv[1]), interface=Interfaces.ASGI, log_enabled=False).serve()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
