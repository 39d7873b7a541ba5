"""Six protocols as a plain client speaks them, without our adapters: what it sends, and what it reads in frames."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from producers.simulator.instruments import instrument


class Row(NamedTuple):
    """A trade as any protocol gives it; a row of `/sim/record` reads like this too."""

    symbol: str
    trade_id: str
    price: Decimal
    qty: Decimal
    time_us: int
    taker_sold: bool


def recorded(symbol: str, cells: Sequence[str]) -> Row:
    trade_id, price, qty, time_us, is_buyer_maker = cells[:5]
    return Row(symbol, trade_id, Decimal(price), Decimal(qty), int(time_us), is_buyer_maker == "true")


def loads(text: str | bytes) -> Any:
    """JSON with exact numbers."""
    return json.loads(text, parse_float=Decimal)


def iso_us(text: str) -> int:
    since = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def parts(symbol: str) -> tuple[str, str]:
    market = instrument(symbol)
    return market.base, market.quote


@dataclass(frozen=True)
class Spoken:
    """One protocol. Frames are read from their JSON; symbols are those of the simulator."""

    name: str
    path: Callable[[Sequence[str]], str]
    frames: Callable[[Sequence[str]], list[str]]
    acknowledged: Callable[[Any], Iterable[str]]
    """The native names that a frame says were taken."""
    rejects: Callable[[Any], bool]
    trades: Callable[[Any], Iterable[Row]]
    clock_us: Callable[[Any], int | None]
    native: Callable[[str], str]
    newest: Callable[[str], str]
    """The path of the page of the newest trades, as long as it can be."""
    read_page: Callable[[str, bytes], list[Row]]
    """A page, the older first."""
    klines: Callable[[str], str]
    """The path of the newest 1-minute klines."""
    read_klines: Callable[[bytes], list[tuple[int, list[Decimal]]]]
    """Open time (ms), and open, high, low, close, volume; the older first."""
    from_known: Callable[[str, Row], str] | None = None
    """The path of a page that holds this trade and those after it."""

    @property
    def record(self) -> dict[str, str]:
        """What `/sim/record` is asked for."""
        return {"protocol": self.name}


def _binance(row: dict[str, Any], symbol: str, number: str) -> Row:
    return Row(symbol, str(row[number]), Decimal(row["p"]), Decimal(row["q"]), row["T"] * 1_000, row["m"])


def _binance_page(symbol: str, body: bytes) -> list[Row]:
    return [
        Row(
            symbol,
            str(row["id"]),
            Decimal(row["price"]),
            Decimal(row["qty"]),
            row["time"] * 1_000,
            row["isBuyerMaker"],
        )
        for row in loads(body)
    ]


def _columns(rows: Iterable[Sequence[Any]], *columns: int, unit_ms: int = 1) -> list[tuple[int, list[Decimal]]]:
    return [(int(row[0]) * unit_ms, [Decimal(row[column]) for column in columns]) for row in rows]


def _binance_streams(kind: str, clock: str, path: str) -> Callable[[Sequence[str]], str]:
    def url(symbols: Sequence[str]) -> str:
        names = [symbol.lower() for symbol in symbols]
        return f"{path}?streams=" + "/".join([*(f"{name}@{kind}" for name in names), f"{names[0]}@{clock}"])

    return url


def _dashed(symbol: str) -> str:
    return "-".join(parts(symbol))


def _plain(symbol: str) -> str:
    return symbol


BINANCE = Spoken(
    name="binance",
    path=_binance_streams("trade", "kline_1s", "/stream"),
    frames=lambda _: [],
    acknowledged=lambda _: (),
    rejects=lambda _: False,
    trades=lambda f: [_binance(f["data"], f["data"]["s"], "t")] if f["data"]["e"] == "trade" else [],
    clock_us=lambda f: f["data"]["E"] * 1_000,
    native=_plain,
    newest=lambda symbol: f"/api/v3/trades?symbol={symbol}&limit=1000",
    from_known=lambda symbol, row: f"/api/v3/historicalTrades?symbol={symbol}&fromId={row.trade_id}&limit=200",
    read_page=_binance_page,
    klines=lambda symbol: f"/api/v3/klines?symbol={symbol}&interval=1m&limit=5",
    read_klines=lambda body: _columns(loads(body), 1, 2, 3, 4, 5),
)

BINANCE_USDM = Spoken(
    name="binance-usdm",
    path=_binance_streams("aggTrade", "markPrice@1s", "/market/stream"),
    frames=lambda _: [],
    acknowledged=lambda _: (),
    rejects=lambda _: False,
    trades=lambda f: [_binance(f["data"], f["data"]["s"], "a")] if f["data"]["e"] == "aggTrade" else [],
    clock_us=lambda f: f["data"]["E"] * 1_000,
    native=_plain,
    newest=lambda symbol: f"/fapi/v1/aggTrades?symbol={symbol}&limit=1000",
    from_known=lambda symbol, row: f"/fapi/v1/aggTrades?symbol={symbol}&fromId={row.trade_id}&limit=200",
    read_page=lambda symbol, body: [_binance(row, symbol, "a") for row in loads(body)],
    klines=lambda symbol: f"/fapi/v1/klines?symbol={symbol}&interval=1m&limit=5",
    read_klines=lambda body: _columns(loads(body), 1, 2, 3, 4, 5),
)


def _coinbase(row: dict[str, Any], symbol: str) -> Row:
    price, qty = Decimal(row["price"]), Decimal(row["size"])
    return Row(symbol, str(row["trade_id"]), price, qty, iso_us(row["time"]), row["side"] == "buy")


COINBASE = Spoken(
    name="coinbase",
    path=lambda _: "/",
    frames=lambda symbols: [
        json.dumps(
            {
                "type": "subscribe",
                "product_ids": [_dashed(symbol) for symbol in symbols],
                "channels": ["matches", {"name": "heartbeat", "product_ids": [_dashed(symbols[0])]}],
            }
        )
    ],
    acknowledged=lambda f: [
        name for channel in f.get("channels", []) if channel["name"] == "matches" for name in channel["product_ids"]
    ],
    rejects=lambda f: f["type"] == "error",
    trades=lambda f: [_coinbase(f, f["product_id"].replace("-", ""))] if f["type"] == "match" else [],
    clock_us=lambda f: iso_us(f["time"]) if f["type"] == "heartbeat" else None,
    native=_dashed,
    newest=lambda symbol: f"/products/{_dashed(symbol)}/trades?limit=1000",
    from_known=lambda symbol, row: f"/products/{_dashed(symbol)}/trades?limit=200&after={int(row.trade_id) + 200}",
    read_page=lambda symbol, body: [_coinbase(row, symbol) for row in reversed(loads(body))],
    klines=lambda symbol: f"/products/{_dashed(symbol)}/candles?granularity=60&start=1739999700",
    read_klines=lambda body: _columns(reversed(loads(body)), 3, 2, 1, 4, 5, unit_ms=1_000),
)


def _slashed(symbol: str) -> str:
    return "/".join(parts(symbol))


def _kraken_name(symbol: str) -> str:
    return symbol.replace("BTC", "XBT")


def _kraken_page(symbol: str, body: bytes) -> list[Row]:
    answer = loads(body)
    assert not answer["error"], answer
    rows = next(value for name, value in answer["result"].items() if name != "last")
    return [
        Row(symbol, str(row[6]), Decimal(row[0]), Decimal(row[1]), int(Decimal(row[2]) * 10**6), row[3] == "s")
        for row in rows
    ]


KRAKEN = Spoken(
    name="kraken",
    path=lambda _: "/v2",
    frames=lambda symbols: [
        json.dumps(
            {
                "method": "subscribe",
                "params": {"channel": "trade", "symbol": [_slashed(symbol) for symbol in symbols], "snapshot": False},
            }
        ),
        '{"method":"ping","req_id":7}',
    ],
    acknowledged=lambda f: [f["result"]["symbol"]] if f.get("method") == "subscribe" and f["success"] else [],
    rejects=lambda f: f.get("success") is False,
    trades=lambda f: (
        [
            Row(
                row["symbol"].replace("/", ""),
                str(row["trade_id"]),
                Decimal(row["price"]),
                Decimal(row["qty"]),
                iso_us(row["timestamp"]),
                row["side"] == "sell",
            )
            for row in f["data"]
        ]
        if f.get("channel") == "trade"
        else []
    ),
    clock_us=lambda f: iso_us(f["time_out"]) if f.get("method") == "pong" else None,
    native=_slashed,
    newest=lambda symbol: f"/0/public/Trades?pair={_kraken_name(symbol)}",
    from_known=lambda symbol, row: (
        f"/0/public/Trades?pair={_kraken_name(symbol)}&since={row.time_us * 1_000 - 1}&count=200"
    ),
    read_page=_kraken_page,
    klines=lambda symbol: f"/0/public/OHLC?pair={_kraken_name(symbol)}&interval=1&since=1739999700",
    read_klines=lambda body: _columns(
        next(rows for name, rows in loads(body)["result"].items() if name != "last"), 1, 2, 3, 4, 6, unit_ms=1_000
    ),
)


def _okx(row: dict[str, Any]) -> Row:
    symbol, time_us = row["instId"].replace("-", ""), int(row["ts"]) * 1_000
    return Row(symbol, row["tradeId"], Decimal(row["px"]), Decimal(row["sz"]), time_us, row["side"] == "sell")


def _channel_of(frame: Any) -> str | None:
    channel: str | None = frame.get("arg", {}).get("channel")
    return channel if "data" in frame else None


OKX = Spoken(
    name="okx",
    path=lambda _: "/ws/v5/business",
    frames=lambda symbols: [
        json.dumps(
            {
                "op": "subscribe",
                "args": [
                    *({"channel": "trades-all", "instId": _dashed(symbol)} for symbol in symbols),
                    {"channel": "candle1s", "instId": _dashed(symbols[0])},
                ],
            }
        )
    ],
    acknowledged=lambda f: (
        [f["arg"]["instId"]] if f.get("event") == "subscribe" and f["arg"]["channel"] == "trades-all" else []
    ),
    rejects=lambda f: f.get("event") == "error",
    trades=lambda f: [_okx(row) for row in f["data"]] if _channel_of(f) == "trades-all" else [],
    clock_us=lambda f: (int(f["data"][0][0]) + 1_000) * 1_000 if _channel_of(f) == "candle1s" else None,
    native=_dashed,
    newest=lambda symbol: f"/api/v5/market/history-trades?instId={_dashed(symbol)}",
    from_known=lambda symbol, row: (
        f"/api/v5/market/history-trades?instId={_dashed(symbol)}&type=1&limit=100&after={int(row.trade_id) + 100}"
    ),
    read_page=lambda _, body: [_okx(row) for row in reversed(loads(body)["data"])],
    klines=lambda symbol: f"/api/v5/market/candles?instId={_dashed(symbol)}&bar=1m&limit=5",
    read_klines=lambda body: _columns(reversed(loads(body)["data"]), 1, 2, 3, 4, 5),
)


def _bybit_live(row: dict[str, Any]) -> Row:
    return Row(row["s"], row["i"], Decimal(row["p"]), Decimal(row["v"]), row["T"] * 1_000, row["S"] == "Sell")


def _bybit_page(symbol: str, body: bytes) -> list[Row]:
    answer = loads(body)
    assert answer["retCode"] == 0, answer
    return [
        Row(
            symbol,
            row["execId"],
            Decimal(row["price"]),
            Decimal(row["size"]),
            int(row["time"]) * 1_000,
            row["side"] == "Sell",
        )
        for row in reversed(answer["result"]["list"])
    ]


def _bybit(category: str) -> Spoken:
    return Spoken(
        name="bybit" if category == "spot" else f"bybit-{category}",
        path=lambda _: f"/v5/public/{category}",
        frames=lambda symbols: [
            json.dumps(
                {
                    "op": "subscribe",
                    "args": [*(f"publicTrade.{symbol}" for symbol in symbols), f"tickers.{symbols[0]}"],
                }
            )
        ],
        acknowledged=lambda _: (),
        rejects=lambda f: f.get("success") is False,
        trades=lambda f: [_bybit_live(row) for row in f["data"]] if f.get("topic", "").startswith("publicT") else [],
        clock_us=lambda f: f["ts"] * 1_000 if f.get("topic", "").startswith("tickers") else None,
        native=_plain,
        newest=lambda symbol: f"/v5/market/recent-trade?category={category}&symbol={symbol}&limit=1000",
        read_page=_bybit_page,
        klines=lambda symbol: f"/v5/market/kline?category={category}&symbol={symbol}&interval=1&limit=5",
        read_klines=lambda body: _columns(reversed(loads(body)["result"]["list"]), 1, 2, 3, 4, 5),
    )


BYBIT, BYBIT_LINEAR = _bybit("spot"), _bybit("linear")
SPOKEN = (BINANCE, BINANCE_USDM, COINBASE, KRAKEN, OKX, BYBIT, BYBIT_LINEAR)
