"""Records of one market by number, as their topics' JSON; those of prices and candles are in `written`."""

from decimal import Decimal

from written import MINUTE, T0

from market.bar import Bar, BarKind
from market.candle import Status
from market.codec import encode_bar, encode_feed_event, encode_funding_rate, encode_instrument, encode_signal
from market.feed import FeedEvent, FeedEventKind
from market.funding import FundingKind, FundingRate
from market.instrument import Instrument
from market.signal import Severity, Signal, SignalState

BTC = {"exchange": "binance", "symbol": "BTC-USDT"}


def signal(number: int) -> bytes:
    return encode_signal(
        Signal(
            **BTC, kind="spread", state=SignalState.INFO, severity=Severity.WARNING, time_ms=T0 + number // 2 * MINUTE,
            revision=4, other=f"okx:{number}" if number % 2 else None, window_minutes=60,
            values={"spread": Decimal("-0.000000000000000001"), "mean": Decimal(number)},
        )
    )  # fmt: skip


def bar(number: int) -> bytes:
    return encode_bar(
        Bar(
            **BTC, kind=BarKind.DOLLAR, threshold=Decimal("1000000.5"), series_begin_us=T0 * 1000, number=number + 1,
            open_time_us=T0 * 1000 + number, close_time_us=T0 * 1000 + 9, open=Decimal(2), high=Decimal(3),
            low=Decimal(1), close=Decimal("2.5"), volume=Decimal(9), quote_volume=Decimal("20.25"), trades=3,
            taker_buy_volume=Decimal(1), taker_buy_quote_volume=Decimal("2.000001"), first_trade_id="1",
            last_trade_id="3", remainder=Decimal(0), late_trades=0, revision=1, status=Status.COMPLETE,
        )
    )  # fmt: skip


def funding(number: int) -> bytes:
    return encode_funding_rate(
        FundingRate(
            **BTC, time_ms=T0 + number * 60 * MINUTE, rate=Decimal("-0.00012345"), kind=FundingKind.SETTLED,
            next_time_ms=None if number % 2 else T0, mark_price=Decimal("27000.1"),
        )
    )  # fmt: skip


def gap(number: int) -> bytes:
    return encode_feed_event(
        FeedEvent(
            **BTC, event=FeedEventKind.HOLE, at_ms=T0, first_id=str(number), last_id=str(number + 1),
            from_us=T0 * 1000, until_us=T0 * 1000 + 1, run="r", reason="none",
        )
    )  # fmt: skip


def instrument(number: int) -> bytes:
    return encode_instrument(
        Instrument(
            exchange="binance", symbol=f"A{number}/B-USDT", native=f"a{number}", base=f"A{number}", quote="USDT",
            tick=Decimal("0.01"), lot=None, contract=None, since_ms=T0,
        )
    )  # fmt: skip
