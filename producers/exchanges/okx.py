"""OKX spot: its public market data over WebSocket and REST, version 5.

A trade over WebSocket, in the channel ``trades-all`` of ``/ws/v5/business``::

    {"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474",
     "px":"42219.9","sz":"0.12060306","side":"buy","source":"0","ts":"1630048897897"}]}

an acknowledgement, and a refusal::

    {"id":"1512","event":"subscribe","arg":{"channel":"trades-all","instId":"BTC-USDT"},"connId":"a4d3ae55"}
    {"id":"1512","event":"error","code":"60012","msg":"Invalid request: …","connId":"a4d3ae55"}

and trades over REST, in a page of ``/api/v5/market/history-trades``, the newest first::

    {"code":"0","msg":"","data":[{"instId":"BTC-USDT","side":"sell","sz":"0.00001","source":"0","px":"29963.2",
     "tradeId":"242720720","ts":"1654161646974"}]}

- *Ids.* ``trades-all`` sends each fill alone, and ``tradeId`` counts up by one for each instrument. The channel
  ``trades`` joins the fills of an order at a price under the last of their ids, so it is not used. Orders of the
  enhanced liquidity program (``source`` 1) are trades like others. ``side`` is the taker's.
- *Pages.* A page can only be asked for by what lies behind it: the ids below ``after``. To hold the known trade it is
  asked for from `limit` ids above. It is whole if it ends lower than asked. OKX answers from several caches: a page may
  be a little older than the answer before it. Should ids ever jump, a page that ends within the jump seems whole until
  the next trade shows the gap, and a jump of more than a page would end as a hole.
- *Clock.* Messages of trades tell no time of the server, so each connection carries ``candle1s`` of BTC-USDT too, which
  somebody trades each second. A candle shows that its open time was reached, and one that is complete
  (``confirm`` 1) that its end was.
- *Keepalive.* OKX hangs up after 30 s without a message: we send the text ``ping``, and it answers ``pong``.
- *Spot only.* Sizes of swaps, futures and options are numbers of contracts. A message does not tell how much a contract
  is (``ctVal`` of the instrument), and an adapter remembers nothing. So their symbols are refused.

Source: OKX's API documentation v5: "WS / All trades channel", "WS / Trades channel", "WS / Candlesticks channel",
"GET / Trades history", "GET / Candlesticks history", "Get instruments", "Connect", "Subscribe", "Notification", "Rate
Limits", "Market Data" (caches). That ids are contiguous is what clients see, not a promise.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from market.decimals import parse_decimal
from market.errors import MalformedError
from market.given_candle import GivenCandle
from market.instrument import Instrument, InstrumentStatus
from market.limits import check_amounts_of_candle
from market.timeframe import MINUTE_MS, SECOND_MS
from market.trade import Source, Trade
from producers.exchange import (
    Keepalive,
    Message,
    Opening,
    RefusedTrade,
    RestLimits,
    RestRequest,
    TradesPage,
    TradesRequest,
)
from producers.wire import (
    decode_as,
    digits,
    known_field,
    known_number,
    make_trade,
    read_rows,
    step_or_none,
    taker_side,
)
from runtime.errors import UsageError
from runtime.settings import Settings

_TRADES, _CLOCK = "trades-all", "candle1s"
_CLOCK_INSTRUMENT = "BTC-USDT"
_ARGS_A_FRAME = 50
"""About 3 KB: all subscriptions of a connection may have 64 KB together, and may come in 480 frames an hour."""
_PAUSE_S = 0.2
_PONG = b"pong"
_CLOSES_SOON = "64008"
"""The code of the notice that the connection will be closed within a minute."""
_TAKEN = "0"
_CONFIRMED = "1"
_CONFIRM = 8
"""The place of ``confirm`` in a candle: ``ts, o, h, l, c, vol, volCcy, volCcyQuote, confirm``."""
_SPOT_PARTS = 2
_MS = 1_000


class _OkxArg(Struct, gc=False):
    channel: str = ""
    instId: str = ""  # noqa: N815  # the field's name


class _OkxFrame(Struct, gc=False):
    arg: _OkxArg | None = None
    data: list[msgspec.Raw] | None = None
    event: str = ""
    code: str = ""
    msg: str = ""


class _OkxTrade(Struct, gc=False):
    instId: str  # noqa: N815  # the field's name
    tradeId: str  # noqa: N815  # the field's name
    px: str
    sz: str
    side: str
    ts: str


class _OkxAnswer(Struct, gc=False):
    code: str
    msg: str = ""
    data: list[msgspec.Raw] = []


class _OkxInstrument(Struct):
    instId: str  # noqa: N815  # the field's name
    baseCcy: str = ""  # noqa: N815  # the field's name
    quoteCcy: str = ""  # noqa: N815  # the field's name
    state: str = ""
    tickSz: str = ""  # noqa: N815  # the field's name
    lotSz: str = ""  # noqa: N815  # the field's name
    listTime: str = ""  # noqa: N815  # the field's name


_frame = msgspec.json.Decoder(_OkxFrame).decode
_trade = msgspec.json.Decoder(_OkxTrade).decode
_candle = msgspec.json.Decoder(list[str]).decode
_answer = msgspec.json.Decoder(_OkxAnswer).decode
_instrument = msgspec.json.Decoder(_OkxInstrument).decode


class Okx:
    """Spot trades, each fill by itself."""

    name = "okx"
    # Each address of the REST API has its own limit. This is the one of `history-trades`, for all together.
    rest_limits = RestLimits(weight=20, per_s=2.0, too_much={429: 2.0}, too_much_words=(b'"code":"50011"',))
    symbols_per_connection = 200
    page_trades = 100
    page_klines = 300
    klines_count_trades = False
    ids_prove = True
    keepalive: Keepalive | None = Keepalive("ping", 20.0)

    def __init__(self, settings: Settings) -> None:
        self.ws_url = settings.okx_ws
        self.rest_url = settings.okx_rest

    def opening(self, natives: Sequence[str]) -> Opening:
        """The clock first, then the trades of all symbols."""
        args = [{"channel": _CLOCK, "instId": _CLOCK_INSTRUMENT}]
        args += [{"channel": _TRADES, "instId": native} for native in natives]
        frames = [
            msgspec.json.encode({"op": "subscribe", "args": args[start : start + _ARGS_A_FRAME]}).decode()
            for start in range(0, len(args), _ARGS_A_FRAME)
        ]
        return Opening("/ws/v5/business", tuple(frames), _PAUSE_S, acknowledged=True)

    def read(self, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        """A frame of the business address."""
        if frame == _PONG:
            return Message()
        wire = decode_as(_frame, frame, f"a frame of {self.name}")
        if wire.event:
            return _event(wire)
        if wire.arg is None or wire.data is None:
            raise MalformedError(f"not a frame of {self.name}: neither an event nor data")
        if wire.arg.channel == _TRADES:
            return self._trades(wire.data, wire.arg.instId, symbols, received_us)
        return _clock(wire.data) if wire.arg.channel == _CLOCK else Message()

    def _trades(
        self, rows: Sequence[msgspec.Raw], native: str, symbols: Mapping[str, str], received_us: int
    ) -> Message:
        symbol = symbols.get(native)
        if symbol is None:
            return Message(refused=[RefusedTrade(bytes(row), f"no subscription to {native!r}") for row in rows])
        read = self._read_rows(rows, native, symbol, received_us, Source.WS)
        trades = [row for row in read if isinstance(row, Trade)]
        return Message(trades=trades, refused=[row for row in read if isinstance(row, RefusedTrade)])

    def _read_rows(
        self, rows: Sequence[msgspec.Raw], native: str, symbol: str, received_us: int, source: Source
    ) -> list[Trade | RefusedTrade]:
        def read(raw: msgspec.Raw) -> Trade:
            row = _trade(raw)
            if row.instId != native:
                raise MalformedError(f"a trade of {row.instId[:40]!r} among those of {native}")
            return make_trade(
                self.name,
                symbol,
                digits(row.tradeId, "tradeId"),
                price=row.px,
                qty=row.sz,
                side=taker_side(row.side),
                time_us=digits(row.ts, "ts") * _MS,
                received_us=received_us,
                source=source,
            )

        return read_rows(list(rows), symbol, read, _number_of)

    def instruments(self, natives: Sequence[str]) -> RestRequest:
        """All of spot: a filter takes one name only, and answers with an error where it does not exist."""
        del natives
        return RestRequest("/api/v5/public/instruments?instType=SPOT")

    def read_instruments(self, body: bytes) -> list[Instrument]:
        """``BTC-USDT`` is ``BTC-USDT``; pairs for tests are left out."""
        rows = [decode_as(_instrument, raw, f"an instrument of {self.name}") for raw in _data_of(body)]
        return [
            Instrument(
                exchange=self.name,
                symbol=f"{row.baseCcy}-{row.quoteCcy}",
                native=row.instId,
                base=row.baseCcy,
                quote=row.quoteCcy,
                status=InstrumentStatus.TRADING if row.state == "live" else InstrumentStatus.HALTED,
                tick=step_or_none(row.tickSz),
                lot=step_or_none(row.lotSz),
                since_ms=digits(row.listTime, "listTime") if row.listTime else None,
            )
            for row in rows
            if row.baseCcy and row.quoteCcy and row.state != "test"
        ]

    def native(self, symbol: str) -> str:
        """``btc-usdt`` to ``BTC-USDT``. `UsageError`: it is of a product with contracts."""
        native = symbol.upper()
        if native.count("-") >= _SPOT_PARTS:
            raise UsageError(f"{symbol}: of {self.name} only spot is read (BTC-USDT), not swaps, futures and options")
        return native

    def trades(self, request: TradesRequest) -> RestRequest:
        """A page of ``history-trades``; without a known id the newest."""
        path = f"/api/v5/market/history-trades?instId={request.native}&type=1&limit={request.limit}"
        return RestRequest(path if request.known is None else f"{path}&after={_after(request.known, request.limit)}")

    def read_trades(self, body: bytes, request: TradesRequest, received_us: int) -> TradesPage:
        """A page, turned round; each row by itself."""
        raws = _data_of(body)[::-1]
        rows = self._read_rows(raws, request.native, request.symbol, received_us, Source.REST)
        known = -1 if request.known is None else request.known
        greatest = max((number for row in rows if (number := _id_of(row)) is not None), default=-1)
        return TradesPage(rows, is_whole=greatest < _after(known, request.limit) - 1)

    def klines(self, native: str, from_ms: int, until_ms: int) -> RestRequest:
        """``history-candles``: at most 300, the first ones of the range."""
        until_ms = min(until_ms, from_ms + self.page_klines * MINUTE_MS)
        span = f"after={until_ms}&before={from_ms - 1}&limit={self.page_klines}"
        return RestRequest(f"/api/v5/market/history-candles?instId={native}&bar=1m&{span}")

    def read_klines(self, body: bytes) -> list[GivenCandle]:
        """Prices and volumes of complete candles; OKX does not count their trades."""
        rows = [decode_as(_candle, raw, f"a candle of {self.name}") for raw in reversed(_data_of(body))]
        if any(len(row) <= _CONFIRM for row in rows):
            raise MalformedError(f"not klines of {self.name}: a candle with fewer than {_CONFIRM + 1} fields")
        return [_given(row) for row in rows if row[_CONFIRM] == _CONFIRMED]


def _event(wire: _OkxFrame) -> Message:
    """An answer to a subscription, or a notice."""
    if wire.event == "error":
        return Message(rejected=f"{wire.code} {wire.msg}".strip())
    if wire.event == "subscribe" and wire.arg is not None and wire.arg.channel == _TRADES:
        return Message(accepted=(wire.arg.instId,))
    return Message(closing=wire.event == "notice" and wire.code == _CLOSES_SOON)


def _clock(candles: Sequence[msgspec.Raw]) -> Message:
    """The greatest time that the candles of one second prove."""
    server_us, refused = 0, []
    for raw in candles:
        try:
            row = decode_as(_candle, raw, "a candle")
            open_ms = digits(row[0] if row else "", "ts")
        except MalformedError as error:
            refused.append(RefusedTrade(bytes(raw), f"a candle without its time: {error}"))
            continue
        is_complete = row[_CONFIRM : _CONFIRM + 1] == [_CONFIRMED]
        server_us = max(server_us, (open_ms + SECOND_MS * is_complete) * _MS)
    return Message(server_us, refused=refused)


def _data_of(body: bytes) -> list[msgspec.Raw]:
    """The rows of an answer of the REST API. `MalformedError`: it is none, or it tells an error."""
    answer = decode_as(_answer, body, f"an answer of {Okx.name}")
    if answer.code != _TAKEN:
        raise MalformedError(f"{Okx.name} answers with the error {answer.code[:20]}: {answer.msg[:200]}")
    return answer.data


def _given(row: Sequence[str]) -> GivenCandle:
    opened, high, low, close, volume, _, quote_volume = map(parse_decimal, row[1:_CONFIRM])
    candle = GivenCandle(
        open_time_ms=digits(row[0], "ts"), open=opened, high=high, low=low, close=close,
        volume=volume, quote_volume=quote_volume,
    )  # fmt: skip
    check_amounts_of_candle(candle)
    return candle


def _after(known: int, limit: int) -> int:
    """The id below which a page of so many trades ends, so that it begins with the known one."""
    return known + limit


def _id_of(row: Trade | RefusedTrade) -> int | None:
    return row.number if isinstance(row, RefusedTrade) else int(row.trade_id)


def _number_of(raw: bytes) -> int | None:
    return known_number(known_field(raw, "tradeId"))
