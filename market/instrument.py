"""What an exchange trades: one instrument, as its own list describes it."""

from decimal import Decimal
from enum import StrEnum

from market.fields import Name, TimeMs
from market.key import OfMarket


class InstrumentStatus(StrEnum):
    """Whether it is traded now."""

    TRADING = "trading"
    HALTED = "halted"
    """It exists, and is not traded for a while."""
    DELISTED = "delisted"


class Instrument(OfMarket, frozen=True, kw_only=True):
    """One instrument. `symbol` is ours (``BTC-USDT``, perpetuals ``BTC-USDT-PERP``)."""

    native: Name
    """As the exchange's streams write it."""
    base: Name
    quote: Name
    status: InstrumentStatus = InstrumentStatus.TRADING
    tick: Decimal | None = None
    """The least step of its price, in quote units; None: not told."""
    lot: Decimal | None = None
    """The least step of its size, in base units; None: not told."""
    contract: Decimal | None = None
    """How much one contract is, in base units; None: the exchange does not count in contracts.

    Sizes of our records are in base units in any case."""
    since_ms: TimeMs | None = None
    """Listed since, UTC milliseconds; None: not told."""
