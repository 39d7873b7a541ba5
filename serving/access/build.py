"""The gate as the settings want it, with what has to run beside it."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from runtime.settings import Settings, WithoutRedis
from runtime.telemetry import logger
from serving.access.allowances import Allowances
from serving.access.audit import Audit
from serving.access.gate import AccessRules, Gate
from serving.access.key_file import WatchedKeys, keys_path
from serving.access.keys import RateTier
from serving.access.turns import Turns

_CORS_KEPT_S = 600
_ASKED_WITH = ("Authorization", "X-API-Key", "X-MBX-APIKEY", "If-None-Match", "Content-Type")
_TOLD = (
    *("ETag", "RateLimit", "RateLimit-Policy", "Retry-After"),
    *("X-Candlewick-Coverage", "X-Candlewick-Source", "X-Candlewick-Away"),
)


@asynccontextmanager
async def guarded(app: ASGIApp, settings: Settings, ip: str) -> AsyncIterator[ASGIApp]:
    """The application behind a gate, while the block runs; `ip` is the address that it will be served on.

    Raises `UsageError` where the file of the keys cannot be read.
    """
    path = keys_path(settings)
    keys, rules = WatchedKeys(path), access_rules(settings, ip)
    if not rules.anonymous and not keys.ring.keys:
        logger("serve").warning("nobody may ask: make a key with candlewick keys add", path=str(path))
    allowances, audit = Allowances(settings), None if settings.audit is None else Audit(settings.audit)
    gate = Gate(app, rules, keys=keys, allowances=allowances, turns=Turns(), audit=audit)
    tasks = {asyncio.create_task(keys.watching())} | ({asyncio.create_task(audit.writing())} if audit else set())
    try:
        yield _with_cors(gate, settings.cors)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if audit is not None:
            await audit.flush()
        await allowances.close()


def access_rules(settings: Settings, ip: str) -> AccessRules:
    """The rules. Where nothing is set, callers without a key may ask on a loopback address only, uncounted."""
    anonymous = settings.anonymous
    return AccessRules(
        anonymous=ipaddress.ip_address(ip).is_loopback if anonymous is None else anonymous,
        counts_anonymous=anonymous is not None,
        weight_a_minute={
            RateTier.FREE: settings.free_weight,
            RateTier.PRO: settings.pro_weight,
            RateTier.ENTERPRISE: settings.enterprise_weight,
        },
        closed_without_redis=settings.without_redis is WithoutRedis.CLOSED,
    )


def _with_cors(app: ASGIApp, origins: str) -> ASGIApp:
    """What browsers' pages of these origins may do; outside the gate, since a preflight request has no key."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=[origin.strip() for origin in origins.split(",")],
        allow_methods=("GET", "POST"),
        allow_headers=_ASKED_WITH,
        expose_headers=_TOLD,
        max_age=_CORS_KEPT_S,
    )
