"""How a part ends: by itself, drained after a signal, or cut off."""

import asyncio
import os
import signal

import pytest
import uvloop

from runtime.lifecycle import EndedError, _until_done


def test_a_part_that_drains_after_a_signal_ends_well() -> None:
    async def drains(stop: asyncio.Event) -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        return "drained"

    assert uvloop.run(_until_done(drains, 30)) == "drained"


def test_a_part_that_does_not_drain_within_the_grace_is_ended_with_a_sentence() -> None:
    async def hangs(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()
        assert stop.is_set()

    with pytest.raises(EndedError, match="ended before it had drained: what was not committed is read again"):
        uvloop.run(_until_done(hangs, 0.01))


def test_a_second_signal_does_not_wait_for_the_grace() -> None:
    async def hangs(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    with pytest.raises(EndedError):
        uvloop.run(_until_done(hangs, None))
