"""Which symbols a producer takes."""

import pytest

from market.instrument import Instrument, InstrumentStatus
from producers.feed.selection import Selection, Shard, select
from runtime.errors import UsageError


def instrument(base: str, quote: str, status: InstrumentStatus = InstrumentStatus.TRADING) -> Instrument:
    return Instrument(
        exchange="x", symbol=f"{base}-{quote}", native=base + quote, base=base, quote=quote, status=status
    )


LISTED = [
    instrument("BTC", "USDT"), instrument("ETH", "USDT"), instrument("ETH", "BTC"),
    instrument("OLD", "USDT", InstrumentStatus.HALTED),
]  # fmt: skip


@pytest.mark.parametrize("name", ["BTC-USDT", "btc-usdt", "BTCUSDT", "btcusdt"])
def test_a_symbol_is_chosen_by_our_name_or_the_exchange_s(name: str) -> None:
    assert list(select(Selection([name]), LISTED, "x")) == ["BTCUSDT"]


def test_a_symbol_that_is_halted_is_taken_if_it_is_named() -> None:
    assert list(select(Selection(["OLD-USDT"]), LISTED, "x")) == ["OLDUSDT"]


def test_all_are_those_that_are_traded() -> None:
    assert list(select(Selection(whole_market=True), LISTED, "x")) == ["BTCUSDT", "ETHUSDT", "ETHBTC"]
    quoted = Selection(whole_market=True, quotes=frozenset({"USDT"}))
    assert list(select(quoted, LISTED, "x")) == ["BTCUSDT", "ETHUSDT"]


@pytest.mark.parametrize("name", ["LTC-USDT", "BTC-ETH", "BTC-", ""])
def test_a_symbol_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(UsageError, match="has no symbol"):
        select(Selection(["BTC-USDT", name]), LISTED, "x")


def test_shards_share_all_symbols_and_a_new_one_only_takes() -> None:
    keys = [f"x:S{number}-USDT" for number in range(2_000)]
    before = {key: [number for number in range(7) if Shard(number, 7).holds(key)] for key in keys}
    after = {key: [number for number in range(8) if Shard(number, 8).holds(key)] for key in keys}
    assert {len(owners) for owners in (*before.values(), *after.values())} == {1}
    assert {owners[0] for owners in after.values()} == set(range(8))
    moved = [key for key in keys if before[key] != after[key]]
    assert {after[key][0] for key in moved} == {7}
    assert 150 < len(moved) < 350, "about an eighth"


@pytest.mark.parametrize("text", ["8/8", "-1/8", "1", "a/b", "1/0", "0/1001", "1/2/3", ""])
def test_a_shard_that_cannot_be_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        Shard.parse(text)
