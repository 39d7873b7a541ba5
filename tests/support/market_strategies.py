"""What trades can be, for hypothesis."""

from decimal import Decimal

from hypothesis import strategies as st

from market.candle import Candle, Status
from market.feed import FeedEvent, FeedEventKind, Progress
from market.fields import MAX_TIME_US
from market.ticker import Ticker, Window
from market.timeframe import MINUTE_US
from market.trade import Marker, Proof, Side, Source, Trade

MINUTE_OPEN_US = 1_610_064_000_000_000


def decimals(max_digits: int = 20) -> st.SearchStrategy[Decimal]:
    """Plain decimals with up to `max_digits` on either side of the point, trailing zeros included."""
    digits = st.text("0123456789", min_size=1, max_size=max_digits)
    return st.builds(lambda whole, part: Decimal(f"{whole}.{part}"), digits, digits)


def signed(max_digits: int = 20) -> st.SearchStrategy[Decimal]:
    return st.builds(
        lambda sign, value: value.copy_sign(sign), st.sampled_from([Decimal(1), Decimal(-1)]), decimals(max_digits)
    )


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
names = texts.filter(lambda text: ":" not in text and "|" not in text)
times_us = st.integers(0, MAX_TIME_US - 1)
times_ms = st.integers(0, MAX_TIME_US // 1000 - 1)
counts = st.integers(0, (1 << 63) - 1)
numbers = st.integers(0, 10**18 - 1).map(str)
trade_ids = st.one_of(st.integers(1, 60).map(str), numbers, st.uuids().map(str), texts)

trades = st.builds(
    Trade,
    exchange=names,
    symbol=names,
    trade_id=trade_ids,
    price=decimals(40),
    qty=decimals(40),
    side=st.sampled_from(Side),
    time_us=times_us,
    received_us=times_us,
    source=st.sampled_from(Source),
)
candles = st.builds(
    Candle,
    exchange=names,
    symbol=names,
    timeframe=texts,
    open_time_ms=times_ms,
    close_time_ms=times_ms,
    open=decimals(40),
    high=decimals(40),
    low=decimals(40),
    close=decimals(40),
    volume=decimals(80),
    quote_volume=decimals(80),
    trades=counts,
    taker_buy_volume=decimals(80),
    taker_buy_quote_volume=decimals(80),
    first_trade_id=st.none() | texts,
    last_trade_id=st.none() | texts,
    revision=counts,
    status=st.sampled_from(Status),
)
windows = st.builds(
    Window,
    minutes=counts,
    open=decimals(),
    high=decimals(),
    low=decimals(),
    close=decimals(),
    change=signed(),
    change_percent=signed(4),
    vwap=st.none() | decimals(),
    volume=decimals(80),
    quote_volume=decimals(80),
    taker_buy_volume=decimals(80),
    trades=counts,
    status=st.sampled_from(Status),
)
tickers = st.builds(
    Ticker,
    exchange=names,
    symbol=names,
    time_ms=times_ms,
    last=decimals(40),
    live=st.booleans(),
    revision=counts,
    windows=st.dictionaries(st.sampled_from(["1h", "24h"]), windows),
)
feed_events = st.builds(
    FeedEvent,
    exchange=names,
    symbol=names,
    event=st.sampled_from(FeedEventKind),
    at_ms=times_ms,
    first_id=st.none() | texts,
    last_id=st.none() | texts,
    from_us=st.none() | times_us,
    until_us=st.none() | times_us,
    run=st.none() | texts,
    reason=st.none() | texts,
)
progresses = st.builds(Progress, key=texts, complete_until_us=times_us, run=st.none() | texts, finished=st.booleans())
whole_minutes = st.integers(0, MAX_TIME_US // MINUTE_US - 1).map(lambda minute: minute * MINUTE_US)
markers = st.builds(
    Marker,
    complete_until_us=whole_minutes,
    published_until_us=times_us,
    proof=st.sampled_from(Proof),
    last_trade_id=st.none() | texts,
    last_price=st.none() | decimals(40),
    run=st.none() | texts,
    end=st.booleans(),
    kline=st.binary(min_size=1),
)


@st.composite
def minutes_of_trades(draw: st.DrawFn, ids: st.SearchStrategy[str], max_size: int = 30) -> list[Trade]:
    """Trades of one market and minute, each id once."""
    return draw(
        st.lists(
            st.builds(
                Trade,
                exchange=st.just("binance"),
                symbol=st.just("BTC-USDT"),
                trade_id=ids,
                price=decimals(40),
                qty=decimals(40),
                side=st.sampled_from(Side),
                time_us=st.integers(MINUTE_OPEN_US, MINUTE_OPEN_US + 9),
            ),
            max_size=max_size,
            unique_by=lambda trade: trade.trade_id,
        )
    )
