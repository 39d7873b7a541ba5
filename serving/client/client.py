"""Every question of the API as a method; how to use them: docs/client.md."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec import Struct

from market.bar import Bar, BarKind
from market.feed import FeedEvent
from market.funding import FundingRate
from market.instrument import Instrument
from market.signal import Signal
from market.trade import Trade
from serving.bounds import MAX_RECORDS
from serving.client.answers import (
    ApiAnalysis,
    ApiCandles,
    ApiDays,
    ApiEstimate,
    ApiExchanges,
    ApiHealth,
    ApiPage,
    ApiTickers,
    ApiTrades,
)
from serving.client.connection import ApiConnection, read_answer, read_page
from serving.client.errors import ApiError, ApiProblemError
from serving.client.files import ApiFile, write_stream
from serving.client.pages import CandlePages, RecordPages
from serving.client.questions import Moment, as_ms, of_bars, of_period
from serving.media_types import AnswerForm
from serving.planner import RevisionChoice

Record = TypeVar("Record", bound=Struct)


class Client:
    """Asks one server. Threads may share it. Close it, or use it in a `with` block.

    Methods raise `ApiProblemError` for what the server refuses, and `ApiError` where it does not answer.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8080",
        *,
        key: str | None = None,
        wait_s: float = 60.0,
        timeout_s: float = 60.0,
        page_records: int = MAX_RECORDS,
    ) -> None:
        """`wait_s`: how long one question may wait in all while its key's allowance is used up (429).

        Longer answers are asked for in pages of `page_records`; larger pages weigh less in all.
        """
        self._page_records = page_records
        self._connection = ApiConnection(address, key=key, wait_s=wait_s, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def candles(
        self,
        exchange: str,
        symbol: str,
        *,
        timeframe: str = "1m",
        from_: Moment | None = None,
        until: Moment | None = None,
        limit: int | None = None,
        revision: RevisionChoice | str = RevisionChoice.LATEST,
    ) -> CandlePages:
        """Closed candles that open in [`from_`, `until`), oldest first, at most `limit`; without `from_` the last."""
        asked = of_period(exchange, symbol, from_, until) | {
            "timeframe": timeframe,
            "revision": RevisionChoice(revision).value,
        }
        if from_ is None:
            return CandlePages(lambda: iter([self._ask("/v1/candles", asked | {"limit": limit}, ApiCandles)]))
        return CandlePages(lambda: self._candle_pages(asked, limit))

    def trades(self, exchange: str, symbol: str, *, limit: int | None = None) -> ApiTrades:
        """The latest trades, newest first."""
        return self._ask("/v1/trades", {"exchange": exchange, "symbol": symbol, "limit": limit}, ApiTrades)

    def tickers(self, exchange: str, symbols: Sequence[str]) -> ApiTickers:
        """The newest ticker of each symbol."""
        return self._ask("/v1/tickers", {"exchange": exchange, "symbols": ",".join(symbols)}, ApiTickers)

    def historical(
        self,
        exchange: str,
        symbol: str,
        *,
        from_: Moment | None = None,
        until: Moment | None = None,
        limit: int | None = None,
    ) -> RecordPages[Trade]:
        """Trades in [`from_`, `until`), oldest first, at most `limit`."""
        return self._records("/v1/historical", "trades", Trade, of_period(exchange, symbol, from_, until), limit)

    def signals(
        self,
        exchange: str,
        symbol: str,
        *,
        from_: Moment | None = None,
        until: Moment | None = None,
        limit: int | None = None,
    ) -> RecordPages[Signal]:
        """Signals in [`from_`, `until`), oldest first, at most `limit`."""
        return self._records("/v1/signals", "signals", Signal, of_period(exchange, symbol, from_, until), limit)

    def bars(
        self,
        exchange: str,
        symbol: str,
        *,
        kind: BarKind | str,
        threshold: Decimal | str | int,
        from_: Moment | None = None,
        until: Moment | None = None,
        limit: int | None = None,
    ) -> RecordPages[Bar]:
        """Live bars that closed in [`from_`, `until`), oldest first, at most `limit`."""
        asked = of_period(exchange, symbol, from_, until) | of_bars(kind, threshold)
        return self._records("/v1/bars", "bars", Bar, asked, limit)

    def funding(
        self,
        exchange: str,
        symbol: str,
        *,
        from_: Moment | None = None,
        until: Moment | None = None,
        limit: int | None = None,
    ) -> RecordPages[FundingRate]:
        """Funding rates in [`from_`, `until`), oldest first, at most `limit`."""
        return self._records("/v1/funding", "funding", FundingRate, of_period(exchange, symbol, from_, until), limit)

    def gaps(
        self,
        exchange: str,
        symbol: str,
        *,
        from_: Moment | None = None,
        until: Moment | None = None,
        limit: int | None = None,
    ) -> RecordPages[FeedEvent]:
        """Gaps of a feed that were told of in [`from_`, `until`), oldest first, at most `limit`."""
        return self._records("/v1/gaps", "gaps", FeedEvent, of_period(exchange, symbol, from_, until), limit)

    def instruments(self, exchange: str, *, limit: int | None = None) -> RecordPages[Instrument]:
        """What an exchange trades, by symbol, at most `limit`."""
        return self._records("/v1/instruments", "instruments", Instrument, {"exchange": exchange}, limit)

    def exchanges(self) -> ApiExchanges:
        """The exchanges that have instruments."""
        return self._ask("/v1/exchanges", {}, ApiExchanges)

    def coverage(self, exchange: str, symbol: str, *, from_: Moment, until: Moment) -> ApiDays:
        """By UTC day, how many minutes of each status have a candle; at most 366 days."""
        return self._ask("/v1/coverage", of_period(exchange, symbol, from_, until), ApiDays)

    def health(self) -> ApiHealth:
        """Which tiers answer."""
        return self._ask("/v1/health", {}, ApiHealth)

    def estimate(
        self,
        of: str,
        exchange: str,
        symbol: str,
        *,
        from_: Moment | None = None,
        until: Moment | None = None,
        form: AnswerForm | str = AnswerForm.JSON,
        timeframe: str | None = None,
        kind: BarKind | str | None = None,
        threshold: Decimal | str | int | None = None,
    ) -> ApiEstimate:
        """How much the question `of` (``candles``, ``historical``, …) would give at most, and out of which tiers."""
        asked = of_period(exchange, symbol, from_, until) | {
            "of": of,
            "format": AnswerForm(form).value,
            "timeframe": timeframe,
        }
        return read_answer(self._connection.post("/v1/estimate", asked | of_bars(kind, threshold)), ApiEstimate)

    def download(
        self,
        of: str,
        exchange: str,
        symbol: str,
        *,
        into: Path | str,
        form: AnswerForm | str = AnswerForm.PARQUET,
        from_: Moment | None = None,
        until: Moment | None = None,
        timeframe: str | None = None,
        revision: RevisionChoice | str | None = None,
        kind: BarKind | str | None = None,
        threshold: Decimal | str | int | None = None,
    ) -> ApiFile:
        """All that the question `of` gives, as one stream into a file, which is there whole or not at all.

        Candles need `from_`. A file of that name is replaced at the end. Raises `OSError` where it cannot be written,
        and `ApiError` for JSON, which comes in pages.
        """
        if AnswerForm(form) is AnswerForm.JSON:
            raise ApiError("json comes in pages: download ndjson, csv, arrow or parquet")
        asked = of_period(exchange, symbol, from_, until) | {
            "format": AnswerForm(form).value,
            "timeframe": timeframe,
            "revision": None if revision is None else RevisionChoice(revision).value,
        }
        with self._connection.stream(f"/v1/{of}", asked | of_bars(kind, threshold)) as stream:
            return write_stream(stream, Path(into))

    def analyze(
        self,
        exchange: str,
        symbols: Sequence[str],
        *,
        timeframe: str = "1h",
        from_: Moment | None = None,
        until: Moment | None = None,
        limit: int | None = None,
        language: str | None = None,
        question: str | None = None,
        statistics_only: bool = False,
    ) -> ApiAnalysis:
        """Statistics of candles of these markets, chosen as by `candles`, and what a model says of them."""
        body = {
            "symbols": list(symbols),
            "timeframe": timeframe,
            "from_ms": as_ms(from_),
            "until_ms": as_ms(until),
            "limit": limit,
            "language": language,
            "question": question,
            "statistics_only": statistics_only,
        }
        return read_answer(self._connection.post("/v1/analyze", {"exchange": exchange}, body), ApiAnalysis)

    def _ask(self, path: str, asked: dict[str, Any], type_: type[Record]) -> Record:
        return read_answer(self._connection.get(path, asked), type_)

    def _candle_pages(self, asked: dict[str, Any], limit: int | None) -> Iterator[ApiCandles]:
        """Page after page; smaller ones where the server says that so many of these candles are too much for it."""
        most, left = self._page_records, limit
        while True:
            size = most if left is None else min(most, left)
            try:
                page = self._ask("/v1/candles", asked | {"limit": size}, ApiCandles)
            except ApiProblemError as problem:
                most = _smaller(problem, size)
                continue
            yield page
            left = None if left is None else left - page.coverage.expected
            if page.next_from_ms is None or left == 0:
                return
            asked = asked | {"from_ms": page.next_from_ms}

    def _records(
        self, path: str, name: str, record_type: type[Record], asked: dict[str, Any], limit: int | None
    ) -> RecordPages[Record]:
        def pages() -> Iterator[ApiPage[Record]]:
            cursor, left = None, limit
            while True:
                size = self._page_records if left is None else min(left, self._page_records)
                page = read_page(
                    self._connection.get(path, asked | {"limit": size, "cursor": cursor}), name, record_type
                )
                yield page
                cursor = page.next_cursor
                left = None if left is None else left - len(page.records)
                if cursor is None or left == 0:
                    return

        return RecordPages(record_type, pages)


def _smaller(problem: ApiProblemError, size: int) -> int:
    """How much the server would answer instead. Raises the problem where it is another."""
    limit = problem.more.get("limit")
    if problem.status != HTTPStatus.BAD_REQUEST or not isinstance(limit, int) or not 0 < limit < size:
        raise problem
    return limit
