"""Health is asked often, and the tiers seldom."""

import asyncio

import pytest
from aiohttp import web
from eventually import eventually
from pydantic import SecretStr

from runtime.settings import load_settings
from serving import health
from serving.health import TierHealth
from serving.planner import Tier
from serving.tiers import Tiers


async def test_many_questions_at_one_time_and_soon_after_ask_the_tiers_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def refuse(request: web.Request) -> web.Response:
        asked.append(request.query_string)
        return web.Response(status=500, text="Code: 202. DB::Exception: busy")

    app = web.Application()
    app.router.add_route("*", "/", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    tiers = Tiers(
        load_settings(redis="redis://127.0.0.1:1", clickhouse=SecretStr(f"http://127.0.0.1:{port}"), cold="memory:///")
    )
    tier_health = TierHealth(tiers)
    answers = await asyncio.gather(*(tier_health.reachable() for _ in range(50)))
    for _ in range(50):
        answers.append(await tier_health.reachable())
    assert answers == [{Tier.HOT: False, Tier.WARM: False, Tier.COLD: True}] * 100
    of_one_look = len(asked)
    assert of_one_look > 0
    monkeypatch.setattr(health, "FRESH_S", 0.0)
    await tier_health.reachable()  # gives what it knows, and asks
    await eventually(lambda: len(asked) == 2 * of_one_look)
    await tiers.close()
    await runner.cleanup()
