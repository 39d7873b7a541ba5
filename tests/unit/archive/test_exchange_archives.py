"""The public archives of OKX and Bybit, through the readings of an import. Their files are made here, as documented."""

import asyncio
import gzip
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest

from market.candle import Status
from market.errors import MalformedError
from market.trade import Side, Source, Trade
from producers.archive.bybit import bybit_columns, bybit_native, bybit_row_parser, bybit_symbol, read_bybit_name
from producers.archive.dump import DumpKind, DumpPeriod
from producers.archive.okx import okx_columns, okx_row_parser, read_okx_name
from producers.archive.reading import Content, Surveyed, read_rows, survey_rows
from producers.archive.recording import Described, Format, Recording, market_of, open_recordings
from runtime.errors import UsageError

HOUR_US = 3_600_000_000
# 2022-03-01 in UTC+8, and 2026-08-22 in UTC.
OKX_DAY = DumpPeriod(1_646_064_000_000_000, 1_646_064_000_000_000 + 24 * HOUR_US)
BYBIT_DAY = DumpPeriod(1_787_356_800_000_000, 1_787_356_800_000_000 + 24 * HOUR_US)

CHINESE = "trade_id/交易ID,side/交易方向,size/数量,price/价格,created_time/成交时间".encode("gbk")
OLD_ROWS = b"""
304200001,buy,0.00044782999999999997,43201.5,1646064000012
304200001,buy,0.00044782999999999997,43201.5,1646064000012
304200002,sell,1e-05,43201.4,1646064060999
304200003,buy,2,43201.4,1646150399999
""".strip()
NEW = b"""instrument_name,trade_id,side,price,size,created_time,source
BTC-USDT,465953984,buy,104933.5,0.00044783,1737331200000,0
BTC-USDT,465953985,sell,104933.4,0.5,1737331200000,1
"""
BYBIT = b"""timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional,RPI
1787356800.2296,BTCUSDT,Sell,0.001,78307.50,ZeroMinusTick,48a44029-0000-5000-8000-000000000001,7.83075e+09,0.001,78.3075,0
1787356800.2299,BTCUSDT,Buy,0.002,78307.60,PlusTick,48a44029-0000-5000-8000-000000000000,1.5661519999999998e+10,0.002,156.6152,1
1787356801,BTCUSDT,Buy,1,78308,PlusTick,48a44029-0000-5000-8000-000000000002,7.8308e+12,1,78308,0
"""


def zipped(folder: Path, name: str, content: bytes) -> Path:
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.csv", content)
    return path


def gzipped(folder: Path, name: str, content: bytes) -> Path:
    path = folder / f"{name}.csv.gz"
    path.write_bytes(gzip.compress(content))
    return path


async def read(path: Path, described: Described | None = None) -> tuple[Recording, Surveyed, list[Trade]]:
    """Both readings of a file: the recording, what the first tells, and the trades of the second."""
    described = described or Described()
    (recording,) = open_recordings([path], described)
    stop, market = asyncio.Event(), market_of(described, [recording])
    surveyed = await survey_rows(recording, market, skip_bad=False, watch=lambda *_: None, stop=stop)
    chunks = [rows async for rows in read_rows(recording, market, Content(surveyed.content), stop)]
    return recording, surveyed, [trade for rows in chunks for trade in rows.trades]


async def test_a_file_of_okx_with_a_chinese_header_is_read(tmp_path: Path) -> None:
    path = zipped(tmp_path, "BTC-USDT-trades-2022-03-01", CHINESE + b"\r\n" + OLD_ROWS.replace(b"\n", b"\r\n"))
    recording, surveyed, trades = await read(path)
    assert recording.span == OKX_DAY, "a day of UTC+8"
    assert trades[0] == Trade(
        exchange="okx",
        symbol="BTC-USDT",
        trade_id="304200001",
        price=Decimal("43201.5"),
        qty=Decimal("0.00044783"),  # what is left of a binary fraction is rounded
        side=Side.BUY,
        time_us=1646064000012_000,
        source=Source.ARCHIVE,
    )
    assert [(trade.trade_id, trade.qty, trade.seq) for trade in trades[1:]] == [
        ("304200001", Decimal("0.00044783"), None),
        ("304200002", Decimal("0.00001"), None),
        ("304200003", Decimal(2), None),
    ]
    assert (surveyed.survey.rows.repeated, surveyed.survey.rows.conflicts.count) == (1, 0)
    first_us, last_us = surveyed.survey.first_us, surveyed.survey.newest_us
    assert OKX_DAY.from_us <= first_us <= last_us < OKX_DAY.until_us


async def test_a_file_of_okx_that_names_its_instrument_is_read(tmp_path: Path) -> None:
    for content in (NEW, NEW.replace(b",source", b"").replace(b",0\n", b"\n").replace(b",1\n", b"\n")):
        _, _, trades = await read(zipped(tmp_path, "BTC-USDT-trades-2025-01-20", content))
        assert [(trade.trade_id, trade.side, trade.price, trade.qty) for trade in trades] == [
            ("465953984", Side.BUY, Decimal("104933.5"), Decimal("0.00044783")),
            ("465953985", Side.SELL, Decimal("104933.4"), Decimal("0.5")),
        ]


async def test_joined_fills_of_okx_are_another_id_space(tmp_path: Path) -> None:
    _, _, trades = await read(zipped(tmp_path, "BTC-USDT-aggtrades-2025-01-20", NEW))
    assert {trade.exchange for trade in trades} == {"okx-agg"}
    renamed = zipped(tmp_path, "mine", NEW)
    described = Described(format=Format.OKX_CSV, symbol="BTC-USDT", kind=DumpKind.TRADES)
    recording, _, trades = await read(renamed, described)
    assert ({trade.exchange for trade in trades}, recording.span) == ({"okx"}, None)


async def test_sizes_in_a_file_of_a_swap_are_contracts(tmp_path: Path) -> None:
    content = NEW.replace(b"BTC-USDT,", b"BTC-USDT-SWAP,")
    path = zipped(tmp_path, "BTC-USDT-SWAP-trades-2025-01-20", content)
    for described in (Described(contract=Decimal("0.01")), Described(contract=Decimal("0.01"), symbol="BTC-USDT-PERP")):
        _, _, trades = await read(path, described)
        assert [(trade.key, trade.trade_id, trade.qty) for trade in trades] == [
            ("okx:BTC-USDT-PERP", "465953984", Decimal("0.0000044783")),
            ("okx:BTC-USDT-PERP", "465953985", Decimal("0.005")),
        ]


@pytest.mark.parametrize(
    ("name", "described", "words"),
    [
        ("BTC-USDT-SWAP-trades-2025-01-20", Described(), "it does not tell how much one is: say --contract"),
        ("BTC-USD-SWAP-trades-2025-01-20", Described(), "of OKX's files only those of spot"),
        ("BTC-USDT-trades-2025-01-20", Described(contract=Decimal(2)), "sizes of spot are in coins"),
        ("BTC-USDT-SWAP-trades-2025-01-20", Described(contract=Decimal("1e-19")), "cannot be the size of a contract"),
        ("BTC-USDT-250926-trades-2025-01-20", Described(), "of OKX's files only those of spot"),
        ("BTC-USDT-SWAP-trades-2025-01-20", Described(symbol="BTC-USDT"), "is of BTC-USDT-SWAP, not of BTC-USDT"),
        ("BTC-USDT-trades-2025-01-20", Described(kind=DumpKind.AGG_TRADES), "its name says trades"),
        ("mine", Described(format=Format.OKX_CSV), "say --symbol"),
        ("mine", Described(format=Format.OKX_CSV, symbol="BTC-USDT"), "say --kind trades or --kind aggTrades"),
    ],
)
def test_what_cannot_be_read_of_okx_is_refused_in_words(
    name: str, described: Described, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        open_recordings([zipped(tmp_path, name, NEW)], described)


def test_a_file_of_okx_without_its_header_is_refused(tmp_path: Path) -> None:
    for content in (OLD_ROWS, b"", b"instrument_name,trade_id,side,price,size\n", CHINESE + b",side/x\n"):
        path = zipped(tmp_path, "BTC-USDT-trades-2025-01-20", content)
        with pytest.raises(UsageError, match="does not name trade_id, side, price, size, created_time"):
            open_recordings([path], Described())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"BTC-USDT,1,buy,1,1,1737331200000", "6 columns where such a file has 7"),
        (b"ETH-USDT,1,buy,1,1,1737331200000,0", "a row of ETH-USDT in a file of BTC-USDT"),
        (b"BTC-USDT,x,buy,1,1,1737331200000,0", "trade_id is 'x'"),
        (b"BTC-USDT,01,buy,1,1,1737331200000,0", "trade_id is '01'"),
        (b"BTC-USDT,1,Buy,1,1,1737331200000,0", "side is 'Buy'"),
        (b"BTC-USDT,1,buy,-1,1,1737331200000,0", "price is '-1'"),
        (b"BTC-USDT,1,buy,NaN,1,1737331200000,0", "price is 'NaN'"),
        (b"BTC-USDT,1,buy,1,0.0,1737331200000,0", "qty is 0"),
        (b"BTC-USDT,1,buy,1,1e99,1737331200000,0", "qty"),
        (b"BTC-USDT,1,buy,1,1e-99,1737331200000,0", "qty"),
        (b"BTC-USDT,1,buy,1,1e999,1737331200000,0", "size is '1e999'"),
        (b"BTC-USDT,1,buy,1,1,1737331200,0", "created_time is '1737331200'"),
        (b"BTC-USDT,1,buy,1,1,1737331200000.5,0", "created_time is"),
    ],
)
def test_a_broken_row_of_okx_says_what_is_wrong(line: bytes, words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        okx_row_parser("okx", "BTC-USDT", okx_columns(NEW.splitlines()[0]))(line)


@pytest.mark.parametrize(
    ("size", "qty"),
    [
        ("0.123456789012345", "0.123456789012345"),  # fifteen digits are told
        ("0.1234567890123456", "0.123456789012346"),
        ("123456789012345.000000", "123456789012345"),
        ("0.30000000000000004", "0.3"),
        ("1.5E+3", "1500"),
    ],
)
def test_only_what_a_binary_fraction_leaves_is_rounded(size: str, qty: str) -> None:
    line = f"BTC-USDT,1,buy,0.001,{size},1737331200000,0"
    trade = okx_row_parser("okx", "BTC-USDT", okx_columns(NEW.splitlines()[0]))(line.encode())
    assert trade.qty == Decimal(qty)


def test_names_of_okx() -> None:
    month = read_okx_name("BTC-USDT-trades-2024-02.zip")
    assert month is not None
    assert (month.native, month.kind) == ("BTC-USDT", DumpKind.TRADES)
    assert month.span.until_us - month.span.from_us == 29 * 24 * HOUR_US
    assert month.span.from_us == 1_706_716_800_000_000, "2024-01-31 16:00 UTC"
    for name in (
        "BTCUSDT-trades-2024-02-01.zip",
        "BTC-USDT-trades-2024-02-30.zip",
        "BTC-USDT-candlesticks-2024-02.zip",
    ):
        assert read_okx_name(name) is None


async def test_a_file_of_bybit_is_read_with_texts_as_ids_numbered_by_row(tmp_path: Path) -> None:
    for content in (BYBIT, BYBIT.replace(b",RPI", b"").replace(b",0\n", b"\n").replace(b"2,1\n", b"2\n")):
        recording, surveyed, trades = await read(gzipped(tmp_path, "BTCUSDT2026-08-22", content))
        assert recording.span == BYBIT_DAY
        assert trades[0] == Trade(
            exchange="bybit",
            symbol="BTC-USDT-PERP",
            trade_id="48a44029-0000-5000-8000-000000000001",
            price=Decimal("78307.5"),
            qty=Decimal("0.001"),
            side=Side.SELL,
            time_us=1787356800229_000,  # floored to milliseconds, as streams give it
            source=Source.ARCHIVE,
            seq=0,
        )
        assert [(trade.side, trade.time_us, trade.seq) for trade in trades[1:]] == [
            (Side.BUY, 1787356800229_000, 1), (Side.BUY, 1787356801000_000, 0),
        ]  # fmt: skip
        claims = surveyed.survey.claims(BYBIT_DAY)
        assert set(claims.values()) == {Status.CONNECTED}
        assert len(claims) == 24 * 60


@pytest.mark.parametrize(
    ("name", "content", "described", "words"),
    [
        ("BTCUSD2026-08-22", BYBIT, Described(), "only those of linear perpetuals"),
        ("mine", BYBIT, Described(format=Format.BYBIT_CSV, symbol="BTC-USDT"), "only those of linear perpetuals"),
        ("mine", BYBIT, Described(format=Format.BYBIT_CSV), "say --symbol"),
        ("BTCUSDT2026-08-22", BYBIT, Described(symbol="BTC-USDC-PERP"), "is of BTCUSDT, not of BTC-USDC-PERP"),
        ("BTCUSDT2026-08-22", BYBIT, Described(kind=DumpKind.AGG_TRADES), "Bybit has no files of aggTrades"),
        (
            "BTCUSDT_2025-05-19", b"id,timestamp,price,volume,side,rpi\n1,1747612800074,106453.8,0.003718,sell,0\n",
            Described(format=Format.BYBIT_CSV, symbol="BTC-USDT-PERP"), "do not tell the ids of trades",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_of_bybit_is_refused_in_words(
    name: str, content: bytes, described: Described, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        open_recordings([gzipped(tmp_path, name, content)], described)


def test_a_spot_file_of_bybit_is_not_taken_for_one_of_binance(tmp_path: Path) -> None:
    rows = b"id,timestamp,price,volume,side,rpi\n1,1747612800074,106453.8,0.003718,sell,0\n"
    with pytest.raises(UsageError, match=r"the header .* is not that of trades of spot"):
        open_recordings([gzipped(tmp_path, "BTCUSDT_2025-05-19", rows)], Described(symbol="BTC-USDT"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((b"BTCUSDT", b"ETHUSDT"), "a row of ETHUSDT in a file of BTCUSDT"),
        ((b"Sell", b"sell"), "side is 'sell'"),
        ((b"0.001,78307", b"1e-3,78307"), "size is '1e-3'"),
        ((b"78307.50", b"0"), "price is 0"),
        ((b"78307.50", b"-1"), "price is '-1'"),
        ((b"1787356800.2296", b"1787356800229"), "timestamp is '1787356800229'"),
        ((b"1787356800.2296", b"1000000000.5"), "before 2009"),
        ((b"48a44029-0000-5000-8000-000000000001", b""), "trdMatchID is ''"),
        ((b",0.001,78.3075,0", b""), "8 columns where such a file has 11"),
    ],
)
def test_a_broken_row_of_bybit_says_what_is_wrong(change: tuple[bytes, bytes], words: str) -> None:
    header, line, *_ = BYBIT.splitlines()
    with pytest.raises(MalformedError, match=words):
        bybit_row_parser("bybit", "BTC-USDT-PERP", bybit_columns(header))(line.replace(*change))


@pytest.mark.parametrize(
    ("native", "symbol"),
    [("BTCUSDT", "BTC-USDT-PERP"), ("1000PEPEUSDT", "1000PEPE-USDT-PERP"), ("BTCPERP", "BTC-USDC-PERP")],
)
def test_linear_perpetuals_of_bybit_are_named_both_ways(native: str, symbol: str) -> None:
    assert bybit_symbol(native) == symbol
    assert bybit_native(symbol) == native
    named = read_bybit_name(f"{native}2024-02-29.csv.gz")
    assert named is not None
    assert named.native == native


def test_other_products_of_bybit_have_no_symbol() -> None:
    for native in ("BTCUSD", "USDT", "PERP", "BTC-29MAR24"):
        assert bybit_symbol(native) is None
    for symbol in ("BTC-USDT", "BTC-USD-PERP", "BTC-USDT-240628"):
        assert bybit_native(symbol) is None
    for name in ("BTCUSDT-2024-02-29.csv.gz", "BTCUSDT2024-02-30.csv.gz", "BTCUSDH242024-02-29.csv.gz"):
        assert read_bybit_name(name) is None
