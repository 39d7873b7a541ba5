"""Calling our scripts on one server or on the nodes of a cluster."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from redis import exceptions

from sinks.redis.connect import HotClient

_PACKAGE = "sinks.redis"


class Call(NamedTuple):
    """One call of a script; in a cluster its keys are of one hash tag."""

    keys: tuple[str, ...]
    arguments: tuple[Any, ...]


class Script:
    """One of the ``.lua`` files beside this module."""

    def __init__(self, name: str) -> None:
        self._source = files(_PACKAGE).joinpath(name).read_bytes()
        self._sha = ""

    async def call(self, client: HotClient, calls: Sequence[Call]) -> list[Any]:
        """The answers; calls of the same node are carried out in order, all of them even where one fails.

        Raises the first failure, as the client does.
        """
        if not self._sha:
            self._sha = await client.script_load(self._source)
        answers = await self._send(client, calls)
        if any(isinstance(answer, exceptions.NoScriptError) for answer in answers):  # a server was restarted since
            await client.script_load(self._source)
            answers = await self._send(client, calls)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _send(self, client: HotClient, calls: Sequence[Call]) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        for keys, arguments in calls:
            pipeline.execute_command("EVALSHA", self._sha, len(keys), *keys, *arguments)
        return await pipeline.execute(raise_on_error=False)
