"""Which instruments are published: each at first, then what differs, and what is gone."""

from decimal import Decimal

from msgspec import structs

from market.instrument import Instrument, InstrumentStatus
from producers.feed.listing import Listing


def instrument(base: str, **fields: object) -> Instrument:
    made = Instrument(exchange="binance", symbol=f"{base}-USDT", native=f"{base}USDT", base=base, quote="USDT")
    return structs.replace(made, **fields)


BTC, ETH = instrument("BTC", tick=Decimal("0.01")), instrument("ETH")
WANTED = [BTC.native, ETH.native]


def published(*instruments: Instrument) -> Listing:
    listing = Listing()
    listing.publish(instruments)
    return listing


def test_at_first_each_wanted_instrument_is_published_and_no_other() -> None:
    assert Listing().changes(WANTED, [instrument("XRP"), ETH, BTC]) == [BTC, ETH]


def test_later_only_what_differs_is() -> None:
    listing = published(BTC, ETH)
    assert listing.changes(WANTED, [BTC, ETH]) == []
    finer, halted = (
        structs.replace(BTC, tick=Decimal("0.001")),
        structs.replace(ETH, status=InstrumentStatus.HALTED),
    )
    assert listing.changes(WANTED, [finer, halted]) == [finer, halted]


def test_the_same_step_with_another_number_of_zeros_is_no_change() -> None:
    assert published(BTC).changes(WANTED, [structs.replace(BTC, tick=Decimal("0.0100"))]) == []


def test_what_is_in_the_list_no_more_is_delisted_once_and_may_come_back() -> None:
    listing = published(BTC, ETH)
    gone = structs.replace(BTC, status=InstrumentStatus.DELISTED)
    assert listing.changes(WANTED, [ETH]) == [gone]
    listing.publish([gone])
    assert listing.changes(WANTED, [ETH]) == []
    assert listing.changes(WANTED, [BTC, ETH]) == [BTC]


def test_a_symbol_that_was_in_no_list_is_passed_over() -> None:
    assert Listing().changes(WANTED, [ETH]) == [ETH]


def test_a_symbol_that_is_fed_no_more_is_followed_on() -> None:
    listing = published(BTC)
    assert listing.followed([ETH.native]) == [ETH.native, BTC.native]
    assert listing.followed([BTC.native]) == [BTC.native]
