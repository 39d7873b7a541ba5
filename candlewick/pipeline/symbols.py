"""Which symbols a run is of: known to be there before anything is started."""

from difflib import get_close_matches

import aiohttp

from producers.exchanges import exchange_named
from producers.feed.rest import RestClient
from producers.feed.runner import find
from producers.feed.selection import Selection
from producers.simulator.instruments import is_listed, listed_symbols, parse_symbols
from runtime.errors import UsageError
from runtime.settings import Settings

DEFAULT_SYMBOLS = "20"


def simulated_symbols(text: str | None) -> tuple[str, ...]:
    """Symbols of the simulator by name, or by number: that many, busiest first.

    Raises:
        UsageError: a symbol that the simulator does not list; names the nearest.
    """
    symbols = parse_symbols(text or DEFAULT_SYMBOLS)
    for symbol in symbols:
        if not is_listed(symbol):
            nearest = get_close_matches(symbol, listed_symbols(), n=3)
            hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"such as {', '.join(listed_symbols()[:6])}"
            raise UsageError(f"the simulator does not list {symbol}: name one that it lists, {hint}")
    return symbols


async def exchange_symbols(settings: Settings, exchange_name: str, text: str | None) -> tuple[str, ...]:
    """Symbols of a real exchange by name, asked for at the exchange itself.

    Raises:
        UsageError: no such exchange, none named, or one that the exchange does not have.
        UnavailableError: the exchange does not answer.
    """
    exchange = exchange_named(exchange_name, settings)
    names = tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))
    if not names or names[0].isdecimal():
        raise UsageError(f"say which symbols of {exchange_name}: --symbols BTCUSDT,ETHUSDT")
    async with aiohttp.ClientSession() as http:
        rest = RestClient(http, exchange.rest_url, exchange.rest_limits)
        return tuple(await find(rest, exchange, Selection(names)))
