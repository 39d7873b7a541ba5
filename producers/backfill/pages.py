"""One symbol's history, page by page.

Each page begins with the last row of the page before, else it is asked for again. What an exchange gives wrong now and
then (pages out of order, rows twice, rows that are no trades) is asked for again a few times; what stays wrong is the
exchange's word. Ids that it leaves out are judged by the import.
"""

import time
from collections.abc import AsyncGenerator, Callable

from market.candle import trade_order
from market.trade import Trade
from producers.backfill.asking import PatientClient
from producers.backfill.search import KnownTrade, TradeSearch
from producers.exchange import Exchange, RefusedTrade, TradesPage, TradesRequest
from producers.feed.page import PageRows, read_page
from runtime.errors import UnavailableError

ASKS = 5
"""A page that cannot be right is asked for so many times."""
MOST_SKIPPED = 100
_AGAIN_S = 0.5

Row = Trade | RefusedTrade


class RestHistory:
    """Reads one symbol's trades."""

    def __init__(self, exchange: Exchange, client: PatientClient, native: str, symbol: str) -> None:
        self._exchange = exchange
        self._client = client
        self._native = native
        self._symbol = symbol

    async def newest(self) -> Trade | None:
        """The newest trade, by time; None: there is none. `UnavailableError`: all rows are no trades."""
        for _ in range(ASKS):
            page = await self._ask(None, 0)
            trades = [row for row in page.rows if isinstance(row, Trade)]
            if trades or not page.rows:
                return max(trades, key=trade_order, default=None)
            await self._client.pause(_AGAIN_S)
        raise UnavailableError(f"the newest trades of {self._symbol} cannot be read")

    async def search(self, search: TradeSearch) -> None:
        """Ask for pages until the search is done."""
        while (probe := search.next_probe()) is not None:
            page = await self._ask(probe.number, probe.time_us)
            search.take(probe, read_page(probe.number, page).trades)

    async def rows(
        self, first: KnownTrade, newest: KnownTrade, reach: Callable[[int], None]
    ) -> AsyncGenerator[Row, None]:
        """The rows from `first` on, up to `newest` or further, in the order of their ids.

        `reach` is called with the time of each page's last trade.
        """
        known, skipped = first, 0
        done = first.number - 1
        while True:
            rows = await self._rows_from(known)
            for row in rows:
                number = row.number if isinstance(row, RefusedTrade) else _number(row)
                if number is not None and number <= done:
                    continue
                done = done if number is None else number
                yield row
            newest_us = max((row.time_us for row in rows if isinstance(row, Trade)), default=known.time_us)
            reach(newest_us)
            if done >= newest.number:
                return
            if done > known.number:
                known, skipped = KnownTrade(done, max(known.time_us, newest_us)), 0
                continue
            # Nothing behind the known trade, but there are newer ones: ids are left out, further than a page reaches.
            skipped += 1
            if skipped > MOST_SKIPPED:
                raise UnavailableError(f"the history of {self._symbol} does not go on behind id {done}")
            known = KnownTrade(known.number + self._exchange.page_trades, known.time_us)

    async def _rows_from(self, known: KnownTrade) -> list[Row]:
        """A page that begins with the known trade and has all that it should, or after some asks what there is."""
        for ask in range(1, ASKS + 1):
            page = await self._ask(known.number, known.time_us)
            read = read_page(known.number, page)
            if read.begins and not read.refused and not read.conflicts and _goes_on(read, known):
                break
            if ask < ASKS:
                await self._client.pause(_AGAIN_S)
        rows = [row for row in page.rows if _is_from(row, known.number)]
        if rows and not _is_in_order(rows):
            raise UnavailableError(f"the pages of {self._symbol} from id {known.number} on are out of order")
        return rows

    async def _ask(self, number: int | None, time_us: int) -> TradesPage:
        exchange = self._exchange
        request = TradesRequest(self._native, self._symbol, exchange.page_trades, number, time_us)
        received_us = time.time_ns() // 1000
        return await self._client.ask(
            exchange.trades(request), lambda body: exchange.read_trades(body, request, received_us)
        )


def _goes_on(page: PageRows, known: KnownTrade) -> bool:
    return bool(page.trades) and _number(page.trades[-1]) > known.number


def _number(trade: Trade) -> int:
    return int(trade.trade_id)


def _is_from(row: Row, number: int) -> bool:
    own = row.number if isinstance(row, RefusedTrade) else _number(row)
    return own is None or own >= number


def _is_in_order(rows: list[Row]) -> bool:
    numbers = [
        own for row in rows if (own := row.number if isinstance(row, RefusedTrade) else _number(row)) is not None
    ]
    return numbers == sorted(numbers)
