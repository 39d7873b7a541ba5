"""Which symbols a run is of: known to be there before anything is started."""

import re
from difflib import get_close_matches

import aiohttp

from candlewick.verify.spoken import SPOKEN
from producers.exchanges import exchange_named
from producers.feed.rest import RestClient
from producers.feed.runner import find
from producers.feed.selection import Selection
from producers.simulator.instruments import instrument, is_listed, listed_symbols, parse_symbols
from runtime.errors import UsageError
from runtime.settings import Settings

DEFAULT_SYMBOLS = "20"


def parse_exchanges(text: str) -> tuple[str, ...]:
    """``binance,kraken``; one that is named twice counts once. `UsageError`: none is named."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError(f"{text!r} names no exchange: give one, or several such as binance,kraken")
    return names


def simulated_markets(exchanges: str, symbols: str | None) -> dict[str, tuple[str, ...]]:
    """Exchange → symbols of the simulator; every exchange that it speaks for has all of them. Raises `UsageError`."""
    listed = simulated_symbols(symbols)
    names = parse_exchanges(exchanges)
    for name in names:
        if name not in SPOKEN:
            raise UsageError(f"the simulator does not speak for {name!r}: choose from {', '.join(SPOKEN)}")
    return dict.fromkeys(names, listed)


def simulated_symbols(text: str | None) -> tuple[str, ...]:
    """Symbols of the simulator by name (``BTCUSDT``, ``BTC-USDT``), or by number: that many, busiest first.

    Raises:
        UsageError: a symbol that the simulator does not list; names the nearest.
    """
    symbols = parse_symbols(re.sub("[-/_]", "", text or DEFAULT_SYMBOLS))
    for symbol in symbols:
        if not is_listed(symbol):
            nearest = get_close_matches(symbol, listed_symbols(), n=3)
            hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"such as {', '.join(listed_symbols()[:6])}"
            raise UsageError(f"the simulator does not list {symbol}: name one that it lists, {hint}")
    return symbols


def name_for_producer(exchange: str, symbol: str) -> str:
    """Our own symbol of a simulated one, which every adapter knows: ``BTCUSDT`` is ``BTC-USDT``."""
    market = instrument(symbol)
    return f"{market.base}-{market.quote}{SPOKEN[exchange].suffix}"


def key_of(exchange: str, symbol: str) -> str:
    """The key of a simulated symbol's records: ``BTCUSDT`` of ``okx-swap`` is ``okx:BTC-USDT-PERP``."""
    return f"{SPOKEN[exchange].key}:{name_for_producer(exchange, symbol)}"


async def exchange_markets(settings: Settings, exchanges: str, symbols: str | None) -> dict[str, tuple[str, ...]]:
    """Exchange → symbols of real exchanges; each has to have all of them. Raises as `exchange_symbols` does."""
    return {name: await exchange_symbols(settings, name, symbols) for name in parse_exchanges(exchanges)}


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
