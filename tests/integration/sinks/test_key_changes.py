"""Whether changes of the hot store's keys are heard, and whether it is noticed that they are heard no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from eventually import eventually

from runtime.settings import Settings, redis_address
from sinks.redis.changes import KeyChanges
from sinks.redis.connect import connect, disconnect


class SilentLine:
    """A way to a server on which nothing passes any more, once it is cut: no end and no error is told either."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self._is_whole = asyncio.Event()
        self._is_whole.set()
        self._copies: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        async with server:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
            for copy in self._copies:
                copy.cancel()

    def cut(self) -> None:
        self._is_whole.clear()

    def mend(self) -> None:
        self._is_whole.set()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._to.hostname, self._to.port)
        self._copies |= {asyncio.create_task(self._copy(*ends)) for ends in ((reader, back), (there, writer))}

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await source.read(65536):
                    await self._is_whole.wait()
                    sink.write(data)
                    await sink.drain()
        finally:
            sink.close()


async def test_a_line_on_which_nothing_comes_any_more_is_noticed_and_changes_are_heard_again(
    settings: Settings,
) -> None:
    changed: list[str] = []
    losses: list[None] = []
    line = SilentLine(redis_address(settings))
    server = connect(redis_address(settings))
    async with line.open() as url:
        client = connect(url)
        changes = KeyChanges(client, changed.append, lambda: losses.append(None))
        listening = asyncio.create_task(changes.listening())
        key = f"{settings.prefix}cw:live:x"

        async def heard() -> bool:
            await changes.hear(key)
            return changes.hears(key)

        await eventually(heard)
        await server.publish(key, "new")
        await eventually(lambda: changed == [key])
        line.cut()
        await eventually(lambda: losses and not changes.hears(key))
        line.mend()
        await eventually(heard)
        await server.publish(key, "newer")
        await eventually(lambda: changed == [key, key])
        listening.cancel()
        await asyncio.wait({listening})
        await disconnect(client)
    await disconnect(server)
