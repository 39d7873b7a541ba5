"""REST, whatever protocol it speaks: request weights, refusals, and the faults that no protocol knows of."""

import time
from collections.abc import Awaitable, Callable
from random import Random

from aiohttp import web

from producers.simulator.archive import WithheldError
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.limits import OK, TOO_MANY, LimitVerdict, WeightMeter
from producers.simulator.protocol import Endpoint, Reply, ReplyError, RestQuery, WireProtocol

_HTML = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser.</body></html>"
_HTML_STATUSES = (web.HTTPOk.status_code, web.HTTPBadGateway.status_code)


class Rest:
    """The REST side of an exchange, for one protocol."""

    def __init__(self, exchange: SimulatedExchange, protocol: WireProtocol) -> None:
        self._exchange, self._protocol = exchange, protocol
        self._meter = WeightMeter(protocol.request_limit)
        self._random = Random(f"{exchange.settings.seed} rest {protocol.names[0]}")

    def routes(self) -> list[web.RouteDef]:
        """The endpoints."""
        return [web.get(endpoint.path, self._handler(endpoint)) for endpoint in self._protocol.endpoints()]

    def _handler(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            if not self._exchange.takes_requests:
                raise web.HTTPServiceUnavailable
            if self._random.random() < self._exchange.plan.faults.html:
                self._exchange.plan.done["html"] += 1
                status = self._random.choice(_HTML_STATUSES)
                return web.Response(body=_HTML, status=status, content_type="text/html", charset="utf-8")
            return await self._answer(endpoint, request)

        return handle

    async def _answer(self, endpoint: Endpoint, request: web.Request) -> web.Response:
        protocol = self._protocol
        verdict = self._verdict(request.remote or "", endpoint.weight)
        headers = dict(protocol.headers(verdict))
        if verdict.status != OK:
            return _response(protocol.too_much(verdict), headers)
        try:
            query = RestQuery({**request.query, **request.match_info}, request.headers)
            return _response(Reply(await endpoint.answer(query)), headers)
        except ReplyError as error:
            return _response(error.reply, headers)
        except WithheldError:
            return _response(protocol.broken(), headers)

    def _verdict(self, address: str, weight: int) -> LimitVerdict:
        verdict = self._meter.charge(address, weight, time.time())
        limited_s = self._exchange.rest_429_for_s
        if verdict.status == OK and limited_s:
            self._exchange.plan.done["rest_refused"] += 1
            return LimitVerdict(TOO_MANY, verdict.used, int(limited_s) + 1)
        return verdict


def _response(reply: Reply, headers: dict[str, str]) -> web.Response:
    return web.Response(
        body=reply.body,
        status=reply.status,
        headers={**headers, **reply.headers},
        content_type="application/json",
        charset="utf-8",
    )
