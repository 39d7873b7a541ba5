"""The instruments of an exchange, by their own list and by the candles that there are; kept for half a minute.

A market that was imported has no instrument of its own: its symbol, ``BASE-QUOTE``, says what it is.
"""

import asyncio
import time

from market.codec import decode_instrument
from market.instrument import Instrument
from market.key import MarketKey
from serving.errors import NoTierError
from serving.instruments import in_order, instrument_of
from serving.markets import Markets
from serving.planner import Tier
from serving.tiers import AwayError, Tiers
from sinks.clickhouse.read_records import RecordKind

KEPT_S = 30.0
AGAIN_S = 1.0
"""After this time a name that is in no list is looked for again: the market may have begun meanwhile."""
MOST_INSTRUMENTS = 10_000
"""Of an exchange in the warm store."""


class InstrumentLists:
    """What is known of each exchange."""

    def __init__(self, tiers: Tiers, markets: Markets) -> None:
        self._tiers = tiers
        self._markets = markets
        self._asking = asyncio.Lock()
        self._kept: dict[str, tuple[float, list[Instrument]]] = {}
        """Only of exchanges that have any, so callers cannot fill it."""

    async def of(self, exchange: str, *, kept_s: float = KEPT_S) -> list[Instrument]:
        """The instruments by symbol; one question to the tiers at a time.

        Raises `NoTierError` where hot and warm are away, and have been since the start.
        """
        known = self._young(exchange, kept_s)
        if known:
            return known
        async with self._asking:
            known = self._young(exchange, kept_s)  # somebody else may have asked meanwhile
            if known:
                return known
            try:
                instruments = await self._read(exchange)
            except NoTierError:
                if exchange not in self._kept:
                    raise
                return self._kept[exchange][1]
            if instruments:
                self._kept[exchange] = time.monotonic(), instruments
            return instruments

    def _young(self, exchange: str, kept_s: float) -> list[Instrument]:
        """What was read within so many seconds."""
        read_s, instruments = self._kept.get(exchange, (0.0, []))
        return instruments if time.monotonic() - read_s < kept_s else []

    async def exchanges(self) -> list[str]:
        """The exchanges that have candles."""
        return sorted({market.exchange for market in await self._markets.listed()})

    async def _read(self, exchange: str) -> list[Instrument]:
        held: dict[str, Instrument] = {}
        away: set[Tier] = set()
        for tier, read in ((Tier.WARM, self._of_warm), (Tier.HOT, self._tiers.hot.instruments)):
            try:
                held |= {instrument.symbol: instrument for instrument in await read(exchange)}
            except AwayError:
                away.add(tier)
        if not held and len(away) == len(self._tiers.near):
            raise NoTierError(away)
        symbols = {market.symbol for market in await self._markets.listed() if market.exchange == exchange}
        return in_order([*held.values(), *(instrument_of(MarketKey(exchange, name)) for name in symbols - held.keys())])

    async def _of_warm(self, exchange: str) -> list[Instrument]:
        page = await self._tiers.warm.records(
            RecordKind.INSTRUMENTS, {"exchange": exchange}, after=None, limit=MOST_INSTRUMENTS
        )
        return [decode_instrument(value) for value in page.values]
