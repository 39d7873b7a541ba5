"""An exchange by the name that a command was given."""

from producers.exchange import Exchange
from producers.exchanges import exchange_named
from runtime.settings import Settings


def known_exchange(settings: Settings, name: str) -> Exchange:
    """The adapter of that name; a `UsageError` names those that there are."""
    return exchange_named(name, settings)
