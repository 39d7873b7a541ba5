"""The instruments of a feed's symbols, in `md.instruments.v1`: at its start, and when the exchange's list changes.

A symbol that is in the list no more is `delisted`; the list is asked for twice before. What cannot be asked for or
published now is tried again: the feed goes on meanwhile.
"""

import asyncio
import time
from collections.abc import Collection

from market.codec import encode_instrument
from market.errors import MalformedError
from market.instrument import Instrument, InstrumentStatus
from producers.exchange import Exchange
from producers.feed.listing import Listing
from producers.feed.progress import STAGE
from producers.feed.rest import RefusedError, RestClient
from runtime.errors import CandlewickError
from runtime.kafka import Outgoing, Publisher
from runtime.settings import Settings
from runtime.telemetry import logger

ASK_EVERY_S = 3600.0
LOOK_EVERY_S = 10.0
"""A symbol that the feed has taken up meanwhile is asked for within this time."""
TRY_AGAIN_S = 60.0


async def publish_instruments(
    settings: Settings, exchange: Exchange, rest: RestClient, natives: Collection[str]
) -> None:
    """Publish the instruments with these native names until cancelled.

    `natives` may change meanwhile. A symbol that leaves it is followed on: so its end is told too.
    """
    listing = Listing()
    asked: set[str] = set()
    due_s = 0.0
    while True:
        if time.monotonic() >= due_s or not asked.issuperset(natives):
            followed = listing.followed(natives)
            asked = set(followed)
            wait_s = ASK_EVERY_S
            try:
                changed = listing.changes(followed, await _listed(exchange, rest, followed))
                await _publish(settings, changed)
                _tell(changed, is_first=not listing.published)
                listing.publish(changed)
            except (CandlewickError, MalformedError) as error:
                wait_s = TRY_AGAIN_S
                logger(STAGE).warning("instruments are not published, trying again", error=str(error), in_s=wait_s)
            due_s = time.monotonic() + wait_s
        await asyncio.sleep(LOOK_EVERY_S)


async def _listed(exchange: Exchange, rest: RestClient, natives: list[str]) -> list[Instrument]:
    """The exchange's list, with all of these names, or the whole one without those that are gone."""
    try:
        part = exchange.read_instruments(await rest.get(exchange.instruments(natives)))
    except RefusedError:  # a part of the list with a name that is gone may be refused as a whole
        part = []
    if {instrument.native for instrument in part} >= set(natives):
        return part
    whole = exchange.read_instruments(await rest.get(exchange.instruments(())))
    if not whole:
        raise MalformedError(f"the list of instruments of {exchange.name} is empty")
    return whole


async def _publish(settings: Settings, changed: Collection[Instrument]) -> None:
    if not changed:
        return
    records = [Outgoing(instrument.key.encode(), encode_instrument(instrument)) for instrument in changed]
    async with Publisher(settings) as publisher:
        sent = await publisher.send_batches(settings.topics.instruments, records, settings.partitions)
        await publisher.await_acknowledgements(sent)


def _tell(changed: Collection[Instrument], *, is_first: bool) -> None:
    if is_first:
        logger(STAGE).info("instruments published", count=len(changed))
        return
    for instrument in changed:
        log = logger(STAGE).warning if instrument.status is InstrumentStatus.DELISTED else logger(STAGE).info
        log("instrument changed", symbol=instrument.symbol, status=instrument.status.value)
