"""Questions over HTTP: the key is sent, problems are raised, and a used-up allowance is waited for."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

import msgspec
import urllib3
from msgspec import Struct
from urllib3 import BaseHTTPResponse

from serving.client.answers import ApiPage, ApiRecordsCoverage
from serving.client.errors import ApiError, ApiProblemError, problem_of
from serving.media_types import AWAY_HEADER
from serving.planner import Tier

Answer = TypeVar("Answer")
Record = TypeVar("Record", bound=Struct)

_PART_BYTES = 1 << 18
_UNTOLD_S = 1.0
"""Waited where a 429 does not say how long."""
_AGAIN = urllib3.Retry(
    connect=2, read=1, redirect=0, status=0, other=0, backoff_factor=0.1, respect_retry_after_header=False
)
"""A connection that the server closed while it was idle; only what changes nothing is asked a second time."""


class OpenStream(NamedTuple):
    """A stream that has begun; `parts` raises `ApiError` where it breaks before its end."""

    away: list[Tier]
    parts: Iterator[bytes]


class ApiConnection:
    """One server. Threads may share it. Raises `ApiError` for what cannot be an address."""

    def __init__(self, address: str, *, key: str | None, wait_s: float, timeout_s: float) -> None:
        if not address.startswith(("http://", "https://")):
            raise ApiError(f"'{address}' is no address of an API: give http://HOST:PORT or https://HOST")
        self._address = address.rstrip("/")
        self._wait_s = wait_s
        headers = {"Accept": "application/json", "Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {key}"} if key else {}
        )
        self._pool = urllib3.PoolManager(headers=headers, timeout=urllib3.Timeout(timeout_s), retries=_AGAIN)

    def get(self, path: str, parameters: Mapping[str, str | int | None]) -> bytes:
        """The answer's body; parameters that are None are left out.

        Raises `ApiProblemError` for a problem; a 429 only if waiting for it would take longer than `wait_s` in all.
        """
        return self._ask("GET", path, parameters, None).data

    @contextmanager
    def stream(self, path: str, parameters: Mapping[str, str | int | None]) -> Iterator[OpenStream]:
        """The same for an answer of any length, whose parts are read as they are wanted. What is left is not read."""
        answer = self._ask("GET", path, parameters, None, is_stream=True)
        with answer:
            names = answer.headers.get(AWAY_HEADER, "").split(", ")
            yield OpenStream([tier for tier in Tier if tier in names], _parts(answer))

    def post(
        self, path: str, parameters: Mapping[str, str | int | None], body: Mapping[str, Any] | None = None
    ) -> bytes:
        """The same, perhaps with a body, of which members that are None are left out."""
        if body is None:
            return self._ask("POST", path, parameters, None).data
        told = {name: value for name, value in body.items() if value is not None}
        return self._ask("POST", path, parameters, msgspec.json.encode(told)).data

    def close(self) -> None:
        """Close what is open."""
        self._pool.clear()

    def _ask(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str | int | None],
        body: bytes | None,
        *,
        is_stream: bool = False,
    ) -> BaseHTTPResponse:
        given = {name: str(value) for name, value in parameters.items() if value is not None}
        address = f"{self._address}{path}?{urlencode(given)}"
        waited_s = 0.0
        while True:
            try:
                return self._ask_once(method, address, body, is_stream=is_stream)
            except ApiProblemError as problem:
                pause_s = _UNTOLD_S if problem.retry_after_s is None else problem.retry_after_s
                if problem.status != HTTPStatus.TOO_MANY_REQUESTS or waited_s + pause_s > self._wait_s:
                    raise
            time.sleep(pause_s)
            waited_s += pause_s

    def _ask_once(self, method: str, address: str, body: bytes | None, *, is_stream: bool) -> BaseHTTPResponse:
        try:
            answer = self._pool.request(method, address, body=body, redirect=False, preload_content=not is_stream)
            if answer.status != HTTPStatus.OK:
                raise problem_of(answer.status, answer.headers, answer.data)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise ApiError(f"{self._address} does not answer ({reason}): is candlewick serve running there?") from error
        return answer


def _parts(answer: BaseHTTPResponse) -> Iterator[bytes]:
    try:
        yield from answer.stream(_PART_BYTES)
    except urllib3.exceptions.HTTPError as error:
        raise ApiError(f"the stream broke before its end ({error}): ask again") from error


def read_answer(body: bytes, type_: type[Answer]) -> Answer:
    """The typed answer. Raises `ApiError` for one that is not of this form."""
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.DecodeError as error:
        raise ApiError(f"the answer can't be read ({error}): use the client of the server's version") from error


def read_page(body: bytes, name: str, record_type: type[Record]) -> ApiPage[Record]:
    """The typed page of an answer that has its records under `name`. Raises `ApiError` like `read_answer`."""
    told = read_answer(body, dict[str, msgspec.Raw])
    records = told.get(name, msgspec.Raw(b"null"))
    coverage = told.get("coverage")
    return ApiPage(
        records=read_answer(records, list[record_type]),  # type: ignore[valid-type]  # known when it runs
        source=read_answer(told.get("source", msgspec.Raw(b"{}")), dict[str, Any]),
        coverage=None if coverage is None else read_answer(coverage, ApiRecordsCoverage),
        next_cursor=read_answer(told.get("next_cursor", msgspec.Raw(b"null")), str | None),  # type: ignore[arg-type]
    )
