"""The gate before the interface: who asks, whether it may, how much it has left, whose turn it is.

An ASGI application around another. The rules are elsewhere; here they are asked in order: 1. the key (401), 2. its
scope (403), 3. the allowance (429; where nobody counts, 503 or nothing, by setting), 4. a place (503). So who may not
ask takes nobody's place. What is open needs none of the first three, and comes first.
"""

import math
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from prometheus_client import Counter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access.allowances import MINUTE_S, Allowances, UncountedError, Verdict
from serving.access.audit import Audit
from serving.access.callers import Caller, credential_in, identify, nameless
from serving.access.key_file import WatchedKeys
from serving.access.keys import RateTier
from serving.access.questions import Question, check_scope, read_question
from serving.access.refusal import QUOTA_EXCEEDED, Reason, RequestRefusedError, overloaded
from serving.access.turns import RETRY_AFTER_S, Turns
from serving.problem import problem

POLICY = "minute"
"""The name of the only policy in the `RateLimit` headers."""

_refusals = Counter("candlewick_http_refusals", "Requests that were not let in, by why", ["reason"])
_weight = Counter("candlewick_http_weight", "Weight of the requests that were let in, by tier", ["tier"])
_weights = {tier: _weight.labels(tier.value) for tier in RateTier}


@dataclass(frozen=True, kw_only=True)
class AccessRules:
    """What is set."""

    anonymous: bool
    """Whether callers without a key may ask."""
    counts_anonymous: bool
    """Whether callers without a key have the allowance of tier free; if not, nobody counts what they ask."""
    weight_a_minute: dict[RateTier, int]
    """0: no limit."""
    closed_without_redis: bool


class _RouteName(NamedTuple):
    """As Starlette leaves it in the scope, for the metrics."""

    path: str


class _SentAnswer:
    """An answer on its way: gets the headers of the gate, and its status is noted."""

    __slots__ = ("_send", "headers", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.headers: list[tuple[bytes, bytes]] = []
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self.headers]
        await self._send(message)


class Gate:
    """Lets requests in, in order, and has it written down what became of them.

    The application has the `Caller` as ``scope["caller"]``, and adds what the answer costs to ``scope["costs"]``.
    """

    def __init__(
        self,
        app: ASGIApp,
        rules: AccessRules,
        *,
        keys: WatchedKeys,
        allowances: Allowances,
        turns: Turns,
        audit: Audit | None,
    ) -> None:
        self._app = app
        self._rules = rules
        self._keys = keys
        self._allowances = allowances
        self._turns = turns
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, or say why not."""
        if scope["type"] != "http":
            await send({"type": "websocket.close"})  # nothing is served by it yet, so it has no rules
            return
        accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
        question, answer = read_question(scope["path"], scope["query_string"], accept), _SentAnswer(send)
        caller = nameless(scope["client"][0] if scope["client"] else "")
        costs: dict[str, int] = {}
        if question.path is not None:
            scope["route"] = _RouteName(question.path)
        try:
            caller = self._identify(caller, scope, question)
            scope["caller"], scope["costs"] = caller, costs
            check_scope(question, caller)
            await self._charge(caller, question, answer)
            await self._take_turn(caller, question, scope, receive, answer)
        except RequestRefusedError as refused:
            _refusals.labels(refused.reason.value).inc()
            response = problem(refused.status, str(refused), kind=refused.kind, headers=refused.headers, **refused.more)
            await response(scope, receive, answer.send)
        finally:
            if self._audit is not None:
                self._audit.note(
                    caller=caller.name,
                    method=scope["method"],
                    path=scope["path"],
                    query=scope["query_string"],
                    weight=question.weight,
                    status=answer.status or HTTPStatus.INTERNAL_SERVER_ERROR,
                    costs=costs,
                )

    def _identify(self, caller: Caller, scope: Scope, question: Question) -> Caller:
        sent = credential_in(scope["headers"])
        anonymous = self._rules.anonymous or question.endpoint.is_open
        return identify(sent, caller, self._keys.ring, now_ms=time.time_ns() // 1_000_000, anonymous=anonymous)

    async def _charge(self, caller: Caller, question: Question, answer: _SentAnswer) -> None:
        limit = self._rules.weight_a_minute[caller.tier]
        is_counted = caller.has_key or self._rules.counts_anonymous
        if question.endpoint.is_open or not limit or not is_counted:
            return
        weight = min(question.weight, limit)
        try:
            verdict = self._allowances.take_now(caller.name, weight) or await self._allowances.take(
                caller.name, weight, limit
            )
        except UncountedError as error:
            if self._rules.closed_without_redis:
                raise overloaded(str(error), RETRY_AFTER_S, Reason.UNCOUNTED) from error
            return
        answer.headers = _rate_headers(verdict, limit)
        if not verdict.is_granted:
            raise _too_much(caller, verdict, limit)
        _weights[caller.tier].inc(weight)

    async def _take_turn(
        self, caller: Caller, question: Question, scope: Scope, receive: Receive, answer: _SentAnswer
    ) -> None:
        if not self._turns.enter_now():
            await self._turns.enter(RateTier.ENTERPRISE if question.endpoint.is_open else caller.tier)
        try:
            await self._app(scope, receive, answer.send)
        finally:
            self._turns.leave()


def _rate_headers(verdict: Verdict, limit: int) -> list[tuple[bytes, bytes]]:
    """`RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4."""
    reset_s = max(0, math.ceil(verdict.reset_s if verdict.is_granted else verdict.wait_s))
    return [
        (b"ratelimit-policy", b'"%b";q=%d;w=%d' % (POLICY.encode(), limit, MINUTE_S)),
        (b"ratelimit", b'"%b";r=%d;t=%d' % (POLICY.encode(), verdict.left, reset_s)),
    ]


def _too_much(caller: Caller, verdict: Verdict, limit: int) -> RequestRefusedError:
    wait_s = max(1, math.ceil(verdict.wait_s))
    return RequestRefusedError(
        Reason.RATE,
        HTTPStatus.TOO_MANY_REQUESTS,
        f"tier {caller.tier} has a weight of {limit:,} a minute, and it is used up: ask again in {wait_s} s",
        kind=QUOTA_EXCEEDED,
        headers={"Retry-After": str(wait_s)},
        **{"violated-policies": [POLICY]},
    )
