"""An exchange by the name that a command was given."""

from producers.exchange import Exchange
from producers.exchanges import EXCHANGES
from runtime.errors import UsageError
from runtime.settings import Settings


def known_exchange(settings: Settings, name: str) -> Exchange:
    """The adapter of that name; a `UsageError` names those that there are."""
    if name not in EXCHANGES:
        raise UsageError(f"there is no exchange {name!r}: choose {' or '.join(sorted(EXCHANGES))}")
    return EXCHANGES[name](settings)
