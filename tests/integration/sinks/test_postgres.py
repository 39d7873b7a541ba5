"""What PostgreSQL has of its own: which version of a row stays, months, and databases that are not as they must be."""

import asyncio
import datetime as dt
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from eventually import eventually
from holdings import TARGETS, expected
from log import T0_US, candle, dead_letters, publish, record, trade
from own_servers import own_postgres
from pydantic import SecretStr
from records import BAR, SIGNAL
from written import Written, write

from candlewick.health.trouble import stale_offsets
from market.key import MarketKey
from market.partition import partition_of
from market.topics import Topics
from runtime.errors import CandlewickError, UnavailableError, UsageError
from runtime.kafka import TopicPartition
from runtime.settings import Settings, postgres_address
from sinks.postgres import migrate
from sinks.postgres import read as relational
from sinks.postgres.connect import Pool, connect, disconnect
from sinks.postgres.store import PostgresStore
from sinks.postgres.tables import TABLES
from sinks.runner import run_sink
from sinks.start import SinkStartError
from sinks.store import Batch

MARKET = MarketKey("binance", "BTC-USDT")
KEY = str(MARKET).encode()


@pytest.fixture
async def pool(with_postgres: Settings) -> Any:
    opened = await connect(postgres_address(with_postgres))
    yield opened
    await disconnect(opened)


def batch(store: PostgresStore, topic: str, told: Sequence[tuple[int, dict[str, Any], str | None]]) -> Batch:
    """Of (offset, value, run)."""
    tp = TopicPartition(topic, partition_of(KEY, store._partitions))
    records = [
        Written(offset, json.dumps(value).encode(), KEY, headers=[("run", run.encode())] if run else [])
        for offset, value, run in told
    ]
    encoded = store.encode(tp, records)
    assert not encoded.refused
    first, last = records[0].offset, records[-1].offset
    return Batch(
        tp=tp, first=first, last=last, next=last + 1, count=len(records), chunk=encoded.chunk, rows=encoded.rows
    )


async def once(settings: Settings) -> None:
    target = TARGETS["postgres"]
    await run_sink(settings, target.store(settings), target.config(), asyncio.Event())


TOLD: list[tuple[int, str, str | None, int]] = [  # id, price, run, microseconds later
    (1, "11", None, 0), (1, "12", None, 0),
    (2, "21", None, 0), (2, "22", None, 700_000),
    (3, "31", None, 0), (3, "32", "a", 500),
    (4, "41", None, 0), (4, "42", "a", 0), (4, "43", None, 0), (4, "44", "b", 0), (4, "45", None, 0),
    (5, "51", None, 0), (5, "52", "a", 0), (5, "53", "b", -700),
]  # fmt: skip
COUNTS = {"1": "11", "2": "21", "3": "32", "4": "44", "5": "53"}


@pytest.mark.parametrize("cuts", [(14,), (8, 14), tuple(range(1, 15))], ids=["at once", "in two", "one by one"])
async def test_the_copy_of_a_trade_that_counts_in_candles_stays_whoever_writes_last(
    with_postgres: Settings, pool: Pool, cuts: tuple[int, ...]
) -> None:
    store = PostgresStore(with_postgres)
    await store.open()
    told = [
        (offset, trade(number, price=price, time_us=T0_US + 1000 * number + later), run)
        for offset, (number, price, run, later) in enumerate(TOLD)
    ]
    parts = [told[start:end] for start, end in zip((0, *cuts), cuts, strict=False)]
    for part in (*parts, *reversed(parts)):
        await store.write([batch(store, with_postgres.topics.trades, part)])
    await store.close()
    held = await relational.read_trades(pool, MARKET, limit=100)
    assert {one.trade_id: f"{one.price:f}" for one in held} == COUNTS


async def test_a_paused_writer_that_wakes_up_after_its_successor_wrote_takes_nothing_back(
    with_postgres: Settings, pool: Pool
) -> None:
    topics = with_postgres.topics
    old, new = PostgresStore(with_postgres), PostgresStore(with_postgres)
    await old.open()
    await new.open()
    funding = {"exchange": "binance", "symbol": "BTC-USDT", "time_ms": 0, "rate": "0.0001"}
    instrument = {"exchange": "binance", "symbol": "BTC-USDT", "native": "BTCUSDT", "base": "BTC", "quote": "USDT"}
    paused = [
        batch(old, topics.trades, [(7, trade(1, price="2"), None), (8, trade(2, price="5"), "a")]),
        batch(old, topics.candles(), [(1, candle(0, 5, close="1"), None)]),
        batch(old, topics.funding, [(1, funding | {"kind": "expected"}, None)]),
        batch(old, topics.instruments, [(1, instrument | {"tick": "0.1"}, None)]),
        batch(old, topics.signals, [(1, SIGNAL, None), (2, SIGNAL | {"kind": "stale"}, None)]),
        batch(old, topics.bars, [(1, BAR, None), (2, BAR, "r1")]),
    ]
    after = [
        batch(new, topics.trades, [(3, trade(1, price="1"), None), (9, trade(2, price="6"), "b")]),
        batch(new, topics.candles(), [(2, candle(0, 6, close="2"), None)]),
        batch(new, topics.funding, [(2, funding | {"kind": "settled", "rate": "0.0002"}, None)]),
        batch(new, topics.instruments, [(2, instrument | {"tick": "0.01"}, None)]),
        batch(new, topics.signals, [(3, SIGNAL | {"revision": 3}, None), (4, SIGNAL | {"kind": "stale"}, None)]),
        batch(new, topics.signals, [(5, SIGNAL, None)]),
        batch(new, topics.bars, [(3, BAR | {"revision": 2, "late_trades": 1}, None)]),
    ]
    await new.write(after)
    await old.write(paused)
    await asyncio.gather(old.close(), new.close())
    assert [str(one.price) for one in await relational.read_trades(pool, MARKET, limit=9)] == ["6", "1"]
    assert [one.revision for one in await relational.read_candles(pool, MARKET, from_ms=0, until_ms=10**13)] == [6]
    assert tuple(await pool.fetchrow("SELECT rate, kind FROM funding")) == (Decimal("0.0002"), "settled")
    assert await pool.fetchval("SELECT tick FROM instruments") == Decimal("0.01")
    signals = await pool.fetch('SELECT revision, "offset" FROM signals ORDER BY kind')
    assert list(map(tuple, signals)) == [(3, 3), (2, 4)], "the greater revision, then the later word"
    bars = await pool.fetch("SELECT run, revision, late_trades FROM bars ORDER BY run")
    assert list(map(tuple, bars)) == [("", 2, 1), ("r1", 1, 0)]


async def test_every_topic_has_its_table(with_postgres: Settings, topics: Topics, pool: Pool) -> None:
    market = {"exchange": "binance", "symbol": "BTC-USDT"}
    window = {
        "minutes": 60, "open": "1", "high": "2", "low": "1", "close": "2", "change": "-1.5",
        "change_percent": "-50.1234", "vwap": None, "volume": "1", "quote_volume": "2", "taker_buy_volume": "1",
        "trades": 3, "status": "hole",
    }  # fmt: skip
    tickers = [
        {"time_ms": 60_000, "last": last, "live": False, "revision": revision, "windows": {"1h": window, "24h": window}}
        for last, revision in (("2", 5), ("3", 6))
    ]
    values: dict[str, list[dict[str, Any]]] = {
        topics.tickers: [market | one for one in tickers],
        topics.funding: [market | {"time_ms": 0, "rate": "-0.0001", "kind": kind} for kind in ("settled", "expected")],
        topics.feeds: [market | {"event": "connected", "at_ms": 1_700_000_000_123, "reason": 'a "b", \\N\n\\.\n'}],
        topics.instruments: [market | {"native": "BTCUSDT", "base": "BTC", "quote": "USDT", "lot": "0.001"}],
        topics.bars: [BAR, BAR | {"number": 2, "threshold": "1000000.50"}],
        topics.signals: [SIGNAL | {"values": {"a|b": "-0.5", 'x"y': "9" * 20}}, SIGNAL | {"other": None}],
    }  # fmt: skip
    for topic, told in values.items():
        await publish(with_postgres, topic, [record(one) for one in told])
    await once(with_postgres)
    ticker = await relational.read_ticker(pool, MARKET)
    assert ticker is not None
    assert (ticker.last, sorted(ticker.windows), ticker.windows["1h"].vwap) == (3, ["1h", "24h"], None)
    assert ticker.windows["24h"].change_percent == Decimal("-50.1234")
    [(rate, kind)] = await pool.fetch("SELECT rate, kind FROM funding")
    assert (rate, kind) == (Decimal("-0.0001"), "settled"), "what was paid is not replaced by what was expected"
    [(reason, first_id)] = await pool.fetch("SELECT reason, first_id FROM feeds")
    assert (reason, first_id) == ('a "b", \\N\n\\.\n', None)
    assert tuple(await pool.fetchrow("SELECT lot, tick FROM instruments")) == (Decimal("0.001"), None)
    bars = await pool.fetch("SELECT number, threshold, run, quote_volume, close_time FROM bars ORDER BY number")
    at = dt.datetime(1970, 1, 1, 0, 0, 0, 2, dt.UTC)
    assert list(map(tuple, bars)) == [(1, 1000000, "", 1000001, at), (2, Decimal("1000000.5"), "", 1000001, at)]
    signals = await pool.fetch('SELECT other, ("values"->>$1)::numeric, "values" FROM signals ORDER BY other', "a|b")
    assert [tuple(row)[:2] for row in signals] == [("", None), ("kraken:BTC-USDT", Decimal("-0.5"))]
    assert json.loads(signals[1]["values"]) == {"a|b": "-0.5", 'x"y': "9" * 20}


async def test_trades_of_one_time_whose_ids_are_no_numbers_stand_in_the_order_of_seq(
    with_postgres: Settings, pool: Pool
) -> None:
    ids = ["f7496ecb", "2089f1f4", "c6badf81", "b0000000"]
    same = [trade(0, trade_id=one, seq=seq) for seq, one in enumerate(ids, 1)]
    told = [json.dumps(one).encode() for one in [*reversed(same), trade(7, time_us=T0_US), trade(70, time_us=T0_US)]]
    await write(PostgresStore(with_postgres), with_postgres.topics.trades, told)
    held = await relational.read_trades(pool, MARKET, limit=9)
    assert [one.trade_id for one in held] == [*reversed(ids), "70", "7"]


async def test_sums_and_longer_candles_and_gaps_are_right(with_postgres: Settings, pool: Pool) -> None:
    widest = [trade(number, price="9999999999999", qty="1") for number in range(1000)]
    minutes = [candle(minute, 7 + minute) for minute in (0, 1, 2, 5, 6, 7, 8)]
    minutes[4] |= {"status": "hole"}
    store = PostgresStore(with_postgres)
    await write(store, with_postgres.topics.trades, [json.dumps(one).encode() for one in widest])
    await write(store, with_postgres.topics.candles(), [json.dumps(one).encode() for one in minutes])
    assert await pool.fetchval("SELECT sum(price * qty) FROM trades") == 9999999999999000
    assert await pool.fetchval("SELECT price::text FROM trades LIMIT 1") == "9999999999999"
    start = dt.datetime.fromtimestamp(minutes[0]["open_time_ms"] / 1000, dt.UTC)
    minute = dt.timedelta(minutes=1)
    gaps = await pool.fetch("SELECT from_time, until_time, minutes, kind FROM data_gaps ORDER BY from_time")
    assert [tuple(gap) for gap in gaps] == [
        (start + 3 * minute, start + 5 * minute, 2, "missing"),
        (start + 6 * minute, start + 7 * minute, 1, "hole"),
    ]
    sevens = "SELECT open_time, open, close, volume, minutes, not_complete FROM candles_of($1, $2, $3, $4, $5, $4)"
    held = await pool.fetch(sevens, 7 * minute, *MARKET, start, start + 60 * minute)
    assert [row["minutes"] for row in held] == [5, 2]
    assert (held[0]["open"], held[0]["close"]) == (1, Decimal(minutes[4]["close"]))
    assert held[0]["volume"] == 5 * Decimal(minutes[0]["volume"])
    assert [row["not_complete"] for row in held] == [1, 0]
    assert sum(row["minutes"] for row in await pool.fetch("SELECT minutes FROM candles_1h")) == 7


async def test_the_questions_of_the_page_on_stores_are_answered(with_postgres: Settings, pool: Pool) -> None:
    page = (Path(__file__).parents[3] / "docs" / "stores.md").read_text()
    store = PostgresStore(with_postgres)
    await write(store, with_postgres.topics.candles(), [json.dumps(candle(0, 7)).encode()])
    (block,) = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    questions = block.strip().split(";\n")
    assert len(questions) == 3
    for question in (*questions, "SELECT * FROM market_metrics"):
        await pool.fetch(question)
    for view in re.findall(r"^\| `(candles_\w+|data_gaps|market_metrics)`", page, re.MULTILINE):
        assert await pool.fetchval("SELECT count(*) FROM pg_class WHERE relname = $1", view) == 1


async def test_months_are_made_as_rows_come_and_again_where_one_was_dropped(
    with_postgres: Settings, topics: Topics, pool: Pool
) -> None:
    month_us = 31 * 86_400_000_000
    trades = [trade(number, time_us=T0_US + number * month_us) for number in range(3)]
    await publish(with_postgres, topics.trades, [record(one) for one in trades])
    store = PostgresStore(with_postgres)
    await store.open()
    told = [(offset, one, None) for offset, one in enumerate(trades)]
    await store.write([batch(store, topics.trades, told)])
    assert await months(pool) == ["trades_2023_11", "trades_2023_12", "trades_2024_01"]
    await pool.execute("DROP TABLE trades_2023_12")
    with pytest.raises(UnavailableError, match="a month was dropped"):
        await store.write([batch(store, topics.trades, told)])
    await store.write([batch(store, topics.trades, told)])  # as the runner does
    assert len(await relational.read_trades(pool, MARKET, limit=9)) == 3
    await store.close()


async def months(pool: Pool) -> list[str]:
    names = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'trades'::regclass ORDER BY 1"
    return [name for (name,) in await pool.fetch(names)]


async def test_trades_leave_by_whole_months_where_that_is_asked_for(with_postgres: Settings, pool: Pool) -> None:
    now_us = int(dt.datetime.now(dt.UTC).timestamp() * 1e6)
    keeping = with_postgres.model_copy(update={"postgres_keep_days": 40})
    trades = [trade(1), trade(2, time_us=now_us)]
    for settings, wanted in ((with_postgres, ["2", "1"]), (keeping, ["2"])):
        store = PostgresStore(settings)
        await write(store, settings.topics.trades, [json.dumps(trades[1]).encode()])
        if settings is with_postgres:
            await write(store, settings.topics.trades, [json.dumps(trades[0]).encode()])
        assert [one.trade_id for one in await relational.read_trades(pool, MARKET, limit=9)] == wanted
    await pool.execute("CREATE TABLE trades_rest PARTITION OF trades DEFAULT")  # one that somebody else made
    await write(PostgresStore(keeping), with_postgres.topics.trades, [json.dumps(trades[1]).encode()])
    await pool.execute("TRUNCATE trades")
    assert (await PostgresStore(keeping).identities())[keeping.topics.trades], "it may be empty by its age"
    assert (await PostgresStore(with_postgres).identities())[with_postgres.topics.trades] is None


@pytest.mark.usefixtures("longer_candles")
async def test_a_table_that_was_emptied_is_told(with_postgres: Settings, topics: Topics, pool: Pool) -> None:
    await publish(with_postgres, topics.trades, [record(trade(number)) for number in range(9)])
    await once(with_postgres)
    await pool.execute("TRUNCATE trades")
    with pytest.raises(SinkStartError, match="is empty now or was made anew"):
        await once(with_postgres)
    [told] = await stale_offsets(with_postgres)
    assert "sink.postgres" in told


async def test_rows_that_the_table_refuses_are_dead_letters(
    with_postgres: Settings, topics: Topics, pool: Pool
) -> None:
    await once(with_postgres)
    await pool.execute("ALTER TABLE trades ADD CONSTRAINT small CHECK (qty < 100)")
    trades = [trade(number, qty="1" if number < 30 else "100") for number in (1, 30, 2, 3, 31, 4)]
    placed = await publish(with_postgres, topics.trades, [record(one) for one in trades])
    await once(with_postgres)
    assert {one.trade_id for one in await relational.read_trades(pool, MARKET, limit=9)} == {"1", "2", "3", "4"}
    letters = await dead_letters(with_postgres, topics.trades)
    told = [int(dict(one.headers)["__streams.errors.offset"]) for one in letters]
    assert told == [placed[index][1] for index in (1, 4)]


async def test_a_text_that_no_postgres_can_hold_is_a_dead_letter(
    with_postgres: Settings, topics: Topics, pool: Pool
) -> None:
    event = {"exchange": "binance", "symbol": "BTC-USDT", "event": "connected", "at_ms": 1_700_000_000_123}
    events = [event | {"reason": reason} for reason in ("one", "a NUL: \0", "two")]
    placed = await publish(with_postgres, topics.feeds, [record(one) for one in events])
    await once(with_postgres)
    assert [reason for (reason,) in await pool.fetch("SELECT reason FROM feeds ORDER BY 1")] == ["one", "two"]
    [letter] = await dead_letters(with_postgres, topics.feeds)
    assert int(dict(letter.headers)["__streams.errors.offset"]) == placed[1][1]


async def test_many_at_once_make_the_schema_once(with_postgres: Settings, pool: Pool) -> None:
    stores = [PostgresStore(with_postgres) for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(store.close() for store in stores))
    newest = max(one.version for one in migrate.migrations())
    assert [tuple(row) for row in await pool.fetch("SELECT version FROM candlewick_store")] == [(newest,)]


async def test_a_later_version_brings_an_earlier_database_on(
    with_postgres: Settings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = migrate.migrations()
    earlier = [table for table in TABLES if table.name not in {"tickers", "signals", "bars"}]
    monkeypatch.setattr("sinks.postgres.store.migrations", lambda: [one for one in every if one.version == 1])
    monkeypatch.setattr("sinks.postgres.store.TABLES", earlier)
    await write(PostgresStore(with_postgres), with_postgres.topics.trades, [json.dumps(trade(1)).encode()])
    assert await pool.fetchval("SELECT to_regclass('data_gaps')") is None
    monkeypatch.setattr("sinks.postgres.store.migrations", lambda: every)
    monkeypatch.setattr("sinks.postgres.store.TABLES", TABLES)
    await write(PostgresStore(with_postgres), with_postgres.topics.trades, [json.dumps(trade(2)).encode()])
    assert await pool.fetchval("SELECT count(*) FROM data_gaps") == 0
    assert len(await relational.read_trades(pool, MARKET, limit=9)) == 2


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE candlewick_store SET version = 99", "schema version 99, and this program knows versions up to"),
        ("ALTER TABLE trades ALTER price TYPE numeric(9, 2)", r"its column price is numeric\(9,2\), and has to be num"),
        ("ALTER TABLE candles DROP revision", "table candles was altered by hand: its column revision is missing"),
        ("DROP TABLE funding", "table funding was altered by hand: its column exchange is missing"),
        ("ALTER DATABASE {} SET synchronous_commit = off", "synchronous_commit is off"),
    ],
)  # fmt: skip
async def test_a_database_that_is_not_as_it_should_be_is_told_at_the_start(
    with_postgres: Settings, pool: Pool, statement: str, sentence: str
) -> None:
    store = PostgresStore(with_postgres)
    await store.open()
    await store.close()
    await pool.execute(statement.format(urlsplit(postgres_address(with_postgres)).path.strip("/")))
    with pytest.raises(CandlewickError, match=sentence) as told:
        await store.open()
    assert type(told.value) is CandlewickError
    await store.close()


async def test_more_columns_do_no_harm(with_postgres: Settings, pool: Pool) -> None:
    store = PostgresStore(with_postgres)
    await store.open()
    await pool.execute("ALTER TABLE trades ADD COLUMN turnover numeric GENERATED ALWAYS AS (price * qty) STORED")
    await write(store, with_postgres.topics.trades, [json.dumps(trade(1)).encode()])
    assert await pool.fetchval("SELECT turnover FROM trades") == Decimal("27.0015")


async def test_a_user_who_may_only_read_is_told_and_nothing_is_lost(
    with_postgres: Settings, topics: Topics, pool: Pool
) -> None:
    await once(with_postgres)
    url = urlsplit(postgres_address(with_postgres))
    name = f"reader_{url.path.strip('/')}"
    await pool.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'reading'")
    try:
        await pool.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
        address = f"postgresql://{name}:reading@{url.hostname}:{url.port}{url.path}"
        reading = with_postgres.model_copy(update={"postgres": SecretStr(address)})
        await publish(with_postgres, topics.trades, [record(trade(1))])
        with pytest.raises(CandlewickError, match="permission denied for") as told:
            await once(reading)
        assert type(told.value) is CandlewickError
        await once(with_postgres)
        assert len(await relational.read_trades(pool, MARKET, limit=9)) == 1
    finally:
        await pool.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.mark.parametrize(
    ("wrong", "code", "sentence"),
    [
        ({"user": "nobody"}, 1, "refuses the user or password: check CANDLEWICK_POSTGRES"),
        ({"password": "wrong"}, 1, "refuses the user or password: check CANDLEWICK_POSTGRES"),
        ({"database": "elsewhere"}, 1, "has no database elsewhere: make it, or name another in CANDLEWICK_POSTGRES"),
        ({"database": ""}, 2, "CANDLEWICK_POSTGRES is no PostgreSQL URL"),
        ({"options": "?sslmode=maybe"}, 2, "CANDLEWICK_POSTGRES: "),
    ],
)
@pytest.mark.usefixtures("topics")
def test_a_wrong_address_is_told_in_one_sentence_with_its_exit_code(
    with_postgres: Settings, environment: dict[str, str], wrong: dict[str, str], code: int, sentence: str
) -> None:
    url = urlsplit(postgres_address(with_postgres))
    right = {"user": url.username, "password": url.password, "database": url.path.strip("/"), "options": ""}
    part = right | wrong
    address = (
        f"postgresql://{part['user']}:{part['password']}@{url.hostname}:{url.port}/{part['database']}{part['options']}"
    )
    done = subprocess.run(
        [sys.executable, "-m", "candlewick", "sink", "postgres", "--once"],
        env=os.environ | environment | {"CANDLEWICK_POSTGRES": address},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert part["password"] not in done.stderr


def test_no_address_is_told_with_both_ways_on(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"home": settings.home / "none"})
    with pytest.raises(UsageError, match=r"candlewick stack up --with postgres\) or set CANDLEWICK_POSTGRES"):
        PostgresStore(nowhere)


async def test_a_server_that_is_away_is_waited_for(with_postgres: Settings) -> None:
    url = urlsplit(postgres_address(with_postgres))
    away = url._replace(netloc=f"{url.username}:{url.password}@{url.hostname}:1").geturl()
    with pytest.raises(UnavailableError, match="is away"):
        await PostgresStore(with_postgres.model_copy(update={"postgres": SecretStr(away)})).open()


async def test_a_connection_that_is_cut_in_a_write_changes_nothing(with_postgres: Settings, pool: Pool) -> None:
    store = PostgresStore(with_postgres)
    await store.open()
    await pool.execute("CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS "
                       "$$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN new; END$$")  # fmt: skip
    part = batch(store, with_postgres.topics.trades, [(offset, trade(offset), None) for offset in range(9)])
    await pool.execute("CREATE TRIGGER leave AFTER INSERT ON trades EXECUTE FUNCTION leave()")
    with pytest.raises(UnavailableError):
        await store.write([part])
    await pool.execute("DROP TRIGGER leave ON trades")
    assert await relational.read_trades(pool, MARKET, limit=9) == []
    await store.write([part])
    assert len(await relational.read_trades(pool, MARKET, limit=99)) == 9
    await store.close()


def test_the_client_s_errors_keep_their_states() -> None:
    """Ours are told by these numbers."""
    assert asyncpg.DiskFullError.sqlstate.startswith("53")
    assert asyncpg.AdminShutdownError.sqlstate.startswith("57")


async def test_a_server_that_is_killed_only_delays_and_keeps_what_it_acknowledged(
    settings: Settings, topics: Topics, tmp_path: Path
) -> None:
    server = await asyncio.to_thread(own_postgres, tmp_path)
    own = settings.model_copy(update={"postgres": SecretStr(server.url)})
    target, stop = TARGETS["postgres"], asyncio.Event()
    trades = [trade(number) for number in range(900)]

    async def holds(count: int) -> bool:
        try:
            return len((await target.held(own)).trades) == count
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):  # away, or its tables not there yet
            return False

    await publish(own, topics.trades, [record(one) for one in trades[:300]])
    sink = asyncio.create_task(run_sink(own, target.store(own), target.config(once=False), stop))  # it is not there yet
    try:
        await server.start()
        await eventually(lambda: holds(300), timeout_s=60)
        for end in (600, 900):
            sending = asyncio.create_task(publish(own, topics.trades, [record(one) for one in trades[end - 300 : end]]))
            server.kill()
            await sending
            await server.start()
            await eventually(lambda end=end: holds(end), timeout_s=60)
        held = await target.held(own)
    finally:
        server.kill()
        stop.set()
        await sink
    assert held.trades == expected(trades, []).trades
    assert held.rows == 900
