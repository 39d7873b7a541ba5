"""The simulator's own endpoints, `/sim/…`: what it has sent, its clock, and its faults. No exchange has them."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

import orjson
from aiohttp import web

from market.timeframe import MINUTE_MS
from producers.simulator.archive import Archive
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.fates import Fate
from producers.simulator.faults import ON_IDS, Action
from producers.simulator.pages import retold
from producers.simulator.protocol import WireProtocol
from producers.simulator.record import RecordForm, record_row
from runtime.errors import UsageError

BINANCE = "binance"
RECORD_HEADER = "id,price,qty,time_us,is_buyer_maker\n"
EXCEPTIONS_HEADER = "id,price,qty,time_us,is_buyer_maker,fate\n"


class Control:
    """The simulator's own side of an exchange."""

    def __init__(self, exchange: SimulatedExchange, protocols: Sequence[WireProtocol]) -> None:
        self._exchange = exchange
        self._forms = {name: protocol.record for protocol in protocols for name in protocol.names}

    def routes(self) -> list[web.RouteDef]:
        """The endpoints."""
        return [
            web.get("/sim/now", self._now),
            web.get("/sim/record", self._record),
            web.get("/sim/exceptions", self._exceptions),
            web.get("/sim/faults", self._faults),
            web.post("/sim/faults", self._change_faults),
        ]

    async def _now(self, _: web.Request) -> web.Response:
        exchange = self._exchange
        return _json(
            {
                "now_us": exchange.now_us,
                "start_us": exchange.clock.start_us,
                "speed": exchange.settings.speed,
                "symbols": list(exchange.archives),
                "seed": exchange.settings.seed,
                "connections": len(exchange.connections),
                "messages_sent": exchange.messages_sent,
                "faults_done": dict(exchange.plan.done),
            }
        )

    async def _record(self, request: web.Request) -> web.StreamResponse:
        """The trades of [from_us, until_us) as far as they have happened, less those withheld or spoiled, as CSV.

        With ``protocol=bybit`` and so on the ids are as that exchange gives them; USD-M's trades are the aggregates.
        """

        def rows(archive: Archive, form: RecordForm, from_ms: int, until_ms: int) -> Iterator[str]:
            for match in archive.between(from_ms, until_ms):
                if archive.is_kept(match.trade_id):
                    yield record_row(archive.instrument, match, form) + "\n"

        return await self._table(request, RECORD_HEADER, rows)

    async def _exceptions(self, request: web.Request) -> web.StreamResponse:
        """The trades of [from_us, until_us) that a client may lack or have otherwise, and the `Fate` that says why.

        A trade has a row for each of its fates; `retold` has the price that REST gives.
        """

        def rows(archive: Archive, form: RecordForm, from_ms: int, until_ms: int) -> Iterator[str]:
            for match, fate in archive.exceptions(from_ms, until_ms):
                told = retold(archive, match) if fate is Fate.RETOLD else match
                yield f"{record_row(archive.instrument, told, form)},{fate.value}\n"

        return await self._table(request, EXCEPTIONS_HEADER, rows)

    async def _table(
        self, request: web.Request, header: str, rows: Callable[[Archive, RecordForm, int, int], Iterator[str]]
    ) -> web.StreamResponse:
        exchange = self._exchange
        form = self._forms.get(request.query.get("protocol", BINANCE))
        if form is None:
            return _json({"error": f"protocol is none of {', '.join(self._forms)}"}, web.HTTPBadRequest.status_code)
        symbol = request.query.get("symbol", "")
        archive = exchange.venue.perpetual(symbol) if form.of_aggregates else exchange.venue.market(symbol)
        now_ms = exchange.now_ms
        from_ms = _milliseconds(request, "from_us", exchange.clock.start_us // 1_000)
        until_ms = min(_milliseconds(request, "until_us", now_ms + 1), now_ms + 1)
        if archive is None:
            return _json({"error": "symbol is not one of those that /sim/now lists"}, web.HTTPBadRequest.status_code)
        response = web.StreamResponse(headers={"Content-Type": "text/csv; charset=utf-8"})
        await response.prepare(request)
        await response.write(header.encode())
        for minute_ms in range(from_ms - from_ms % MINUTE_MS, until_ms, MINUTE_MS):
            text = "".join(rows(archive, form, max(minute_ms, from_ms), min(minute_ms + MINUTE_MS, until_ms)))
            if text:
                await response.write(text.encode())
            await asyncio.sleep(0)
        await response.write_eof()
        return response

    async def _faults(self, _: web.Request) -> web.Response:
        exchange = self._exchange
        withheld = [
            {"symbol": symbol, "first_id": ids.first, "last_id": ids.last}
            for symbol, archive in exchange.venue.named()
            for ids in archive.fates[Fate.WITHHELD]
        ]
        faults = exchange.plan.faults
        settings = {name: getattr(faults, name) for name in faults.__dataclass_fields__}
        return _json(
            {
                "settings": settings,
                "withheld": withheld,
                "memory": exchange.memory,
                "done": dict(exchange.plan.done),
            }
        )

    async def _change_faults(self, request: web.Request) -> web.Response:
        """Settings by name; ``"now"`` names one action or several to do at once.

        ``"withhold"``, ``"jump"``, ``"lack"``, ``"spoil"`` and ``"retell"`` name ids that it happens to, ``"memory"``
        what another server of the same market remembers, ``"suspend"`` and ``"resume"`` the markets that exchanges
        list as not traded, and as traded again.
        """
        try:
            wanted = orjson.loads(await request.read())
            now = [Action(name) for name in _listed(wanted.pop("now", []))]
            on_ids = [(action, what) for action in ON_IDS for what in _listed(wanted.pop(action.value, []))]
            memory = _listed(wanted.pop("memory", []))
            suspended, resumed = (_listed(wanted.pop(name, [])) for name in ("suspend", "resume"))
            self._exchange.plan.change(wanted)
            for symbol in suspended:
                self._exchange.suspend(symbol)
            self._exchange.venue.suspended.difference_update(resumed)
            for line in memory:
                self._exchange.remind(line)
            for action, what in on_ids:
                self._exchange.change_ids(action, what)
            for action in now:
                self._exchange.do(action)
        except (UsageError, ValueError, AttributeError, TypeError) as error:
            return _json({"error": str(error)}, web.HTTPBadRequest.status_code)
        return await self._faults(request)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _milliseconds(request: web.Request, name: str, default: int) -> int:
    """A time in microseconds; trades happen at whole milliseconds, so the first one at or after it counts."""
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isdigit():
        raise web.HTTPBadRequest(text=f"{name} has to be microseconds since the epoch")
    return -(-int(text) // 1_000)


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
