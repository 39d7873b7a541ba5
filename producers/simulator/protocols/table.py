"""The protocols that one server speaks, all on one port."""

from producers.simulator.protocol import WireProtocol
from producers.simulator.protocols.binance import BinanceProtocol
from producers.simulator.protocols.binance_usdm import BinanceUsdmProtocol
from producers.simulator.protocols.bybit import BybitProtocol
from producers.simulator.protocols.coinbase import CoinbaseProtocol
from producers.simulator.protocols.kraken import KrakenProtocol
from producers.simulator.protocols.okx import OkxProtocol
from producers.simulator.venue import Venue


def protocols_of(venue: Venue) -> tuple[WireProtocol, ...]:
    """All protocols, for the markets of a venue.

    OKX comes before Binance, whose ``/ws/…`` is any list of streams.
    """
    return (
        OkxProtocol(venue),
        BinanceProtocol(venue),
        BinanceUsdmProtocol(venue),
        CoinbaseProtocol(venue),
        KrakenProtocol(venue),
        BybitProtocol(venue),
    )
