"""What trades can be, for hypothesis."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from msgspec import structs

from market.bar import Bar, BarKind
from market.candle import Candle, Status
from market.decimals import EXACT
from market.feed import FeedEvent, FeedEventKind, Progress
from market.fields import MAX_COUNT, MAX_TIME_US, MAX_WHOLE
from market.funding import FundingKind, FundingRate
from market.given_candle import GivenCandle
from market.instrument import Instrument, InstrumentStatus
from market.signal import Severity, Signal, SignalState
from market.ticker import Ticker, Window
from market.timeframe import DAY_MS, MINUTE_US, Timeframe
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


@st.composite
def amounts(draw: st.DrawFn) -> dict[str, Decimal]:
    """Price and qty of a trade: as wide as the limits allow, trailing zeros included."""
    whole, places = draw(st.integers(1, 12)), draw(st.integers(0, 18))
    price = draw(positive(whole, places))
    return {"price": price, "qty": draw(positive(13 - whole, min(18, 22 - places)))}


@st.composite
def usual_amounts(draw: st.DrawFn) -> dict[str, Decimal]:
    """Price and qty with up to 15 digits each, within the limits of a trade by their digits alone."""
    whole = draw(st.integers(1, 12))
    places = draw(st.integers(0, 15 - whole))
    qty_whole = draw(st.integers(1, 13 - whole))
    qty_places = draw(st.integers(0, min(15 - qty_whole, 22 - places)))
    price, qty = (
        Decimal(draw(st.integers(1, 10 ** (before + behind) - 1))).scaleb(-behind)
        for before, behind in ((whole, places), (qty_whole, qty_places))
    )
    return {"price": price, "qty": qty}


def positive(whole: int = 15, places: int = 18) -> st.SearchStrategy[Decimal]:
    """Decimals above 0 with up to so many digits before and behind the point."""
    return st.integers(1, 10 ** (whole + places) - 1).map(lambda number: Decimal(number).scaleb(-places, EXACT))


def sums(whole: int = 20, places: int = 18) -> st.SearchStrategy[Decimal]:
    """Sums, 0 included."""
    return st.just(Decimal(0)) | positive(whole, places)


quote_sums = sums(16, 22)
edges = st.lists(positive(), min_size=4, max_size=4).map(sorted).flatmap(
    lambda four: st.permutations(four[1:3]).map(
        lambda inner: {"low": four[0], "high": four[3], "open": inner[0], "close": inner[1]}
    )
)  # fmt: skip
"""Open, high, low and close that can be of one candle."""

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
names = texts.filter(lambda text: ":" not in text and "|" not in text)
times_us = st.integers(0, MAX_TIME_US - 1)
times_ms = st.integers(0, MAX_TIME_US // 1000 - 1)
counts = st.integers(0, MAX_COUNT)
numbers = st.integers(0, 10**18 - 1).map(str)
trade_ids = st.one_of(st.integers(1, 60).map(str), numbers, st.uuids().map(str), texts)

seqs = st.none() | st.integers(0, MAX_WHOLE)

trades = st.builds(
    lambda amounts, **fields: Trade(**amounts, **fields),
    amounts(),
    exchange=names,
    symbol=names,
    trade_id=trade_ids,
    side=st.sampled_from(Side),
    time_us=times_us,
    received_us=times_us,
    source=st.sampled_from(Source),
    seq=seqs,
)


def _candle(timeframe: Timeframe, time_ms: int, prices: dict[str, Decimal], **fields: Any) -> Candle:
    open_ms = timeframe.open_ms(time_ms)
    return Candle(
        timeframe=timeframe,
        open_time_ms=open_ms,
        close_time_ms=timeframe.end_ms(open_ms) - 1,
        **prices,
        **fields,
    )


candles = st.builds(
    _candle,
    st.sampled_from(Timeframe),
    st.integers(4 * DAY_MS, MAX_TIME_US // 1000 - 32 * DAY_MS),
    edges,
    exchange=names,
    symbol=names,
    volume=sums(),
    quote_volume=quote_sums,
    trades=counts,
    taker_buy_volume=sums(),
    taker_buy_quote_volume=quote_sums,
    first_trade_id=st.none() | texts,
    last_trade_id=st.none() | texts,
    revision=counts,
    status=st.sampled_from(Status),
)


def _bar(prices: dict[str, Decimal], times: list[int], left: list[Decimal], **fields: Any) -> Bar:
    first_us, last_us = sorted(times)
    remainder, threshold = sorted(left)
    return Bar(
        open_time_us=first_us, close_time_us=last_us, threshold=threshold, remainder=remainder, **prices, **fields
    )


bars = st.builds(
    _bar,
    edges,
    st.lists(times_us, min_size=2, max_size=2),
    st.lists(positive(), min_size=2, max_size=2, unique=True),
    exchange=names,
    symbol=names,
    kind=st.sampled_from(BarKind),
    series_begin_us=times_us,
    number=st.integers(1, MAX_COUNT),
    volume=sums(),
    quote_volume=quote_sums,
    trades=st.integers(1, MAX_COUNT),
    taker_buy_volume=sums(),
    taker_buy_quote_volume=quote_sums,
    first_trade_id=texts,
    last_trade_id=texts,
    late_trades=counts,
    revision=counts,
    status=st.sampled_from(Status),
)
given_candles = st.builds(
    lambda prices, **fields: GivenCandle(**prices, **fields),
    edges,
    open_time_ms=times_ms,
    volume=sums(),
    quote_volume=st.none() | quote_sums,
    trades=st.none() | counts,
    taker_buy_volume=st.none() | sums(),
    taker_buy_quote_volume=st.none() | quote_sums,
)
windows = st.builds(
    lambda prices, **fields: Window(**prices, **fields),
    edges,
    minutes=counts,
    change=signed(15),
    change_percent=signed(4),
    vwap=st.none() | sums(),
    volume=sums(),
    quote_volume=quote_sums,
    taker_buy_volume=sums(),
    trades=counts,
    status=st.sampled_from(Status),
    since_ms=st.none() | times_ms,
    missing=st.none() | counts,
    taker_buy_share=st.none() | sums(),
    realised_volatility=st.none() | sums(),
)
tickers = st.builds(
    Ticker,
    exchange=names,
    symbol=names,
    time_ms=times_ms,
    last=positive(),
    live=st.booleans(),
    revision=counts,
    windows=st.dictionaries(st.sampled_from(["1h", "24h", "7d"]), windows),
)
signals = st.builds(
    Signal,
    exchange=names,
    symbol=names,
    kind=texts,
    state=st.sampled_from(SignalState),
    severity=st.sampled_from(Severity),
    time_ms=times_ms,
    revision=counts,
    other=st.none() | st.builds("{}:{}".format, names, names),
    window_minutes=counts,
    values=st.dictionaries(st.text(min_size=1, max_size=515), signed(18), max_size=3),
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
progresses = st.builds(
    Progress,
    key=texts,
    complete_until_us=times_us,
    run=st.none() | texts,
    finished=st.booleans(),
    reset_id=st.none() | texts,
    reset_us=st.none() | times_us,
    last_trade_us=st.none() | times_us,
)

instruments = st.builds(
    Instrument,
    exchange=names,
    symbol=names,
    native=texts,
    base=texts,
    quote=texts,
    status=st.sampled_from(InstrumentStatus),
    tick=st.none() | positive(),
    lot=st.none() | positive(),
    contract=st.none() | positive(),
    since_ms=st.none() | times_ms,
)
funding_rates = st.builds(
    FundingRate,
    exchange=names,
    symbol=names,
    time_ms=times_ms,
    rate=signed(15),
    kind=st.sampled_from(FundingKind),
    next_time_ms=st.none() | times_ms,
    mark_price=st.none() | positive(),
)


def _marker(minute: int, kline: GivenCandle, **fields: Any) -> Marker:
    kline = structs.replace(kline, open_time_ms=minute * MINUTE_US // 1000)
    return Marker(complete_until_us=(minute + 1) * MINUTE_US, kline=kline, **fields)


markers = st.builds(
    _marker,
    st.integers(0, MAX_TIME_US // MINUTE_US - 2),
    given_candles,
    published_until_us=times_us,
    proof=st.sampled_from(Proof),
    last_trade_id=st.none() | texts,
    last_price=st.none() | positive(),
    run=st.none() | texts,
    end=st.booleans(),
)


@st.composite
def minutes_of_trades(draw: st.DrawFn, ids: st.SearchStrategy[str], max_size: int = 30) -> list[Trade]:
    """Trades of one market and minute, each id once."""
    return draw(
        st.lists(
            st.builds(
                lambda amounts, **fields: Trade(exchange="binance", symbol="BTC-USDT", **amounts, **fields),
                amounts(),
                trade_id=ids,
                side=st.sampled_from(Side),
                time_us=st.integers(MINUTE_OPEN_US, MINUTE_OPEN_US + 9),
                seq=st.none() | st.integers(0, 3),
            ),
            max_size=max_size,
            unique_by=lambda trade: trade.trade_id,
        )
    )
