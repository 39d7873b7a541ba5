"""Which instruments have to be published, of those that an exchange lists. Pure."""

from collections.abc import Iterable

from msgspec import structs

from market.instrument import Instrument, InstrumentStatus


class Listing:
    """The instruments as they were published, by native name."""

    def __init__(self) -> None:
        self.published: dict[str, Instrument] = {}

    def followed(self, natives: Iterable[str]) -> list[str]:
        """These names, and those that were published."""
        return list(dict.fromkeys([*natives, *self.published]))

    def changes(self, natives: Iterable[str], listed: Iterable[Instrument]) -> list[Instrument]:
        """Of the wanted names: what is new or differs in the list, and as delisted what is in it no more.

        A name that was in no list yet is passed over: nothing is known of it.
        """
        by_native = {instrument.native: instrument for instrument in listed}
        now = [by_native.get(native) or self._delisted(native) for native in natives]
        return [each for each in now if each is not None and each != self.published.get(each.native)]

    def publish(self, changed: Iterable[Instrument]) -> None:
        """Note that these are published."""
        self.published |= {instrument.native: instrument for instrument in changed}

    def _delisted(self, native: str) -> Instrument | None:
        known = self.published.get(native)
        return None if known is None else structs.replace(known, status=InstrumentStatus.DELISTED)
