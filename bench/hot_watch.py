"""A subscriber of the hot store's trades, as a process of its own; it notes when each trade could be read.

``hot_watch.py REDIS PREFIX FILE``; by SIGTERM it ends and writes ``{"seen": {"<key> <id>": at_s}, "skipped": N}``. Now
and then it reads back what a message told: a trade that is told and not there ends it with an error.
"""

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import orjson
from redis import Redis

from sinks.redis.keys import trades_data_key, trades_key
from sinks.redis.trades import trade_member

_READ_BACK = 50
"""Of the messages one in so many is looked after."""


def watch(url: str, prefix: str) -> dict[str, Any]:
    """What is told from now on, until a signal."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    reader, pubsub = Redis.from_url(url), Redis.from_url(url).pubsub(ignore_subscribe_messages=True)
    pubsub.psubscribe(trades_key(prefix, "bench:").split("bench:", maxsplit=1)[0] + "*")
    pubsub.get_message(timeout=10)
    told: list[tuple[float, bytes]] = []
    print("ready", flush=True)
    while not ended:
        message = pubsub.get_message(timeout=0.05)
        if message is None:
            continue
        told.append((time.time(), message["data"]))
        if len(told) % _READ_BACK == 0:
            _require_readable(reader, prefix, message["data"])
    seen: dict[str, float] = {}
    skipped = 0
    for at_s, data in told:
        message = orjson.loads(data)
        skipped += message["skipped"]
        for trade in message["records"]:
            seen[f"{trade['exchange']}:{trade['symbol']} {trade['trade_id']}"] = at_s
    return {"seen": seen, "skipped": skipped}


def _require_readable(reader: Any, prefix: str, data: bytes) -> None:
    newest = orjson.loads(data)["records"][-1]
    market, member = f"{newest['exchange']}:{newest['symbol']}", trade_member(int(newest["trade_id"]))
    if reader.zscore(trades_key(prefix, market), member) is None:
        raise SystemExit(f"a trade of {market} was told and is not in the list")
    if not reader.hexists(trades_data_key(prefix, market), member):
        raise SystemExit(f"a trade of {market} was told and has no value")


if __name__ == "__main__":
    redis, prefix, file = sys.argv[1:4]
    Path(file).write_text(json.dumps(watch(redis, prefix)))
