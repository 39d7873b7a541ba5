"""Requests to an exchange's REST API: paced by weights, repeated a bounded number of times.

An exchange that limits or bans an address says for how long. Whoever goes on asking is banned for longer. So nothing
that shares this client asks before that time is over. (Binance: "LIMITS" in the REST API documentation, status 429 and
418.)
"""

import asyncio
import time

import aiohttp
import stamina

from producers.exchange import RestLimits, RestRequest
from producers.feed.weights import Weights
from runtime.errors import CandlewickError, UnavailableError
from runtime.telemetry import logger

ATTEMPTS = 3
REQUEST_TIMEOUT_S = 10.0
LONGEST_BODY_BYTES = 64 << 20
"""No exchange answers with more: a list of all instruments has some megabytes."""
LONGEST_WAIT_S = 60.0
"""If the exchange wants a longer wait, a request fails at once."""
LONGEST_BAN_S = 3 * 86_400.0
"""Exchanges ban for three days at most."""
_TOO_MANY = 429
_DEFAULT_WAIT_S = 10.0
_MEANING = {
    401: "it wants a key for this request",
    403: "it does not serve this address: a firewall, or a rule of the country",
    404: "there is nothing at this address: is the host right?",
    418: "it has banned this address for asking too much",
    429: "it was asked too much",
    502: "its server does not answer",
    503: "it is in maintenance or overloaded",
    504: "its server does not answer in time",
}
_MAX_DIGITS = 9
_MAX_SHOWN = 200
_SERVER_ERROR = 500
_OK = 200


class RefusedError(CandlewickError):
    """The exchange refuses the request: asking again would not help."""


class RateLimitedError(UnavailableError):
    """The exchange wants no requests for `retry_after_s`."""


class RestClient:
    """One exchange's REST API; all requests of the process share the weights and the waits."""

    def __init__(self, http: aiohttp.ClientSession, url: str, limits: RestLimits, *, stage: str = "produce") -> None:
        self._http = http
        self._url = url
        self._limits = limits
        self._log = logger(stage)
        self._closed_until_s = 0.0
        self.weights = Weights(limits.weight, limits.per_s)

    @property
    def closed_for_s(self) -> float:
        """For how long nothing may be asked; 0: requests are allowed."""
        return max(0.0, self._closed_until_s - time.monotonic())

    async def get(self, request: RestRequest) -> bytes:
        """The body of the answer. Raises `RefusedError`; `RateLimitedError`, `UnavailableError` after `ATTEMPTS`."""
        async for attempt in stamina.retry_context(on=_retries, attempts=ATTEMPTS, timeout=None, wait_max=10.0):
            with attempt:
                await self._wait(request.weight)
                return await self._get(request)
        raise AssertionError("stamina raises the last error")

    async def _wait(self, weight: int) -> None:
        closed_s = self.closed_for_s
        if closed_s > LONGEST_WAIT_S:
            raise RateLimitedError(
                f"{self._url} does not want requests for another {closed_s:.0f} s", retry_after_s=closed_s
            )
        while (wait_s := max(closed_s, self.weights.wait_s(weight, time.monotonic()))) > 0:
            await asyncio.sleep(wait_s)
            closed_s = self.closed_for_s
        self.weights.spend(weight, time.monotonic())

    async def _get(self, request: RestRequest) -> bytes:
        try:
            timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
            async with self._http.get(self._url + request.path, timeout=timeout) as response:
                body = await _bounded(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(f"{self._url} does not answer: {type(error).__name__} {error}".rstrip()) from error
        limits = self._limits
        used = response.headers.get(limits.used_weight_header or "", "")
        if used.isdigit():
            self.weights.correct(int(used), time.monotonic(), time.time() % 60)
        too_much = any(words in body[:_MAX_SHOWN] for words in limits.too_much_words)
        if response.status in limits.too_much or too_much:
            otherwise_s = limits.too_much.get(response.status, limits.too_much.get(_TOO_MANY, _DEFAULT_WAIT_S))
            retry_after_s = _retry_after_s(response.headers.get("Retry-After", ""), otherwise_s)
            self._closed_until_s = max(self._closed_until_s, time.monotonic() + retry_after_s)
            self._log.warning(
                "the exchange wants no requests", status=response.status, wait_s=retry_after_s, url=self._url
            )
            raise RateLimitedError(
                f"{self._url} answered {response.status}, {_MEANING.get(response.status, _MEANING[_TOO_MANY])}: "
                f"wait {retry_after_s:.0f} s",
                retry_after_s=retry_after_s,
            )
        if response.status >= _SERVER_ERROR:
            meaning = _MEANING.get(response.status, "it fails on its own side")
            raise UnavailableError(f"{self._url} answered {response.status}, {meaning}")
        if response.status != _OK:
            meaning = _MEANING.get(response.status, "it refuses the request")
            raise RefusedError(
                f"{self._url} answered {response.status} to {request.path}, {meaning}: {body[:_MAX_SHOWN]!r}"
            )
        return body


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, unpacked. Raises `RefusedError` if it is too long."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LONGEST_BODY_BYTES:
            raise RefusedError(f"{response.url} answers with more than {LONGEST_BODY_BYTES >> 20} MiB")
    return bytes(body)


def _retries(error: Exception) -> bool | float:
    if isinstance(error, RateLimitedError):
        return error.retry_after_s if error.retry_after_s <= LONGEST_WAIT_S else False
    return isinstance(error, UnavailableError)


def _retry_after_s(header: str, otherwise_s: float) -> float:
    is_number = header.isascii() and header.isdigit()
    return min(float(header[:_MAX_DIGITS]), LONGEST_BAN_S) if is_number else otherwise_s
