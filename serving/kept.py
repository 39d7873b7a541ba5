"""An answer as it is kept and sent: bytes, with the tag that says whether a client has them already."""

import hashlib
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

from starlette.types import Scope, Send

_JSON = (b"content-type", b"application/json")
AnswerHeader = tuple[bytes, bytes]


class KeptAnswer(NamedTuple):
    """A whole answer. Without an entity tag it is always sent whole."""

    body: bytes
    etag: bytes = b""
    status: int = HTTPStatus.OK.value
    headers: tuple[AnswerHeader, ...] = (_JSON,)
    """But for the length, the tag, and what is said of caching."""

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, about."""
        return len(self.body)


def tagged(body: bytes, headers: Iterable[AnswerHeader] = (_JSON,)) -> KeptAnswer:
    """A good answer, its tag a hash of the body."""
    etag = b'"%b"' % hashlib.blake2b(body, digest_size=8).hexdigest().encode()
    return KeptAnswer(body, etag, headers=tuple(headers))


async def send_kept(scope: Scope, send: Send, answer: KeptAnswer) -> None:
    """The answer, or 304 where the client has it (RFC 9110, 13.1.2)."""
    known = next((value for name, value in scope["headers"] if name == b"if-none-match"), None)
    if known is not None and answer.etag and answer.etag in known.replace(b"W/", b"").split(b", "):
        await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", answer.etag)]})
        await send({"type": "http.response.body", "body": b""})
        return
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    if answer.etag:
        headers += [(b"etag", answer.etag), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
