"""The gate over HTTP, with a real Redis behind it."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from eventually import eventually
from prometheus_client import REGISTRY
from pydantic import SecretStr
from written import candle, write

from runtime.errors import UsageError
from runtime.settings import Settings, WithoutRedis
from serving.access.key_file import LOOK_S, change_keys
from serving.access.keys import ApiKey, RateTier, hash_of, key_text
from serving.server import ServeSettings, serving
from sinks.redis.store import RedisStore

ASKED = "/v1/candles?exchange=binance&symbol=BTC-USDT&limit=30"
KEYS = {name: key_text(name.encode() * 32) for name in "abcd"}


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        serving(settings, ServeSettings(port=0)) as (address, _),
        aiohttp.ClientSession(address, connector=connector) as session,
    ):
        yield session


@pytest.fixture
async def guarded(settings: Settings, tmp_path: Path) -> Settings:
    """Forty candles in hot, the keys a (free), b (pro, of okx only) and c (enterprise), and an audit log."""
    await write(RedisStore(settings), settings.topics.candles(), [candle(number) for number in range(40)])
    path = tmp_path / "keys.json"
    for name, tier, exchanges in (("a", RateTier.FREE, None), ("b", RateTier.PRO, ("okx",)),
                                  ("c", RateTier.ENTERPRISE, None)):  # fmt: skip
        key = ApiKey(name=name, sha256=hash_of(KEYS[name]), tier=tier, exchanges=exchanges, created_ms=1)
        change_keys(path, lambda ring: ring.with_key(key))  # noqa: B023  # called here
    return settings.model_copy(
        update={"keys": path, "anonymous": False, "free_weight": 20, "audit": tmp_path / "audit.log"}
    )


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}"}


async def status(session: aiohttp.ClientSession, path: str = ASKED, **options: Any) -> int:
    async with session.get(path, **options) as response:
        await response.read()
        return response.status


async def test_who_may_ask_is_answered_and_who_may_not_is_told_why(guarded: Settings) -> None:
    async with asking(guarded) as session:
        assert await status(session, headers=bearer("a")) == 200
        assert await status(session, headers={"X-API-Key": KEYS["c"]}) == 200
        assert await status(session, headers=bearer("b")) == 403
        assert await status(session, "/v1/health") == 200
        for headers in ({}, bearer("d"), {"X-API-Key": ""}):
            async with session.get(ASKED, headers=headers) as refused:
                problem = json.loads(await refused.read())
                assert (refused.status, refused.content_type) == (401, "application/problem+json")
                assert (problem["status"], problem["title"]) == (401, "Unauthorized")
                assert refused.headers["WWW-Authenticate"].startswith("Bearer")
                assert KEYS["d"] not in str(problem)


async def test_a_revoked_key_is_refused_within_the_stated_time(guarded: Settings) -> None:
    assert guarded.keys is not None
    async with asking(guarded) as session:
        assert await status(session, headers=bearer("c")) == 200
        change_keys(guarded.keys, lambda ring: ring.revoked("c", time.time_ns() // 1_000_000))
        revoked_s = time.monotonic()

        async def is_refused() -> bool:
            return await status(session, headers=bearer("c")) == 401

        await eventually(is_refused, timeout_s=LOOK_S + 1)
        assert time.monotonic() - revoked_s < LOOK_S + 0.5


async def test_the_headers_say_what_is_left_and_when_to_ask_again(guarded: Settings) -> None:
    async with asking(guarded) as session:
        for left in range(19, -1, -1):
            async with session.get(ASKED, headers=bearer("a")) as response:
                assert response.status == 200
                assert response.headers["RateLimit-Policy"] == '"minute";q=20;w=60'
                assert response.headers["RateLimit"].startswith(f'"minute";r={left};t=')
        async with session.get(ASKED, headers=bearer("a")) as refused:
            problem = json.loads(await refused.read())
            assert (refused.status, problem["violated-policies"]) == (429, ["minute"])
            assert 55 <= int(refused.headers["Retry-After"]) <= 61
        assert await status(session, headers=bearer("c")) == 200


async def test_a_storm_gets_no_more_than_its_allowance_and_others_are_answered_meanwhile(guarded: Settings) -> None:
    """Four hundred clients of one key, and slow readers without an end, beside one who may ask."""
    slow = ASKED.replace("limit=30", "limit=40")
    settings = guarded.model_copy(update={"free_weight": 150, "enterprise_weight": 100_000})
    async with asking(settings) as session:
        readers = []
        for _ in range(100):
            reader, writer = await asyncio.open_connection(session._base_url.host, session._base_url.port, limit=1024)  # type: ignore[union-attr]
            head = f"GET {slow} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEYS['c']}\r\n\r\n"
            writer.write(head.encode())
            readers.append((reader, writer))
        storm = [asyncio.create_task(status(session, headers=bearer("a"))) for _ in range(400)]
        times_s = []
        for _ in range(30):
            began_s = time.monotonic()
            assert await status(session, headers=bearer("c")) == 200
            times_s.append(time.monotonic() - began_s)
        statuses = await asyncio.gather(*storm)
        for _, writer in readers:
            writer.close()
    assert statuses.count(200) == 150
    assert set(statuses) == {200, 429}
    assert max(times_s) < 5


async def test_without_redis_it_is_open_or_closed_as_set(guarded: Settings) -> None:
    away = guarded.model_copy(update={"redis": SecretStr("redis://127.0.0.1:1")})
    async with asking(away) as session:
        assert await status(session, headers=bearer("a")) == 200
    async with asking(away.model_copy(update={"without_redis": WithoutRedis.CLOSED})) as session:
        async with session.get(ASKED, headers=bearer("a")) as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (503, "2")
        assert await status(session, "/v1/health") == 200


async def test_the_audit_log_has_a_line_for_each_request_and_no_key_is_ever_written(
    guarded: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    assert guarded.audit is not None
    hidden = KEYS["a"].replace("_", "%5F")
    with structlog.testing.capture_logs() as logs:
        async with asking(guarded) as session:
            await status(session, headers=bearer("a"))
            await status(session, headers=bearer("d"))
            await status(session, f"/v1/{KEYS['a']}?api_key={KEYS['a']}&x={hidden}", headers=bearer("c"))
            async with session.post(ASKED, data=KEYS["a"] * 2000, headers=bearer("c")) as large:
                assert large.status == 413
    lines = [json.loads(line) for line in guarded.audit.read_text().splitlines()]
    told = [(line["caller"], line["method"], line["path"], line["weight"], line["status"]) for line in lines]
    assert told == [
        ("key:a", "GET", "/v1/candles", 1, 200),
        ("ip:127.0.0.1", "GET", "/v1/candles", 1, 401),
        ("key:c", "GET", "/v1/cw_***", 1, 404),
        ("key:c", "POST", "/v1/candles", 1, 413),
    ]
    assert lines[0]["query"] == "exchange=binance&symbol=BTC-USDT&limit=30"
    written = guarded.audit.read_text() + str(logs) + "".join(capfd.readouterr())
    assert not [name for name, key in KEYS.items() if key[3:] in written]


async def test_a_log_that_cannot_be_written_stops_nobody(guarded: Settings, tmp_path: Path) -> None:
    before = REGISTRY.get_sample_value("candlewick_audit_lost_total")
    nowhere = tmp_path / "missing" / "audit.log"
    async with asking(guarded.model_copy(update={"audit": nowhere})) as session:
        assert await status(session, headers=bearer("c")) == 200
        await asyncio.sleep(0.6)  # it has tried
        nowhere.parent.mkdir()
        assert await status(session, headers=bearer("c")) == 200
    assert len(nowhere.read_text().splitlines()) == 2
    assert REGISTRY.get_sample_value("candlewick_audit_lost_total") == before


async def test_pages_of_the_origins_that_are_set_may_ask(guarded: Settings) -> None:
    page = {"Origin": "https://page.example"}
    preflight = page | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "X-API-Key"}
    async with asking(guarded.model_copy(update={"cors": "https://page.example"})) as session:
        async with session.options(ASKED, headers=preflight) as allowed:
            assert (allowed.status, allowed.headers["Access-Control-Allow-Origin"]) == (200, page["Origin"])
        async with session.options(ASKED, headers=preflight | {"Origin": "https://other.example"}) as refused:
            assert refused.status == 400
        for headers, expected in ((bearer("c"), 200), ({}, 401)):
            async with session.get(ASKED, headers=page | headers) as answer:
                assert answer.status == expected
                assert answer.headers["Access-Control-Allow-Origin"] == page["Origin"]
                assert "RateLimit" in answer.headers["Access-Control-Expose-Headers"]


def make_certificate(certificate: Path, key: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


async def test_it_serves_tls_with_the_files_that_are_set(guarded: Settings, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with asking(guarded.model_copy(update={"tls_certificate": certificate, "tls_key": key})) as session:
        assert session._base_url is not None
        assert session._base_url.scheme == "https"
        assert await status(session, headers=bearer("c"), ssl=trusting) == 200
    for wrong in ({"tls_certificate": certificate}, {"tls_certificate": key, "tls_key": key}):
        with pytest.raises(UsageError):
            async with asking(guarded.model_copy(update=wrong)):
                pass


@pytest.mark.parametrize(("anonymous", "policy"), [(None, None), (True, '"minute";q=20;w=60')])
async def test_without_a_key_only_who_serves_a_loopback_address_unasked_is_not_counted(
    guarded: Settings, *, anonymous: bool | None, policy: str | None
) -> None:
    async with asking(guarded.model_copy(update={"anonymous": anonymous})) as session, session.get(ASKED) as response:
        assert (response.status, response.headers.get("RateLimit-Policy")) == (200, policy)
