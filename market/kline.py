"""An exchange's own kline, in its wire form: what a minute falls back on where its trades cannot be had."""

from collections.abc import Callable
from decimal import Decimal

import msgspec
from msgspec import Struct

from market.decimals import parse_decimal, parse_sum
from market.errors import MalformedError
from market.fields import Count, TimeMs
from market.limits import check_prices, check_sums


class Kline(Struct, frozen=True, kw_only=True, gc=False):
    """The values of a candle, as the exchange itself gives them; it tells no trade ids."""

    open_time_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int
    """Fills, as the exchange counts them: an aggregate trade stands for several."""
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal


class _BinanceRow(Struct, array_like=True, gc=False):
    """A row of Binance's REST klines, spot and USD-M; the last element means nothing."""

    open_time_ms: TimeMs
    open: str
    high: str
    low: str
    close: str
    volume: str
    close_time_ms: TimeMs
    quote_volume: str
    trades: Count
    taker_buy_volume: str
    taker_buy_quote_volume: str
    unused: str


_binance_row = msgspec.json.Decoder(_BinanceRow)


def _parse_binance(wire: bytes) -> Kline:
    row = _binance_row.decode(wire)
    return Kline(
        open_time_ms=row.open_time_ms,
        open=parse_decimal(row.open),
        high=parse_decimal(row.high),
        low=parse_decimal(row.low),
        close=parse_decimal(row.close),
        volume=parse_sum(row.volume),
        quote_volume=parse_sum(row.quote_volume),
        trades=row.trades,
        taker_buy_volume=parse_sum(row.taker_buy_volume),
        taker_buy_quote_volume=parse_sum(row.taker_buy_quote_volume),
    )


_PARSERS: dict[str, Callable[[bytes], Kline]] = {
    "binance": _parse_binance,
    "binance-agg": _parse_binance,
    "binance-usdm": _parse_binance,
}


def parse_kline(exchange: str, wire: bytes) -> Kline:
    """Read the header `kline` of a marker of `exchange`; one that cannot be read is malformed."""
    parser = _PARSERS.get(exchange)
    if parser is None:
        raise MalformedError(f"no kline is known of exchange {exchange[:100]!r}")
    try:
        kline = parser(wire)
        check_prices(kline)
        check_sums(kline, ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"))
    except MalformedError:
        raise
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"not a kline of {exchange}: {error}") from error
    return kline
