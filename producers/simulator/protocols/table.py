"""The protocols that one server speaks, all on one port."""

from producers.simulator.protocol import WireProtocol
from producers.simulator.protocols.binance import BinanceProtocol
from producers.simulator.venue import Venue


def protocols_of(venue: Venue) -> tuple[WireProtocol, ...]:
    """All protocols, for the markets of a venue."""
    return (BinanceProtocol(venue),)
