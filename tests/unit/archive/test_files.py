"""What files say of themselves, and rows, lines and columns as trades."""

import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from market.codec import decode_trade
from market.errors import MalformedError
from market.trade import Side, Source, Trade
from producers.archive import lines as lines_module
from producers.archive.binance import kind_of_header, row_parser
from producers.archive.dump import Kind, is_symbol, read_name, split_native
from producers.archive.lines import read_lines
from producers.archive.recording import Described, Format, Market, open_recordings
from runtime.errors import UsageError

DATA = Path(__file__).parents[2] / "data"


def utc_us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("name", "native", "kind", "first", "end"),
    [
        ("XRPETH-aggTrades-2019-10-11.csv", "XRPETH", Kind.AGG_TRADES, "2019-10-11", "2019-10-12"),
        ("BTCUSDT-trades-2021-01-08.zip", "BTCUSDT", Kind.TRADES, "2021-01-08", "2021-01-09"),
        ("BTCUSDT-trades-2024-02.zip", "BTCUSDT", Kind.TRADES, "2024-02-01", "2024-03-01"),
        ("BTCUSDT-trades-2023-12.csv", "BTCUSDT", Kind.TRADES, "2023-12-01", "2024-01-01"),
    ],
)
def test_a_dumps_name_tells_market_kind_and_time(name: str, native: str, kind: Kind, first: str, end: str) -> None:
    found = read_name(name)
    assert found is not None
    assert (found.native, found.kind) == (native, kind)
    assert found.span == (utc_us(first), utc_us(end))


@pytest.mark.parametrize("name", ["trades.csv", "BTCUSDT-trades-2021-13-45.csv", "BTCUSDT-klines-2021-01-08.csv"])
def test_other_names_tell_nothing(name: str) -> None:
    assert read_name(name) is None


@pytest.mark.parametrize(
    ("native", "symbol"),
    [("XRPETH", "XRP-ETH"), ("BTCFDUSD", "BTC-FDUSD"), ("USDT", None), ("BTCUSDT_210326", None), ("ABCXYZ", None)],
)
def test_a_native_name_is_split_only_where_one_common_quote_ends_it(native: str, symbol: str | None) -> None:
    assert split_native(native) == symbol


@pytest.mark.parametrize(
    ("symbol", "right"),
    [("XRP-ETH", True), ("BTC-USDT-PERP", True), ("xrp-eth", False), ("XRPETH", False), ("A-B|C", False), ("", False)],
)
def test_symbols_have_one_form(symbol: str, right: bool) -> None:  # noqa: FBT001  # a case of the table
    assert is_symbol(symbol) is right


@pytest.mark.parametrize(
    ("kind", "perpetual", "line", "expected"),
    [
        (
            Kind.TRADES, False, b"553287559,39432.48000000,0.00026300,10.37074224,1610064000278,True,True",
            ("553287559", "39432.48", "0.000263", Side.SELL, 1610064000278000),
        ),
        (
            Kind.AGG_TRADES, False, b"13519807,0.00141342,23.00000000,15373518,15373518,1570752011620,False,True",
            ("13519807", "0.00141342", "23", Side.BUY, 1570752011620000),
        ),
        (  # microseconds, floored as the streams and older dumps give them
            Kind.TRADES, False, b"4,1.5,2,3.0,1735689600123999,true,true",
            ("4", "1.5", "2", Side.SELL, 1735689600123000),
        ),
        (Kind.TRADES, True, b"4,1.5,2,3.0,1610064000278,false", ("4", "1.5", "2", Side.BUY, 1610064000278000)),
        (Kind.AGG_TRADES, True, b"4,1.5,2,8,9,1610064000278,true", ("4", "1.5", "2", Side.SELL, 1610064000278000)),
    ],
)  # fmt: skip
def test_a_row_of_each_layout(kind: Kind, perpetual: bool, line: bytes, expected: tuple[object, ...]) -> None:  # noqa: FBT001
    trade = row_parser("x", "A-B", kind, perpetual=perpetual)(line)
    assert (trade.trade_id, str(trade.price.normalize()), str(trade.qty.normalize()), trade.side, trade.time_us) == (
        expected
    )
    assert (trade.exchange, trade.symbol, trade.source) == ("x", "A-B", Source.ARCHIVE)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1,2,3,4,1610064000278,True", "6 columns where trades of spot have 7"),
        (b"1,abc,3,4,1610064000278,True,True", "price is 'abc'"),
        (b"1,NaN,3,4,1610064000278,True,True", "price is 'NaN'"),
        (b"1,1e5,3,4,1610064000278,True,True", "price is '1e5'"),
        (b"1,-1,3,4,1610064000278,True,True", "price is '-1'"),
        (b"x1,1,3,4,1610064000278,True,True", "id is 'x1'"),
        (b"1,1,3,4,1610064000,True,True", "time is '1610064000'"),
        (b"1,1,3,4,1000000000000,True,True", "before 2009"),
        (b"1,1,3,4,1610064000278,1,True", "isBuyerMaker is '1'"),
        (b"1,1,\xff,4,1610064000278,True,True", "qty is"),
    ],
)
def test_a_broken_row_says_what_is_wrong(line: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        row_parser("x", "A-B", Kind.TRADES, perpetual=False)(line)


def test_a_header_tells_the_kind_and_a_row_is_no_header() -> None:
    assert kind_of_header(b"agg_trade_id,price,quantity,first_trade_id") is Kind.AGG_TRADES
    assert kind_of_header(b"id,price,qty,quote_qty,time,is_buyer_maker") is Kind.TRADES
    assert kind_of_header(b"553287559,39432.48") is None
    assert kind_of_header(b"brokenrow,39432.48") is None


def trades_in(*paths: Path, described: Described | None = None) -> list[Trade]:
    recordings = open_recordings(paths, described or Described())
    return [
        recording.parse(line) for recording in recordings for chunk in recording.read() for line in chunk.lines if line
    ]


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64 * 1024])
def test_lines_do_not_depend_on_how_a_file_is_read(
    chunk_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "CHUNK_BYTES", chunk_bytes)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\ntwo\nlast without end")
    chunks = list(read_lines(path))
    numbered = [(chunk.first + at, line) for chunk in chunks for at, line in enumerate(chunk.lines)]
    if chunk_bytes > 2:  # a mark of byte order in pieces is no use case
        assert numbered == [(1, b"one"), (2, b""), (3, b"two"), (4, b"last without end")]
    else:
        assert [number for number, _ in numbered] == [1, 2, 3, 4]


def test_plain_zipped_and_headed_dumps_hold_the_same_trades(tmp_path: Path) -> None:
    plain = DATA / "XRPETH-aggTrades-2019-10-11.csv"
    headed = tmp_path / plain.name
    headed.write_bytes(b"agg_trade_id,price,quantity,f,l,transact_time,is_buyer_maker,best\n" + plain.read_bytes())
    zipped = tmp_path / "XRPETH-aggTrades-2019-10-11.zip"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(plain, plain.name)
    expected = trades_in(plain)
    assert len(expected) == 5929
    assert trades_in(headed) == expected
    assert trades_in(zipped) == expected


@pytest.mark.parametrize(
    ("symbol", "kind", "key"),
    [
        ("BTC-USDT", Kind.TRADES, "binance:BTC-USDT"),
        ("BTC-USDT", Kind.AGG_TRADES, "binance-agg:BTC-USDT"),
        ("BTC-USDT-PERP", Kind.AGG_TRADES, "binance:BTC-USDT-PERP"),
        ("BTC-USDT-PERP", Kind.TRADES, "binance-trades:BTC-USDT-PERP"),
    ],
)
def test_each_kind_of_a_market_has_an_id_space_of_its_own(symbol: str, kind: Kind, key: str, tmp_path: Path) -> None:
    path = tmp_path / f"BTCUSDT-{kind}-2021-01-08.csv"
    aggregate = b"5,6," if kind is Kind.AGG_TRADES else b"4,"
    best = b"" if symbol.endswith("PERP") else b",true"
    path.write_bytes(b"1,2,3," + aggregate + b"1610064000278,true" + best + b"\n")
    assert [trade.key for trade in trades_in(path, described=Described(symbol=symbol, exchange="binance"))] == [key]


OWN = {
    "exchange": "kraken", "symbol": "XBT-EUR", "trade_id": "a-1", "price": "27000.10", "qty": "1", "side": "buy",
    "time_us": 1610064000278123, "received_us": 5, "source": "ws",
}  # fmt: skip


def test_own_json_lines_keep_everything_but_where_they_were_read(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(orjson.dumps(OWN) + b"\n")
    (trade,) = trades_in(path)
    assert trade == decode_trade(orjson.dumps(OWN | {"source": "archive"}))


@pytest.mark.parametrize("cold", [True, False])
def test_parquet_with_columns_of_a_trade_or_of_the_cold_store(cold: bool, tmp_path: Path) -> None:  # noqa: FBT001
    path = tmp_path / "own.parquet"
    columns: dict[str, pa.Array] = {name: pa.array([OWN[name]]) for name in ("exchange", "symbol", "trade_id", "side")}
    if cold:
        columns |= {name: pa.array([Decimal(str(OWN[name]))], pa.decimal128(38, 18)) for name in ("price", "qty")}
        columns |= {"time": pa.array([OWN["time_us"]], pa.timestamp("us", tz="UTC")), "run": pa.array(["r"])}
    else:
        columns |= {name: pa.array([OWN[name]]) for name in ("price", "qty", "time_us", "received_us")}
    pq.write_table(pa.table(columns), path)
    (trade,) = trades_in(path)
    expected = decode_trade(orjson.dumps(OWN | {"source": "archive", "received_us": 0 if cold else 5}))
    assert trade == expected


def test_parquet_that_is_not_exact_or_holds_no_trades_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {name: pa.array(["1"]) for name in ("exchange", "symbol", "trade_id", "side", "qty")}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(UsageError, match="the column price, time_us or time is missing"):
        trades_in(path)
    pq.write_table(pa.table(columns | {"price": pa.array([1.5]), "time_us": pa.array([1])}), path)
    with pytest.raises(UsageError, match="price is a float"):
        trades_in(path)
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(UsageError, match="not a whole Parquet file"):
        trades_in(path)


@pytest.mark.parametrize(
    ("name", "content", "described", "reason"),
    [
        ("a.txt", b"", Described(), "--format"),
        ("a.csv", b"1,2,3,4,5,6,7\n", Described(symbol="A-B"), "--kind"),
        ("a.csv", b"id,price\n", Described(), "--symbol"),
        ("ABCXYZ-trades-2021-01-08.csv", b"", Described(), "--symbol"),
        ("BTCUSDT-trades-2021-01-08.csv", b"", Described(symbol="ETH-USDT"), "is of BTCUSDT, not of ETH-USDT"),
        ("BTCUSDT-trades-2021-01-08.csv", b"", Described(symbol="btcusdt"), "not BASE-QUOTE"),
        ("BTCUSDT-trades-2021-01-08.csv", b"", Described(kind=Kind.AGG_TRADES), "--kind"),
        ("BTCUSDT-trades-2021-01-08.csv", b"", Described(exchange="a:b"), "--exchange"),
        ("a.zip", b"PK no zip", Described(symbol="A-B", kind=Kind.TRADES), "not a whole zip"),
        ("b.jsonl", b"x" * 200_000, Described(format=Format.JSONL), "line 1 is longer than"),
    ],
)
def test_what_is_not_clear_is_asked_for(
    name: str, content: bytes, described: Described, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        trades_in(path, described=described)


def test_a_missing_file_and_a_zip_of_two_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a file"):
        trades_in(tmp_path / "gone.csv")
    two = tmp_path / "BTCUSDT-trades-2021-01-08.zip"
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a.csv", "")
        archive.writestr("b.csv", "")
    with pytest.raises(UsageError, match="holds 2 files"):
        trades_in(two)


def test_a_zip_that_expands_without_measure_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades-2021-01-08.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"\n" * 10_000_000)
    with pytest.raises(UsageError, match="expands more than"):
        trades_in(path)


def test_a_zip_that_is_cut_short_is_told(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades-2021-01-08.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "1,2,3,4,1610064000278,True,True\n" * 100)
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a whole zip"):
        trades_in(path)


def test_a_market_is_given_or_the_only_one() -> None:
    one, other = decode_trade(orjson.dumps(OWN)), decode_trade(orjson.dumps(OWN | {"symbol": "ETH-EUR"}))
    given = Market("kraken", "ETH-EUR")
    assert [given.holds(one), given.holds(other)] == [False, True]
    assert (given.key, given.others) == ("kraken:ETH-EUR", 1)
    open_market = Market()
    assert open_market.holds(one)
    with pytest.raises(UsageError, match="--exchange and --symbol"):
        open_market.holds(other)
