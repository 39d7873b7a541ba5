"""Instruments: in order, by a market's name, and which are spot. Pure."""

from collections.abc import Iterable

from market.instrument import Instrument
from market.key import MarketKey


def instrument_of(market: MarketKey) -> Instrument:
    """What a market's name says of it."""
    base, _, rest = market.symbol.partition("-")
    quote = rest.partition("-")[0]
    return Instrument(**market._asdict(), native=f"{base}{quote}", base=base, quote=quote)


def in_order(instruments: Iterable[Instrument]) -> list[Instrument]:
    """By symbol."""
    return sorted(instruments, key=lambda instrument: instrument.symbol)


def is_spot(instrument: Instrument) -> bool:
    """Whether it is bought and sold itself: contracts have more in their symbols."""
    return instrument.symbol == f"{instrument.base}-{instrument.quote}"
