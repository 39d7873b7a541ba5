"""Stores that a person has to mend: the sink ends with one sentence, and after the mending nothing is lost."""

import asyncio
import json
import re
import urllib.request
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import boto3
import clickhouse_connect
import pytest
from answering import answering
from eventually import eventually
from holdings import TARGETS, expected
from log import publish, record, trade
from own_servers import S3_KEYS, OwnServer, new_bucket, own_redis, s3_variables
from pydantic import SecretStr
from redis.asyncio import Redis

from market.topics import Topics
from runtime.errors import CandlewickError, UnavailableError
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings, clickhouse_address, postgres_address
from sinks.clickhouse.migrate import SchemaKeeper
from sinks.runner import run_sink

TRADES = [trade(number) for number in range(50)]
SECRET = "told-to-nobody"  # noqa: S105
READ_ONLY = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
TOO_SKEWED = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too \
large.</Message><RequestTime>20261128T232942Z</RequestTime><ServerTime>2026-11-29T01:29:42Z</ServerTime>\
<MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds></Error>"""
"""As versitygw answers a client whose clock is two hours late, with 403, and S3 itself in the same form."""


@dataclass
class Bad:
    """A store as a sink meets it at first, what the sink tells of it, and how it is made right."""

    sink: str
    told: str
    wrong: Settings
    right: Settings
    wrong_variables: dict[str, str] = field(default_factory=dict)
    right_variables: dict[str, str] = field(default_factory=dict)
    mend: Callable[[], Awaitable[Any]] | None = None


Case = Callable[[Settings, Path, str], AbstractAsyncContextManager[Bad]]
CASES: dict[str, Case] = {}


def case(make: Callable[[Settings, Path, str], AsyncIterator[Bad]]) -> None:
    """A case has a test's settings, a folder, and the address of an S3 server."""
    CASES[make.__name__] = asynccontextmanager(make)


@asynccontextmanager
async def a_redis(folder: Path, *commands: str) -> AsyncIterator[OwnServer]:
    """A server, after these commands."""
    server = own_redis(folder)
    try:
        await server.start()
        async with Redis.from_url(server.url) as client:
            for command in commands:
                await client.execute_command(*command.split())
        yield server
    finally:
        server.kill()


def with_redis(settings: Settings, server: OwnServer, user: str = "", database: str = "/0") -> Settings:
    url = server.url.replace("://", f"://{user}").removesuffix("/0") + database
    return settings.model_copy(update={"redis": SecretStr(url)})


@case
async def a_password_that_redis_refuses(settings: Settings, folder: Path, _: str) -> AsyncIterator[Bad]:
    async with a_redis(folder, "CONFIG SET requirepass right") as server:
        wrong, right = (with_redis(settings, server, f":{password}@") for password in (SECRET, "right"))
        yield Bad("redis", "refuses the user or password: check CANDLEWICK_REDIS", wrong, right)


@case
async def a_user_of_redis_who_may_only_read(settings: Settings, folder: Path, _: str) -> AsyncIterator[Bad]:
    may = "~* &* +@read +@connection +info +script|load"
    async with a_redis(folder, f"ACL SETUSER reader on >{SECRET} {may}") as server:
        wrong = with_redis(settings, server, f"reader:{SECRET}@")
        yield Bad("redis", "does not let this user write", wrong, with_redis(settings, server))


@case
async def a_database_that_redis_does_not_have(settings: Settings, folder: Path, _: str) -> AsyncIterator[Bad]:
    async with a_redis(folder) as server:
        wrong = with_redis(settings, server, database="/99")
        yield Bad("redis", "has no database of that number", wrong, with_redis(settings, server))


async def make_tables(settings: Settings) -> None:
    await SchemaKeeper(clickhouse_address(settings), settings.clickhouse_database).bring_up_to_date()


async def on_clickhouse(settings: Settings, *statements: str) -> None:
    database = settings.clickhouse_database
    async with await clickhouse_connect.get_async_client(dsn=clickhouse_address(settings), database=database) as client:
        for statement in statements:
            await client.command(statement)


@case
async def tables_of_clickhouse_of_a_later_version(settings: Settings, _: Path, __: str) -> AsyncIterator[Bad]:
    await make_tables(settings)
    await on_clickhouse(settings, "ALTER TABLE candles MODIFY COMMENT 'candlewick 99'")

    async def mend() -> None:
        await on_clickhouse(settings, "DROP TABLE candles")

    yield Bad("clickhouse", "run a newer candlewick", settings, settings, mend=mend)


@case
async def a_table_of_clickhouse_that_was_altered(settings: Settings, _: Path, __: str) -> AsyncIterator[Bad]:
    await make_tables(settings)
    await on_clickhouse(settings, "ALTER TABLE trades MODIFY COLUMN qty Decimal(9, 2)")

    async def mend() -> None:
        await on_clickhouse(settings, "DROP TABLE trades")

    yield Bad("clickhouse", "has the column qty as Decimal(9, 2)", settings, settings, mend=mend)


def s3_client(s3: str, name: str) -> Any:
    keys = {variable.lower(): value for variable, value in S3_KEYS.items()}
    return boto3.client(name, endpoint_url=s3, region_name="us-east-1", **keys)


def check_rights(s3: str, from_request: str) -> None:
    """From so many requests on, the server checks keys and rights: "0" or "inf"."""
    request = urllib.request.Request(  # noqa: S310  # an address of this test
        f"{s3}/moto-api/reset-auth", from_request.encode(), {"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(request).close()  # noqa: S310


@contextmanager
def a_reader(settings: Settings, s3: str, told: str, **wrong: str) -> Iterator[Bad]:
    """Keys of a user who may only read a bucket, changed as `wrong` says, on a server that checks them until it is
    mended."""
    bucket, user, iam = new_bucket(s3), f"reader-{uuid.uuid4().hex}", s3_client(s3, "iam")
    iam.create_user(UserName=user)
    policy = json.dumps({"Version": "2012-10-17", "Statement": [READ_ONLY]})
    iam.put_user_policy(UserName=user, PolicyName="reads", PolicyDocument=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]} | wrong

    async def mend() -> None:
        await asyncio.to_thread(check_rights, s3, "inf")

    cold = settings.model_copy(update={"cold": f"s3://{bucket}/cold"})
    check_rights(s3, "0")
    try:
        yield Bad("parquet", told, cold, cold, s3_variables(s3) | keys, s3_variables(s3), mend)
    finally:
        check_rights(s3, "inf")


@case
async def a_secret_that_s3_refuses(settings: Settings, _: Path, s3: str) -> AsyncIterator[Bad]:
    told = "SignatureDoesNotMatch: "
    with a_reader(settings, s3, told, AWS_SECRET_ACCESS_KEY=SECRET) as bad:
        yield bad


@case
async def a_key_that_s3_does_not_know(settings: Settings, _: Path, s3: str) -> AsyncIterator[Bad]:
    with a_reader(settings, s3, "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", AWS_ACCESS_KEY_ID="nobody") as bad:
        yield bad


@case
async def a_user_of_s3_who_may_only_read(settings: Settings, _: Path, s3: str) -> AsyncIterator[Bad]:
    with a_reader(settings, s3, "AccessDenied: Access Denied; check CANDLEWICK_COLD, the bucket and the rights") as bad:
        yield bad


@case
async def a_bucket_that_is_missing(settings: Settings, _: Path, s3: str) -> AsyncIterator[Bad]:
    bucket = f"missing-{uuid.uuid4().hex}"
    cold, variables = settings.model_copy(update={"cold": f"s3://{bucket}/cold"}), s3_variables(s3)

    async def mend() -> None:
        await asyncio.to_thread(s3_client(s3, "s3").create_bucket, Bucket=bucket)

    yield Bad("parquet", "make the bucket, or name another", cold, cold, variables, variables, mend)


@case
async def a_clock_that_s3_finds_wrong(settings: Settings, _: Path, s3: str) -> AsyncIterator[Bad]:
    cold = settings.model_copy(update={"cold": f"s3://{new_bucket(s3)}/cold"})
    async with answering(403, TOO_SKEWED) as late:
        told = "RequestTimeTooSkewed: The difference between the request time and the current time is too large; set "
        yield Bad("parquet", told, cold, cold, s3_variables(late), s3_variables(s3))


@pytest.mark.usefixtures("longer_candles")  # the sink into Redis reads them
@pytest.mark.parametrize("name", CASES)
async def test_a_person_is_told_what_to_mend_and_then_nothing_is_lost(
    settings: Settings, topics: Topics, s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    await publish(settings, topics.trades, [record(one) for one in TRADES])
    async with CASES[name](settings, tmp_path, s3_server) as bad:
        put_on(monkeypatch, bad.wrong_variables)
        with pytest.raises(CandlewickError, match=re.escape(bad.told)) as told:
            await sink_once(bad.sink, bad.wrong)
        assert type(told.value) is CandlewickError, "neither to be waited for nor a wrong use: the exit code is 1"
        assert SECRET not in str(told.value)
        offsets = await group_offsets(settings, topics.group(f"sink.{bad.sink}"))
        assert not any(offsets.values()), "something counts as written"

        if bad.mend is not None:
            await bad.mend()
        put_on(monkeypatch, bad.right_variables)
        await sink_once(bad.sink, bad.right)
        held = await TARGETS[bad.sink].held(bad.right)
    assert held.trades == expected(TRADES, []).trades


def put_on(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


async def sink_once(sink: str, settings: Settings) -> None:
    target = TARGETS[sink]
    await asyncio.wait_for(run_sink(settings, target.store(settings), target.config(), asyncio.Event()), 60)


@pytest.mark.parametrize("name", ["clickhouse", "postgres"])
async def test_a_column_that_is_dropped_under_a_running_sink_ends_it_and_nothing_is_lost(
    with_postgres: Settings, topics: Topics, name: str
) -> None:
    target, stop = TARGETS[name], asyncio.Event()
    await publish(with_postgres, topics.trades, [record(one) for one in TRADES[:20]])
    running = asyncio.create_task(run_sink(with_postgres, target.store(with_postgres), target.config(once=False), stop))
    try:
        await eventually(lambda: holds(name, with_postgres, TRADES[:20]))
        await alter(name, with_postgres, "ALTER TABLE trades DROP COLUMN seq")
        await publish(with_postgres, topics.trades, [record(one) for one in TRADES[20:]])
        with pytest.raises(CandlewickError, match=r"refuses: .*and the tables") as told:
            await asyncio.wait_for(running, 30)
        assert not isinstance(told.value, UnavailableError)
    finally:
        stop.set()
        await asyncio.wait([running])
    kind = "Nullable(Int64)" if name == "clickhouse" else "bigint"
    await alter(name, with_postgres, f"ALTER TABLE trades ADD COLUMN seq {kind}")
    await sink_once(name, with_postgres)
    assert (await target.held(with_postgres)).trades == expected(TRADES, []).trades


async def holds(name: str, settings: Settings, trades: list[dict[str, Any]]) -> bool:
    try:
        held = await TARGETS[name].held(settings)
    except Exception:  # noqa: BLE001  # its tables are not there yet
        return False
    return bool(held.trades == expected(trades, []).trades)


async def alter(name: str, settings: Settings, statement: str) -> None:
    if name == "clickhouse":
        await on_clickhouse(settings, statement)
        return
    connection = await asyncpg.connect(postgres_address(settings))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
