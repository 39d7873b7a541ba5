"""Print a market's newest closed candle out of Redis, then each message about the market as it comes.

pip install redis, then: python redis_follow.py [URL]; Ctrl-C ends it.
"""

import argparse
import json

from redis import Redis

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("url", nargs="?", default="redis://127.0.0.1:6379/0", help="candlewick stack status shows it")
parser.add_argument("--exchange", default="binance")
parser.add_argument("--symbol", default="BTC-USDT")
parser.add_argument("--prefix", default="", help="CANDLEWICK_PREFIX, if the pipeline has one")
parser.add_argument("--messages", type=int, help="end after so many messages")
arguments = parser.parse_args()

redis = Redis.from_url(arguments.url)
market = f"{{{arguments.exchange}:{arguments.symbol}}}"
candles, trades = (f"{arguments.prefix}cw:{kind}:{market}" for kind in ("candles:1m", "trades"))
changes = redis.pubsub(ignore_subscribe_messages=True)
changes.subscribe(candles, trades)  # before the key is read: so no change is missed in between

for value in redis.zrange(candles, -1, -1):
    candle = json.loads(value)
    print("newest candle:", candle["open_time_ms"], candle["close"], candle["status"], flush=True)

left = arguments.messages
try:
    while left is None or left > 0:
        message = changes.get_message(timeout=60)
        if message is None:
            continue
        told = json.loads(message["data"])
        if told["skipped"]:
            print(told["skipped"], "older records were passed over")
        for record in told["records"]:
            if "trade_id" in record:
                print("trade:", record["trade_id"], record["side"], record["qty"], "at", record["price"], flush=True)
            else:
                print("candle:", record["open_time_ms"], record["close"], record["status"], flush=True)
        left = None if left is None else left - 1
except KeyboardInterrupt:
    pass
