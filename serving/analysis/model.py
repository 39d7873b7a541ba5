"""The model server: asked over HTTP, tried again where that may help, its key shown nowhere."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from http import HTTPStatus

import aiohttp

from runtime.errors import UsageError
from runtime.settings import Settings, variable
from runtime.telemetry import logger
from serving.analysis.completion import (
    CompletionPiece,
    ModelError,
    RetryPause,
    completion_body,
    next_step,
    read_piece,
)
from serving.analysis.prompt import Message

_TIMES = aiohttp.ClientTimeout(total=300, sock_connect=5, sock_read=45)
"""No token for 45 s is no answer: a model that is being loaded takes its time for the first."""
MOST_ANSWER_BYTES = 256 * 1024
_MOST_ERROR_BYTES = 4096
_LINE_BYTES = 256 * 1024


class ModelServer:
    """One model of one server."""

    def __init__(self, url: str, model: str, key: str | None, *, answer_tokens: int) -> None:
        self.model = model
        self._url = f"{url}/chat/completions"
        self._key = key
        self._answer_tokens = answer_tokens
        self._session: aiohttp.ClientSession | None = None
        self._log = logger("serve")

    async def answer(self, messages: Sequence[Message]) -> AsyncGenerator[CompletionPiece]:
        """The pieces of the answer as they come; tried again only while there is none. Raises `ModelError`."""
        body = completion_body(self.model, messages, self._answer_tokens)
        tries, waited_s = 0, 0.0
        while True:
            tries += 1
            failed: tuple[int | None, str, float | None]
            try:
                async with self._opened().post(self._url, data=body, allow_redirects=False) as response:
                    if response.status == HTTPStatus.OK:
                        async for piece in self._pieces(response):
                            yield piece
                        return
                    failed = (response.status, await _error_text(response), _retry_after_s(response))
            except (aiohttp.ClientError, TimeoutError) as error:
                self._log.warning("the model server does not answer", reason=type(error).__name__)
                failed = (None, "", None)
            status, told, retry_after_s = failed
            step = next_step(
                status, self._without_key(told), retry_after_s=retry_after_s, tries=tries, waited_s=waited_s
            )
            if not isinstance(step, RetryPause):
                self._log.warning("the model server gave no answer", status=status, tries=tries)
                raise step
            await asyncio.sleep(step.wait_s)
            waited_s += step.wait_s

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _pieces(self, response: aiohttp.ClientResponse) -> AsyncGenerator[CompletionPiece]:
        """What has begun is not tried again: whatever goes wrong is a `ModelError`."""
        length = 0
        try:
            async for line in response.content:
                piece = read_piece(line)
                if piece is None:
                    continue
                if piece.is_end:
                    return
                length += len(piece.text.encode())
                if length > MOST_ANSWER_BYTES:
                    raise ModelError(f"the answer is longer than {MOST_ANSWER_BYTES:,} bytes", HTTPStatus.BAD_GATEWAY)
                yield piece
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:  # ValueError: a line beyond all bounds
            raise ModelError("the model server broke off within its answer", HTTPStatus.BAD_GATEWAY) from error
        raise ModelError("the model server's answer has no end", HTTPStatus.BAD_GATEWAY)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            self._session = aiohttp.ClientSession(headers=headers, timeout=_TIMES, read_bufsize=_LINE_BYTES)
        return self._session

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def model_server(settings: Settings) -> ModelServer | None:
    """The one that is set; None without. Raises `UsageError` where no model is named."""
    if settings.analysis_url is None:
        return None
    if settings.analysis_model is None:
        raise UsageError(f"set {variable('analysis_model')} too: the name of the model at {variable('analysis_url')}")
    key = None if settings.analysis_key is None else settings.analysis_key.get_secret_value()
    return ModelServer(
        settings.analysis_url, settings.analysis_model, key, answer_tokens=settings.analysis_answer_tokens
    )


async def _error_text(response: aiohttp.ClientResponse) -> str:
    """What it says of the error, shortened."""
    return (await response.content.read(_MOST_ERROR_BYTES)).decode(errors="replace")


def _retry_after_s(response: aiohttp.ClientResponse) -> float | None:
    told = response.headers.get("Retry-After", "")
    return float(told) if told.isascii() and told.isdigit() else None
