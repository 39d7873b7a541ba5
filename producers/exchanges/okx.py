"""OKX: its public market data over WebSocket and REST, version 5; spot, and perpetual swaps with a linear payout.

A trade over WebSocket, in the channel ``trades-all`` of ``/ws/v5/business``::

    {"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474",
     "px":"42219.9","sz":"0.12060306","side":"buy","source":"0","ts":"1630048897897"}]}

an acknowledgement, and a refusal::

    {"id":"1512","event":"subscribe","arg":{"channel":"trades-all","instId":"BTC-USDT"},"connId":"a4d3ae55"}
    {"event":"error","code":"60018","msg":"Wrong URL or channel:trades-all,instId:NO-USDT doesn't exist. Please use the
     correct URL, channel and parameters referring to API document.","connId":"a4d3ae55"}

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
- *Swaps.* Their sizes are numbers of contracts. One contract is ``ctVal`` times ``ctMult`` of the coin ``ctValCcy``,
  which only the list of instruments tells (`Exchange.knowing`)::

    {"instType":"SWAP","instId":"BTC-USDT-SWAP","uly":"BTC-USDT","settleCcy":"USDT","ctVal":"0.01","ctMult":"1",
     "ctValCcy":"BTC","ctType":"linear","lotSz":"0.01","tickSz":"0.1","state":"live","listTime":"1606468572000"}

  ``BTC-USDT-SWAP`` is ``BTC-USDT-PERP``. Candles tell both: ``vol`` in contracts and ``volCcy`` in coins. A contract of
  an *inverse* swap (``ctType``; those quoted in USD) is a number of dollars, so that each trade would need a division,
  which is not exact: refused. Futures and options are refused too.
- *Refusals.* The error of a subscription names channel and instrument in its text. Each subscription is answered by
  itself; whether a bad one spoils others of its request is not documented: what is not acknowledged is asked for again.
- *Klines.* ``history-candles`` gave 100 in an answer, and since August 2025 says 300 (``candles``: 300 since 2022). We
  ask for 100, which is right for both: of a longer range an old server would give the newest ones, and the others would
  seem to be missing.

Source: OKX's API documentation v5: "WS / All trades channel", "WS / Trades channel", "WS / Candlesticks channel",
"GET / Trades history", "GET / Candlesticks history", "Get instruments", "Connect", "Subscribe", "Notification", "Rate
Limits", "Market Data" (caches). For the limits of candles: issues 25682 and 26705 of `ccxt/ccxt`, 6174 and 6825 of
`freqtrade/freqtrade`; for the words of a refusal: issues 76 of `aiviaio/okex` and 106 of `sieblyio/okx-api`. That ids
are contiguous is what clients see, not a promise.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from types import MappingProxyType

import msgspec
from msgspec import Struct, structs

from market.decimals import EXACT, parse_decimal
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
_NO_SUCH = "60018"
"""The code of the error of a subscription to what does not exist."""
_subscribed_to = re.compile(r"channel:([^,\s]+),instId:([^,\s]+)").search
_LINEAR, _INVERSE_QUOTE = "linear", "USD"
_SPOT_PARTS = 2
_MS = 1_000


class OkxProduct(Enum):
    """What is traded; the value is ``instType``."""

    SPOT = "SPOT"
    SWAPS = "SWAP"


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
    uly: str = ""
    ctVal: str = ""  # noqa: N815  # the field's name
    ctMult: str = ""  # noqa: N815  # the field's name
    ctValCcy: str = ""  # noqa: N815  # the field's name
    ctType: str = ""  # noqa: N815  # the field's name


_frame = msgspec.json.Decoder(_OkxFrame).decode
_trade = msgspec.json.Decoder(_OkxTrade).decode
_candle = msgspec.json.Decoder(list[str]).decode
_answer = msgspec.json.Decoder(_OkxAnswer).decode
_instrument = msgspec.json.Decoder(_OkxInstrument).decode


class Okx:
    """The trades of one product, each fill by itself. Both products have one exchange name: their symbols differ.

    `contracts`: how many coins a contract is, by native name; without them swaps are subscribed to and not read.
    """

    name = "okx"
    # Each address of the REST API has its own limit. This is the one of `history-trades`, for all together.
    rest_limits = RestLimits(weight=20, per_s=2.0, too_much={429: 2.0}, too_much_words=(b'"code":"50011"',), lag_s=3.0)
    symbols_per_connection = 200
    page_trades = 100
    page_klines = 100
    klines_count_trades = False
    ids_prove = True
    keepalive: Keepalive | None = Keepalive("ping", 20.0)

    def __init__(
        self,
        settings: Settings,
        product: OkxProduct = OkxProduct.SPOT,
        contracts: Mapping[str, Decimal] = MappingProxyType({}),
    ) -> None:
        self.ws_url = settings.okx_ws
        self.rest_url = settings.okx_rest
        self._settings = settings
        self._product = product
        self._contracts = contracts

    def knowing(self, contracts: Mapping[str, Decimal]) -> "Okx":
        """With these contracts beside those that it knows; of spot itself."""
        if self._product is OkxProduct.SPOT:
            return self
        return Okx(self._settings, self._product, {**self._contracts, **contracts})

    def opening(self, natives: Sequence[str]) -> Opening:
        """The clock first, then the trades of all symbols."""
        args = [{"channel": _CLOCK, "instId": _CLOCK_INSTRUMENT}]
        args += [{"channel": _TRADES, "instId": native} for native in natives]
        frames, singly = (_subscriptions(args, each) for each in (_ARGS_A_FRAME, 1))
        return Opening("/ws/v5/business", frames, _PAUSE_S, acknowledged=True, singly=singly)

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
                qty=row.sz if self._product is OkxProduct.SPOT else self._coins(native, row.sz),
                side=taker_side(row.side),
                time_us=digits(row.ts, "ts") * _MS,
                received_us=received_us,
                source=source,
            )

        return read_rows(list(rows), symbol, read, _number_of)

    def _coins(self, native: str, contracts: str) -> str:
        """So many coins are that many contracts, exactly. `MalformedError`: not a number, or no such instrument."""
        contract = self._contracts.get(native)
        if contract is None:
            raise MalformedError(f"it is not known how much a contract of {native[:40]} is")
        return format(EXACT.multiply(parse_decimal(contracts), contract), "f")

    def instruments(self, natives: Sequence[str]) -> RestRequest:
        """All of the product: a filter takes one name only, and answers with an error where it does not exist."""
        del natives
        return RestRequest(f"/api/v5/public/instruments?instType={self._product.value}")

    def read_instruments(self, body: bytes) -> list[Instrument]:
        """``BTC-USDT`` is ``BTC-USDT``, ``BTC-USDT-SWAP`` is ``BTC-USDT-PERP``; what is for tests is left out.

        So are swaps whose contracts are not a number of coins, because they are inverse or because the list does not
        tell how many.
        """
        rows = [decode_as(_instrument, raw, f"an instrument of {self.name}") for raw in _data_of(body)]
        read = _spot_instrument if self._product is OkxProduct.SPOT else _swap_instrument
        listed = [read(row) for row in rows if row.state != "test"]
        return [each for each in listed if each is not None]

    def native(self, symbol: str) -> str:
        """``btc-usdt`` to ``BTC-USDT``; of swaps ``btc-usdt-perp`` to ``BTC-USDT-SWAP``.

        `UsageError`: it is of another product.
        """
        name = symbol.upper()
        if self._product is OkxProduct.SPOT:
            if name.count("-") >= _SPOT_PARTS:
                raise UsageError(
                    f"{symbol}: okx is spot (BTC-USDT). Perpetuals (BTC-USDT-PERP) are okx-swap; futures and options "
                    "are not read"
                )
            return name
        pair = name.removesuffix("-PERP").removesuffix("-SWAP")
        if pair == name or pair.count("-") != 1:
            raise UsageError(f"{symbol}: okx-swap is perpetuals (BTC-USDT-PERP, or BTC-USDT-SWAP)")
        if pair.endswith(f"-{_INVERSE_QUOTE}"):
            raise UsageError(
                f"{symbol}: swaps quoted in {_INVERSE_QUOTE} are inverse: a contract is a number of dollars, and what "
                "that is in coins is not exact. Those quoted in USDT and USDC are read"
            )
        return f"{pair}-SWAP"

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
        """``history-candles``: at most 100, the first ones of the range."""
        until_ms = min(until_ms, from_ms + self.page_klines * MINUTE_MS)
        span = f"after={until_ms}&before={from_ms - 1}&limit={self.page_klines}"
        return RestRequest(f"/api/v5/market/history-candles?instId={native}&bar=1m&{span}")

    def read_klines(self, body: bytes) -> list[GivenCandle]:
        """Prices and volumes of complete candles; OKX does not count their trades."""
        rows = [decode_as(_candle, raw, f"a candle of {self.name}") for raw in reversed(_data_of(body))]
        if any(len(row) <= _CONFIRM for row in rows):
            raise MalformedError(f"not klines of {self.name}: a candle with fewer than {_CONFIRM + 1} fields")
        counts_coins = self._product is OkxProduct.SPOT
        return [_given(row, counts_coins=counts_coins) for row in rows if row[_CONFIRM] == _CONFIRMED]


def okx_swaps(settings: Settings) -> Okx:
    """Perpetuals with a linear payout: ``BTC-USDT-PERP``."""
    return Okx(settings, OkxProduct.SWAPS)


def _spot_instrument(row: _OkxInstrument) -> Instrument | None:
    """A pair; None: a row of another product."""
    if not (row.baseCcy and row.quoteCcy):
        return None
    return _listed(row, f"{row.baseCcy}-{row.quoteCcy}", row.baseCcy, row.quoteCcy)


def _swap_instrument(row: _OkxInstrument) -> Instrument | None:
    """A perpetual; None: its contracts are not a number of coins, or it is not told how many."""
    base, _, quote = row.uly.partition("-")
    value, times = step_or_none(row.ctVal), step_or_none(row.ctMult)
    is_linear = row.ctType == _LINEAR and base and row.ctValCcy == base
    if not is_linear or not quote or value is None or times is None:
        return None
    contract = EXACT.multiply(value, times)
    listed = _listed(row, f"{base}-{quote}-PERP", base, quote)
    lot = None if listed.lot is None else EXACT.multiply(listed.lot, contract)
    return structs.replace(listed, contract=contract, lot=lot)


def _listed(row: _OkxInstrument, symbol: str, base: str, quote: str) -> Instrument:
    return Instrument(
        exchange=Okx.name,
        symbol=symbol,
        native=row.instId,
        base=base,
        quote=quote,
        status=InstrumentStatus.TRADING if row.state == "live" else InstrumentStatus.HALTED,
        tick=step_or_none(row.tickSz),
        lot=step_or_none(row.lotSz),
        since_ms=digits(row.listTime, "listTime") if row.listTime else None,
    )


def _subscriptions(args: Sequence[Mapping[str, str]], most: int) -> tuple[str, ...]:
    """The frames that subscribe to all of it, at most so many channels in one."""
    parts = [args[start : start + most] for start in range(0, len(args), most)]
    return tuple(msgspec.json.encode({"op": "subscribe", "args": part}).decode() for part in parts)


def _event(wire: _OkxFrame) -> Message:
    """An answer to a subscription, or a notice."""
    if wire.event == "error":
        told = _subscribed_to(wire.msg) if wire.code == _NO_SUCH else None
        culprit = told[2] if told is not None and told[1] == _TRADES else None
        untaken = () if culprit is None else (culprit,)
        return Message(rejected=f"{wire.code} {wire.msg}".strip(), untaken=untaken, culprit=culprit)
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


def _given(row: Sequence[str], *, counts_coins: bool) -> GivenCandle:
    """A candle; of swaps the first volume is in contracts, the second in coins."""
    opened, high, low, close, first, second, quote_volume = map(parse_decimal, row[1:_CONFIRM])
    volume = first if counts_coins else second
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
