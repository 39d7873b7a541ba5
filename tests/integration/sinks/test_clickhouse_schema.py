"""The warm store's tables: made, migrated, checked, by one process at a time; and who may do what with them."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from answering import answering
from clickhouse_connect.driver import AsyncClient
from holdings import of_clickhouse
from log import trade
from warm import WarmFolder
from written import write

from market.key import MarketKey
from runtime.errors import CandlewickError, UnavailableError
from runtime.settings import Settings, clickhouse_address
from sinks.clickhouse import migrate
from sinks.clickhouse import read as warm
from sinks.clickhouse.connect import connect
from sinks.clickhouse.migrate import LOCK, SchemaKeeper
from sinks.clickhouse.schema import SCHEMA_VERSION, expected_tables, statements
from sinks.clickhouse.store import ClickHouseStore

DATA = Path(__file__).parents[2] / "data"
VERSION_2, VERSION_3 = (statements((DATA / f"clickhouse_schema_{version}.sql").read_text()) for version in (2, 3))
TRADES_2 = """
INSERT INTO trades (exchange, symbol, trade_id, time, price, qty, side, received, source, run, partition, offset, seq,
    precedence)
SELECT 'binance', 'BTC-USDT',
    ['7', '0', '007', 'f7496ecb', '123456789012345678', '1234567890123456789'][number % 6 + 1],
    fromUnixTimestamp64Micro(toInt64(1700000000000000 + intDiv(number, 6) * 3600000000)), 27000.1, number + 1, 'buy',
    fromUnixTimestamp64Micro(toInt64(1700000000000005 + number)), 'ws', if(number % 2, 'r1', ''), 3, number,
    if(number % 3 = 0, NULL, number),
    if(number % 2, 9223372036854775808 + number, 9223372036854775807 - number)
FROM numbers(12000)
"""
"""Two thousand hours, three months, six kinds of ids."""
ALL_TRADES = """
SELECT exchange, symbol, trade_id, time, price, qty, side, received, source, run, partition, offset, seq, precedence
FROM trades FINAL ORDER BY ALL
"""


@pytest.fixture
def keeper(settings: Settings) -> SchemaKeeper:
    return keeper_of(settings)


def keeper_of(settings: Settings) -> SchemaKeeper:
    return SchemaKeeper(clickhouse_address(settings), settings.clickhouse_database)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[AsyncClient]:
    """Of this test's own database."""
    server = await connect(clickhouse_address(settings))
    await server.command(f"CREATE DATABASE {settings.clickhouse_database}")
    async with await connect(clickhouse_address(settings), database=settings.clickhouse_database) as client:
        yield client
    await server.command(f"DROP DATABASE {settings.clickhouse_database}")
    await server.close()


async def rows(client: AsyncClient, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in (await client.query(query)).result_rows]


async def make_version_2(client: AsyncClient) -> None:
    for statement in VERSION_2:
        await client.command(statement)


async def description(client: AsyncClient) -> list[tuple[Any, ...]]:
    """Every column and key of the tables that we expect, as the server writes them down."""
    names = list(expected_tables())
    columns = "SELECT table, name, type, default_kind, default_expression, compression_codec FROM system.columns"
    # How many rows a place in the index stands for is a matter of speed: a table keeps what it was made with.
    engine = "replaceRegexpOne(engine_full, 'index_granularity = [0-9]+', '') AS engine"
    keys = f"SELECT name, {engine}, sorting_key, partition_key FROM system.tables"  # noqa: S608  # our own text
    where = "WHERE database = currentDatabase() AND {column} IN {names} ORDER BY ALL"
    return [
        *await rows(client, f"{columns} {where.format(column='table', names=tuple(names))}"),
        *await rows(client, f"{keys} {where.format(column='name', names=tuple(names))}"),
    ]


async def test_a_store_of_version_2_becomes_what_a_new_one_is_and_loses_nothing(
    settings: Settings, keeper: SchemaKeeper, client: AsyncClient
) -> None:
    await make_version_2(client)
    await client.command(TRADES_2)
    before = await rows(client, ALL_TRADES)
    ids_before = await ClickHouseStore(settings).identities()
    for _ in range(2):
        await keeper.bring_up_to_date()
        assert await rows(client, ALL_TRADES) == before
    assert len(before) == 12_000
    assert await ClickHouseStore(settings).identities() == ids_before, "offsets of the sink would count no more"
    assert await rows(client, f"EXISTS TABLE {LOCK}") == [(0,)]

    assert await description(client) == await description_of_a_new_one(settings)


async def description_of_a_new_one(settings: Settings) -> list[tuple[Any, ...]]:
    fresh = settings.model_copy(update={"clickhouse_database": f"{settings.clickhouse_database}_fresh"})
    await keeper_of(fresh).bring_up_to_date()
    async with await connect(clickhouse_address(settings), database=fresh.clickhouse_database) as other:
        described = await description(other)
        await other.command(f"DROP DATABASE {fresh.clickhouse_database}")
    return described


@pytest.mark.parametrize("comment", ["candlewick 3", "candlewick 3, in place of 6f508d16-5ba0-48d6-8270-916a197d9821"])
async def test_a_store_of_version_3_gets_the_new_tables_and_its_offsets_go_on_counting(
    settings: Settings, keeper: SchemaKeeper, client: AsyncClient, comment: str
) -> None:
    for statement in VERSION_3:
        await client.command(statement)
    await client.command(f"ALTER TABLE trades MODIFY COMMENT '{comment}'")
    await client.command("INSERT INTO trades (exchange, symbol, id_number, price) VALUES ('binance', 'BTC-USDT', 7, 1)")
    ids_before = await ClickHouseStore(settings).identities()
    for _ in range(2):
        await keeper.bring_up_to_date()
        assert await ClickHouseStore(settings).identities() == ids_before
    assert ids_before[settings.topics.trades] is not None
    assert await rows(client, "SELECT trade_id FROM trades") == [("7",)]
    assert await description(client) == await description_of_a_new_one(settings)


async def test_a_migration_that_was_interrupted_goes_on_where_it_was(
    keeper: SchemaKeeper, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_version_2(client)
    await client.command(TRADES_2)
    before = await rows(client, ALL_TRADES)
    execute, interruptions, statements = SchemaKeeper._execute, 0, 0

    async def interrupted(self: SchemaKeeper, *arguments: Any, **parameters: Any) -> None:
        nonlocal statements
        statements += 1
        if statements == 2 + 2 * interruptions:
            raise KeyboardInterrupt
        await execute(self, *arguments, **parameters)

    monkeypatch.setattr(SchemaKeeper, "_execute", interrupted)
    while True:
        statements = 0
        try:
            await keeper.bring_up_to_date()
        except KeyboardInterrupt:
            interruptions += 1
            await client.command(f"DROP TABLE IF EXISTS {LOCK}")
        else:
            break
    assert interruptions >= 5
    assert await rows(client, ALL_TRADES) == before


async def test_a_schema_one_version_ahead_and_a_table_of_another_program_are_refused(
    keeper: SchemaKeeper, client: AsyncClient
) -> None:
    await keeper.bring_up_to_date()
    for comment, told in ((f"candlewick {SCHEMA_VERSION + 1}", "run a newer candlewick"), ("mine", "comment 'mine'")):
        await client.command(f"ALTER TABLE candles MODIFY COMMENT '{comment}'")
        with pytest.raises(CandlewickError, match=told):
            await keeper.bring_up_to_date()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER TABLE trades MODIFY COLUMN qty Decimal(9, 2)", r"column qty as Decimal\(9, 2\), not Decimal\(76, 18\)"),
        ("ALTER TABLE candles DROP COLUMN run", r"\.candles lacks the column run"),
        ("ALTER TABLE tickers MODIFY ORDER BY (exchange, symbol, window, time, extra)", "is sorted by"),
        ("ALTER TABLE trades ADD COLUMN note String DEFAULT 'a person wants this'", None),
        ("ALTER TABLE candles MODIFY COLUMN revision CODEC(ZSTD(9))", None),
        ("ALTER TABLE trades ADD INDEX big qty TYPE minmax", None),
    ],
)
async def test_a_table_that_was_altered_by_hand_is_told_unless_it_holds_what_it_must(
    keeper: SchemaKeeper, client: AsyncClient, change: str, told: str | None
) -> None:
    await keeper.bring_up_to_date()
    await client.command(change.replace("MODIFY ORDER BY", "ADD COLUMN extra Int8, MODIFY ORDER BY"))
    if told is None:
        await keeper.bring_up_to_date()
        return
    with pytest.raises(CandlewickError, match=told) as refused:
        await keeper.bring_up_to_date()
    assert not isinstance(refused.value, UnavailableError), "waiting does not help"


async def test_a_table_or_view_that_was_dropped_is_made_again(keeper: SchemaKeeper, client: AsyncClient) -> None:
    await keeper.bring_up_to_date()
    whole = await description(client)
    await client.command("DROP TABLE trades SYNC")
    await client.command("DROP VIEW candles_of")
    await keeper.bring_up_to_date()
    assert await description(client) == whole
    assert await rows(client, "EXISTS VIEW candles_of") == [(1,)]


async def test_of_several_processes_one_migrates_and_the_others_wait(settings: Settings, client: AsyncClient) -> None:
    await make_version_2(client)
    await client.command(TRADES_2)

    async def until_done() -> int:
        keeper, waits = keeper_of(settings), 0
        while True:
            try:
                await keeper.bring_up_to_date()
            except UnavailableError:
                waits += 1
                await asyncio.sleep(0.1)
            else:
                return waits

    waits = await asyncio.gather(*(until_done() for _ in range(3)))
    assert (min(waits), max(waits) > 0) == (0, True)
    assert await rows(client, "SELECT count() FROM trades FINAL") == [(12_000,)]
    assert await rows(client, f"EXISTS TABLE {LOCK}") == [(0,)]


async def test_a_lock_whose_owner_died_is_taken_and_one_that_moves_is_not(
    keeper: SchemaKeeper, client: AsyncClient
) -> None:
    await client.command(f"CREATE TABLE {LOCK} (nothing UInt8) ENGINE = Memory COMMENT 'somebody 0'")
    for step in range(migrate.LOOKS_AT_A_LOCK * 2):
        with pytest.raises(UnavailableError, match=f"another process \\(somebody {step}\\)"):
            await keeper.bring_up_to_date()
        await client.command(f"ALTER TABLE {LOCK} MODIFY COMMENT 'somebody {step + 1}'")
    for _ in range(migrate.LOOKS_AT_A_LOCK + 1):
        with pytest.raises(UnavailableError):
            await keeper.bring_up_to_date()
    await keeper.bring_up_to_date()
    assert await rows(client, f"EXISTS TABLE {LOCK}") == [(0,)]


async def test_a_paused_owner_whose_lock_was_taken_stops(
    keeper: SchemaKeeper, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = SchemaKeeper._execute

    async def taken(self: SchemaKeeper, asked: AsyncClient, statement: str, *more: Any, **parameters: Any) -> None:
        await execute(self, asked, statement, *more, **parameters)
        if statement.startswith("CREATE TABLE IF NOT EXISTS trades"):
            await client.command(f"ALTER TABLE {LOCK} MODIFY COMMENT 'another'")

    monkeypatch.setattr(SchemaKeeper, "_execute", taken)
    with pytest.raises(UnavailableError, match="took over"):
        await keeper.bring_up_to_date()
    assert await rows(client, "EXISTS TABLE candles") == [(0,)]
    assert await rows(client, f"EXISTS TABLE {LOCK}") == [(1,)], "the other's lock is the other's"


GRANTS = re.findall(
    r"^GRANT (.*) TO candlewick_(\w+);$", files("sinks.clickhouse").joinpath("roles.sql").read_text(), re.MULTILINE
)


def grants(role: str) -> list[str]:
    """What `roles.sql` grants, in the form of an engine's file of users."""
    return [grant for grant, to in GRANTS if to == role]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[WarmFolder]:
    return WarmFolder(tmp_path)


async def write_trades(settings: Settings, *numbers: int) -> None:
    """As a sink that starts."""
    values = [json.dumps(trade(number)).encode() for number in numbers]
    await write(ClickHouseStore(settings), settings.topics.trades, values, first=numbers[0])


@pytest.mark.long
async def test_an_owner_migrates_a_writer_cannot_drop_and_a_reader_cannot_write(folder: WarmFolder) -> None:
    market = MarketKey("binance", "BTC-USDT")
    async with folder.serving(grants("writer")) as settings:
        with pytest.raises(CandlewickError, match="run candlewick migrate clickhouse as a user that may"):
            await ClickHouseStore(settings).open()
    async with folder.serving(grants("owner")) as settings:
        await SchemaKeeper(clickhouse_address(settings), "candlewick").bring_up_to_date()
    async with folder.serving(grants("writer")) as settings:
        await write_trades(settings, 1, 2)
        async with await connect(clickhouse_address(settings), database="candlewick") as client:
            for forbidden in (
                "DROP TABLE trades", "TRUNCATE TABLE trades", "ALTER TABLE trades DROP PARTITION 202311",
                "ALTER TABLE trades DELETE WHERE 1", "DROP DATABASE candlewick",
                "CREATE TABLE more (x Int8) ENGINE = Memory", "RENAME TABLE trades TO other",
                "ALTER TABLE trades DROP COLUMN qty",
            ):  # fmt: skip
                with pytest.raises(Exception, match="Not enough privileges"):
                    await client.command(forbidden)
    async with folder.serving(grants("reader"), readonly=2) as settings:
        async with await connect(clickhouse_address(settings), database="candlewick") as client:
            assert [one.trade_id for one in await warm.read_trades(client, market, limit=9)] == ["2", "1"]
            assert await warm.read_markets(client, most=9) == set()
        with pytest.raises(CandlewickError, match=r"refuses.*privileges") as refused:
            await write_trades(settings, 3)
        assert not isinstance(refused.value, UnavailableError)
    async with folder.serving(grants("writer"), readonly=1) as settings:
        with pytest.raises(CandlewickError, match="readonly") as refused:
            await write_trades(settings, 4)
        assert not isinstance(refused.value, UnavailableError)


AS_A_SERVER_SAYS_IT = (
    "Code: 516. DB::Exception: somebody: Authentication failed: password is incorrect, or there is no user with such "
    "name. (AUTHENTICATION_FAILED) (version 25.8.2.29 (official build))\n"
)


async def test_wrong_credentials_are_told_without_the_password(environment: dict[str, str]) -> None:
    async with answering(403, AS_A_SERVER_SAYS_IT, "somebody:secret@") as url:
        command = [sys.executable, "-m", "candlewick", "migrate", "clickhouse"]
        process = await asyncio.create_subprocess_exec(
            *command, env=environment | {"CANDLEWICK_CLICKHOUSE": url}, stderr=asyncio.subprocess.PIPE
        )
        _, told = await process.communicate()
    assert process.returncode == 1
    assert b"Authentication failed" in told
    assert b"check CANDLEWICK_CLICKHOUSE" in told
    assert b"secret" not in told


async def test_a_missing_database_is_told_to_a_reader(settings: Settings) -> None:
    with pytest.raises(CandlewickError, match=r"no such database.*CANDLEWICK_CLICKHOUSE_DATABASE"):
        await connect(clickhouse_address(settings), database="nowhere")


async def test_the_command_makes_the_tables_and_says_so(settings: Settings, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "candlewick", "migrate", "clickhouse"]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0
    assert f"of schema {SCHEMA_VERSION}" in said.decode()
    assert (await of_clickhouse(settings)).rows == 0
