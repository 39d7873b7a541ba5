"""Answers that go on: each page is asked for when it is needed."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from msgspec import Struct

from serving.client.answers import ApiCandle, ApiCandles, ApiPage, joined_candles
from serving.client.frames import Framed

Record = TypeVar("Record", bound=Struct)


class CandlePages(Framed):
    """Candles, oldest first; going through them asks anew each time."""

    record_type = ApiCandle

    def __init__(self, ask: Callable[[], Iterator[ApiCandles]]) -> None:
        self.pages = ask
        """The answers one by one, each with its source and coverage."""

    def __iter__(self) -> Iterator[ApiCandle]:
        for page in self.pages():
            yield from page.candles

    def read(self) -> ApiCandles:
        """All of them at once, with the coverage of the whole."""
        return joined_candles(list(self.pages()))


class RecordPages(Framed, Generic[Record]):
    """Records, oldest first; going through them asks anew each time."""

    def __init__(self, record_type: type[Record], ask: Callable[[], Iterator[ApiPage[Record]]]) -> None:
        self.record_type = record_type
        self.pages = ask
        """The answers one by one, each with its source."""

    def __iter__(self) -> Iterator[Record]:
        for page in self.pages():
            yield from page.records
