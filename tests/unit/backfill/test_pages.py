"""One symbol's history over HTTP, from a server that pages as Binance does and does wrong what exchanges do wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from market.trade import Trade
from producers.backfill import asking, pages
from producers.backfill.asking import InterruptedBackfillError, PatientClient
from producers.backfill.pages import ASKS, RestHistory
from producers.backfill.search import KnownTrade
from producers.exchange import RefusedTrade
from producers.exchanges.binance import Binance
from producers.feed.rest import RefusedError, RestClient
from runtime.errors import UnavailableError
from runtime.settings import Settings

START_MS = 1_700_000_000_000
LAST = 2_500
Wrong = Callable[[int, list[dict[str, Any]]], Any]
"""The answer, made of the number of the request (from 0) and of the right rows; a status, bytes, or rows."""


def row(number: int) -> dict[str, Any]:
    return {
        "id": number, "price": "2.50", "qty": "1", "quoteQty": "2.5", "time": START_MS + number, "isBuyerMaker": True,
        "isBestMatch": True,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for long."""
    monkeypatch.setattr(pages, "_AGAIN_S", 0.0)
    monkeypatch.setattr(asking, "_LONGEST_PAUSE_S", 0.01)


@pytest.fixture
async def history() -> AsyncIterator[Callable[..., Any]]:
    """A history whose pages go wrong as said; gives it, its client and the ids that were asked from."""
    servers, sessions = list[TestServer](), list[aiohttp.ClientSession]()

    async def start(
        wrong: Wrong = lambda _, rows: rows, *, ids: range = range(LAST + 1), stop: asyncio.Event | None = None
    ) -> tuple[RestHistory, PatientClient, list[int]]:
        asked: list[int] = []

        async def handle(request: web.Request) -> web.Response:
            first = int(request.query.get("fromId", LAST - 2))
            right = [row(number) for number in ids if number >= first][: int(request.query["limit"])]
            answer = wrong(len(asked), right)
            asked.append(first)
            if isinstance(answer, int):
                return web.Response(status=answer)
            return web.Response(body=answer if isinstance(answer, bytes) else orjson.dumps(answer))

        app = web.Application()
        app.router.add_get("/{path:.*}", handle)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        sessions.append(aiohttp.ClientSession())
        exchange = Binance(
            Settings(_env_file=None, binance_rest=str(servers[-1].make_url("")).rstrip("/"))  # type: ignore[call-arg]
        )
        rest = RestClient(sessions[-1], exchange.rest_url, exchange.rest_limits)
        client = PatientClient(rest, stop or asyncio.Event())
        return RestHistory(exchange, client, "AB", "A-B"), client, asked

    yield start
    for session in sessions:
        await session.close()
    for server in servers:
        await server.close()


async def rows_of(history: RestHistory, first: int = 0, newest: int = LAST) -> list[Trade | RefusedTrade]:
    last = KnownTrade(newest, (START_MS + newest) * 1000)
    return [each async for each in history.rows(KnownTrade(first, 0), last, lambda _: None)]


def ids_of(rows: list[Trade | RefusedTrade]) -> list[int | None]:
    return [each.number if isinstance(each, RefusedTrade) else int(each.trade_id) for each in rows]


async def test_each_page_begins_with_the_last_row_of_the_page_before(history: Callable[..., Any]) -> None:
    reading, client, asked = await history()
    assert ids_of(await rows_of(reading)) == list(range(LAST + 1))
    assert asked == [0, 999, 1998]
    assert client.requests == 3


@pytest.mark.parametrize(
    "wrong",
    [
        lambda number, rows: rows[::-1] if number % 2 == 0 else rows,
        lambda number, rows: rows[:3] + rows[1:] if number % 2 == 0 else rows,
        lambda number, rows: rows[:1] if number % 2 == 0 else rows,
        lambda number, rows: rows[: 1 + len(rows) // 2] if number % 2 == 0 else rows,
        lambda number, rows: [rows[0] | {"price": "?"}, *rows[1:]] if number % 2 == 0 else rows,
        lambda number, rows: b"<html>maintenance</html>" if number % 2 == 0 else rows,
        lambda number, rows: 500 if number % 2 == 0 else rows,
        lambda number, rows: [] if number % 2 == 0 else rows,
    ],
    ids=["out of order", "rows twice", "a row only", "half a page", "a row that is none", "no JSON", "500", "nothing"],
)
async def test_what_is_wrong_now_and_then_is_asked_for_again(history: Callable[..., Any], wrong: Wrong) -> None:
    reading, _, _ = await history(wrong)
    rows = await rows_of(reading)
    assert ids_of(rows) == list(range(LAST + 1))
    assert all(isinstance(each, Trade) for each in rows)


async def test_a_row_that_stays_no_trade_comes_as_it_was_sent(history: Callable[..., Any]) -> None:
    def wrong(_: int, rows: list[dict[str, Any]]) -> Any:
        return [each | {"qty": "0"} if each["id"] == 700 else each for each in rows]

    reading, _, asked = await history(wrong)
    rows = await rows_of(reading)
    assert ids_of(rows) == list(range(LAST + 1))
    (refused,) = [each for each in rows if isinstance(each, RefusedTrade)]
    assert (refused.number, b'"qty":"0"' in refused.raw) == (700, True)
    assert asked.count(0) == ASKS


async def test_ids_that_are_left_out_further_than_a_page_reaches_are_passed_over(history: Callable[..., Any]) -> None:
    def windows(_: int, rows: list[dict[str, Any]]) -> Any:
        return rows

    reading, _, _ = await history(windows, ids=[*range(100), *range(2_300, LAST + 1)])  # type: ignore[arg-type]
    assert ids_of(await rows_of(reading)) == [*range(100), *range(2_300, LAST + 1)]


async def test_a_history_that_is_too_short_begins_where_it_begins(history: Callable[..., Any]) -> None:
    reading, _, asked = await history(ids=range(400, LAST + 1))
    assert ids_of(await rows_of(reading, first=7)) == list(range(400, LAST + 1))
    assert asked.count(7) == ASKS, "it may only have been a bad page"


async def test_pages_that_stay_out_of_order_end_it(history: Callable[..., Any]) -> None:
    reading, _, _ = await history(lambda _, rows: rows[::-1])
    with pytest.raises(UnavailableError, match="out of order"):
        await rows_of(reading)


async def test_a_refusal_is_told_at_once(history: Callable[..., Any]) -> None:
    reading, _, asked = await history(lambda *_: 403)
    with pytest.raises(RefusedError, match=r"answered 403 to /api/v3/historicalTrades.*does not serve this address"):
        await rows_of(reading)
    assert len(asked) == 1


async def test_an_exchange_that_stays_away_is_given_up_in_the_end(
    history: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PATIENCE_S", 0.0)
    reading, _, _ = await history(lambda *_: b"no page")
    with pytest.raises(UnavailableError, match=r"no usable answer for 0 minutes: .*run the same command again later"):
        await rows_of(reading)


async def test_a_signal_ends_a_wait(history: Callable[..., Any]) -> None:
    stop = asyncio.Event()

    def wrong(number: int, _: list[dict[str, Any]]) -> int:
        if number == 1:
            stop.set()
        return 503

    reading, _, _ = await history(wrong, stop=stop)
    with pytest.raises(InterruptedBackfillError, match="it goes on where it stopped"):
        await asyncio.wait_for(rows_of(reading), 5)


async def test_the_newest_trade(history: Callable[..., Any]) -> None:
    reading, _, _ = await history(lambda number, rows: [rows[0] | {"price": "?"}] if number == 0 else rows)
    newest = await reading.newest()
    assert newest is not None
    assert newest.trade_id == str(LAST)
    nothing, _, _ = await history(lambda *_: [])
    assert await nothing.newest() is None
