"""What an adapter makes a trade of is held to what decoding takes, field by field."""

from decimal import Decimal
from typing import Any

import pytest

from market.codec import decode_trade, encode_trade
from market.errors import MalformedError
from market.fields import MAX_TIME_US
from market.limits import check_trade
from market.trade import Side, Source, Trade
from producers.wire import EARLIEST_US, MAX_ID, make_trade

USUAL: dict[str, Any] = {
    "exchange": "binance", "symbol": "BTC-USDT", "number": 7, "price": "27000.10000000", "qty": "0.00100000",
    "side": Side.BUY, "time_us": EARLIEST_US, "received_us": 5, "source": Source.WS, "seq": None,
}  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {}, {"number": 0}, {"number": MAX_ID - 1}, {"number": "any-id"}, {"number": "é"}, {"seq": 0},
        {"seq": 2**63 - 1}, {"time_us": MAX_TIME_US - 1}, {"received_us": 0}, {"received_us": MAX_TIME_US - 1},
        {"price": "1", "qty": "0.000000000000000001"}, {"price": "123456789012.1", "qty": "1"},
    ],
)  # fmt: skip
def test_what_is_made_is_read_back_as_it_is(other: dict[str, Any]) -> None:
    trade = make_trade(**USUAL | other)
    check_trade(trade)
    assert decode_trade(encode_trade(trade)) == trade
    fields = USUAL | other
    assert trade == Trade(
        **{name: value for name, value in fields.items() if name not in {"number", "price", "qty"}},
        trade_id=str(fields["number"]),
        price=Decimal(fields["price"]),
        qty=Decimal(fields["qty"]),
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"number": -1}, "trade id -1"), ({"number": MAX_ID}, "trade id"), ({"number": ""}, "trade_id"),
        ({"number": "x" * 129}, "trade_id"), ({"number": "a\nb"}, "trade_id"), ({"time_us": EARLIEST_US - 1}, "2009"),
        ({"time_us": MAX_TIME_US}, "time_us"), ({"received_us": -1}, "received_us"),
        ({"received_us": MAX_TIME_US}, "received_us"), ({"seq": -1}, "seq"), ({"seq": 2**63}, "seq"),
        ({"exchange": "a:b"}, "ambiguous"), ({"symbol": "a|b"}, "ambiguous"), ({"symbol": ""}, "symbol"),
        ({"price": "0"}, "price"), ({"qty": "0.00000000"}, "qty"), ({"price": "-1"}, "plain decimal"),
        ({"price": "1000000000000", "qty": "10"}, "price * qty"), ({"qty": "0.0000000000000000001"}, "qty"),
    ],
)  # fmt: skip
def test_what_is_beyond_a_limit_is_no_trade(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(MalformedError) as refused:
        make_trade(**USUAL | wrong)
    assert words in str(refused.value)
