"""What files say of themselves, and rows, lines and columns as trades."""

import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cold_rows import files, record

from market.codec import decode_trade
from market.errors import MalformedError
from market.trade import Side, Source, Trade
from producers.archive import lines as lines_module
from producers.archive.binance import columns_of, kind_of_header, row_parser
from producers.archive.dump import DumpKind, Product
from producers.archive.lines import read_lines
from producers.archive.recording import Described, Format, RecordedMarket, open_recordings
from runtime.errors import UsageError
from sinks.parquet.files import parquet_bytes
from sinks.parquet.schema import TRADES

DATA = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize(
    ("kind", "product", "line", "expected"),
    [
        (
            DumpKind.TRADES, Product.SPOT, b"553287559,39432.48000000,0.00026300,10.37074224,1610064000278,True,True",
            ("553287559", "39432.48", "0.000263", Side.SELL, 1610064000278000),
        ),
        (
            DumpKind.AGG_TRADES, Product.SPOT,
            b"13519807,0.00141342,23.00000000,15373518,15373518,1570752011620,False,True",
            ("13519807", "0.00141342", "23", Side.BUY, 1570752011620000),
        ),
        (  # microseconds, floored as the streams and older dumps give them
            DumpKind.TRADES, Product.SPOT, b"4,1.5,2,3.0,1735689600123999,true,true",
            ("4", "1.5", "2", Side.SELL, 1735689600123000),
        ),
        (
            DumpKind.TRADES, Product.USD_M, b"4,1.5,2,3.0,1610064000278,false",
            ("4", "1.5", "2", Side.BUY, 1610064000278000),
        ),
        (
            DumpKind.AGG_TRADES, Product.USD_M, b"4,1.5,2,8,9,1610064000278,true",
            ("4", "1.5", "2", Side.SELL, 1610064000278000),
        ),
        (  # four contracts
            DumpKind.TRADES, Product.COIN_M, b"1,67000.1,4,0.00597,1717200001000,false",
            ("1", "67000.1", "0.00597", Side.BUY, 1717200001000000),
        ),
    ],
)  # fmt: skip
def test_a_row_of_each_layout(kind: DumpKind, product: Product, line: bytes, expected: tuple[object, ...]) -> None:
    trade = row_parser("x", "A-B", columns_of(kind, product))(line)
    assert (trade.trade_id, str(trade.price.normalize()), str(trade.qty.normalize()), trade.side, trade.time_us) == (
        expected
    )
    assert (trade.exchange, trade.symbol, trade.source) == ("x", "A-B", Source.ARCHIVE)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1,2,3,4,1610064000278,True", "6 columns where such a file has 7"),
        (b"1,abc,3,4,1610064000278,True,True", "price is 'abc'"),
        (b"1,NaN,3,4,1610064000278,True,True", "price is 'NaN'"),
        (b"1,1e5,3,4,1610064000278,True,True", "price is '1e5'"),
        (b"1,-1,3,4,1610064000278,True,True", "price is '-1'"),
        (b"1,0,3,4,1610064000278,True,True", "price is 0"),
        (b"1,2,0.000,4,1610064000278,True,True", "qty is 0"),
        (b"x1,1,3,4,1610064000278,True,True", "id is 'x1'"),
        (b"1,1,3,4,1610064000,True,True", "time is '1610064000'"),
        (b"1,1,3,4,1000000000000,True,True", "before 2009"),
        (b"1,1,3,4,1610064000278,1,True", "isBuyerMaker is '1'"),
        (b"1,1,\xff,4,1610064000278,True,True", "qty is"),
    ],
)
def test_a_broken_row_says_what_is_wrong(line: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        row_parser("x", "A-B", columns_of(DumpKind.TRADES, Product.SPOT))(line)


def test_a_header_decides_which_column_is_which() -> None:
    header = b"id,time,quote_qty,qty,price,is_buyer_maker"
    trade = row_parser("x", "A-B-PERP", columns_of(DumpKind.TRADES, Product.USD_M, header))(
        b"7,1717200001000,670,0.01,67000,false"
    )
    assert (trade.trade_id, trade.price, trade.qty) == ("7", Decimal(67000), Decimal("0.01"))


@pytest.mark.parametrize(
    ("kind", "product", "header", "reason"),
    [
        (DumpKind.AGG_TRADES, Product.COIN_M, None, "tell contracts and not coins"),
        (
            DumpKind.TRADES,
            Product.COIN_M,
            b"id,price,qty,quote_qty,time,is_buyer_maker",
            "not that of trades of COIN-M",
        ),
        (DumpKind.TRADES, Product.USD_M, b"id,price,qty,base_qty,time,is_buyer_maker", "not that of trades of USD-M"),
        (DumpKind.TRADES, Product.SPOT, b"id,price,qty,quote_qty,time,is_buyer_maker", "not that of trades of spot"),
        (DumpKind.TRADES, Product.USD_M, b"id,price,quote_qty,x,time,is_buyer_maker", "not that of trades of USD-M"),
        (DumpKind.TRADES, Product.USD_M, b"id,price,price,qty,time,is_buyer_maker", "not that of trades of USD-M"),
    ],
)
def test_contracts_are_never_taken_for_coins_nor_one_product_for_another(
    kind: DumpKind, product: Product, header: bytes | None, reason: str
) -> None:
    with pytest.raises(MalformedError, match=reason):
        columns_of(kind, product, header)


def test_a_header_tells_the_kind_and_a_row_is_no_header() -> None:
    assert kind_of_header(b"agg_trade_id,price,quantity,first_trade_id") is DumpKind.AGG_TRADES
    assert kind_of_header(b"id,price,qty,quote_qty,time,is_buyer_maker") is DumpKind.TRADES
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
        ("BTC-USDT", DumpKind.TRADES, "binance:BTC-USDT"),
        ("BTC-USDT", DumpKind.AGG_TRADES, "binance-agg:BTC-USDT"),
        ("BTC-USDT-PERP", DumpKind.AGG_TRADES, "binance:BTC-USDT-PERP"),
        ("BTC-USDT-PERP", DumpKind.TRADES, "binance-trades:BTC-USDT-PERP"),
        ("BTC-USDT-240628", DumpKind.AGG_TRADES, "binance:BTC-USDT-240628"),
        ("BTC-USDT-240628", DumpKind.TRADES, "binance-trades:BTC-USDT-240628"),
        ("BTC-USD-PERP", DumpKind.TRADES, "binance:BTC-USD-PERP"),
        ("BTC-USD-240628", DumpKind.TRADES, "binance:BTC-USD-240628"),
    ],
)
def test_each_kind_of_a_market_has_an_id_space_of_its_own(
    symbol: str, kind: DumpKind, key: str, tmp_path: Path
) -> None:
    base, quote, *contract = symbol.split("-")
    dated = f"_{contract[0]}" if contract not in ([], ["PERP"]) else ""
    path = tmp_path / f"{base}{quote}{dated}-{kind}-2021-01-08.csv"
    aggregate = b"5,6," if kind is DumpKind.AGG_TRADES else b"4,"
    best = b"" if contract else b",true"
    path.write_bytes(b"1,2,3," + aggregate + b"1610064000278,true" + best + b"\n")
    assert [trade.key for trade in trades_in(path, described=Described(symbol=symbol, exchange="binance"))] == [key]


def test_spot_rows_with_eight_columns_are_aggregate_trades(tmp_path: Path) -> None:
    path = tmp_path / "part.csv"
    path.write_bytes(b"1,2,3,4,5,1610064000278,true,true\n")
    (trade,) = trades_in(path, described=Described(symbol="BTC-USDT"))
    assert (trade.key, trade.trade_id) == ("binance-agg:BTC-USDT", "1")


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


@pytest.mark.parametrize(
    ("fields", "received_us"),
    [({}, 5), ({"received_us": 0}, 0), ({"price": "9876543210987.123456789012345678", "qty": "0.01"}, 5)],
)
def test_a_file_of_the_cold_store_gives_its_trades_exactly(
    fields: dict[str, Any], received_us: int, tmp_path: Path
) -> None:
    own = OWN | fields
    [file] = files(TRADES, [record(own, 1)])
    path = tmp_path / "trades.parquet"
    path.write_bytes(parquet_bytes(TRADES, file.rows))
    (trade,) = trades_in(path)
    assert trade == decode_trade(orjson.dumps(own | {"source": "archive", "received_us": received_us}))


def test_what_orders_trades_in_a_parquet_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    columns = {name: pa.array([OWN[name]] * 2) for name in ("exchange", "symbol", "trade_id", "side", "price", "qty")}
    columns |= {"time_us": pa.array([OWN["time_us"]] * 2), "seq": pa.array([2, 1])}
    pq.write_table(pa.table(columns), path)
    (recording,) = open_recordings([path], Described())
    assert [orjson.loads(line)["seq"] for chunk in recording.read() for line in chunk.lines] == [2, 1]


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
        ("a.csv", b"1,2,3,4,5,6,7,8\n", Described(symbol="A-B-PERP"), "--kind trades or --kind aggTrades"),
        ("a.csv", b"id,price\n", Described(), "--symbol"),
        ("ABCXYZ-trades-2021-01-08.csv", b"", Described(), "--symbol"),
        ("BTCUSDT-trades-2021-01-08.csv", b"", Described(symbol="ETH-USDT"), "is of BTCUSDT, not of ETH-USDT"),
        ("BTCUSDT-trades-2021-01-08.csv", b"", Described(symbol="btcusdt"), "not of the form BASE-QUOTE"),
        ("BTCUSDT-trades-2021-01-08.csv", b"", Described(kind=DumpKind.AGG_TRADES), "--kind says aggTrades"),
        ("BTCUSDT-trades-2021-01-08.csv", b"agg_trade_id,price\n", Described(), "its header says aggTrades"),
        ("BTCUSD_PERP-aggTrades-2021-01-08.csv", b"", Described(), "tell contracts and not coins"),
        ("BTCUSDT_240628-trades-2021-01-08.csv", b"", Described(symbol="BTC-USDT-PERP"), "is of BTCUSDT_240628"),
        ("BNBUSD_240628-trades-2021-01-08.csv", b"", Described(), "--symbol"),
        ("BTCUSDT-trades-2021-01-08.csv", b"", Described(exchange="a:b"), "--exchange"),
        ("a.zip", b"PK no zip", Described(symbol="A-B", kind=DumpKind.TRADES), "not a whole zip"),
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


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a file"):
        trades_in(tmp_path / "gone.csv")


@pytest.mark.parametrize(
    ("path", "symbol", "expected"),
    [
        ("futures/BTCUSDT_240628-trades-2024-06-01.csv", "BTC-USDT-240628", [("67000.1", "0.01"), ("67000.2", "0.02")]),
        ("futures/BTCUSD_PERP-trades-2024-06-01.csv", "BTC-USD-PERP", [("67000.1", "0.00597"), ("67000.2", "0.00149")]),
        (
            "non-ascii/币安人生USDT-trades-2025-10-10.csv", "币安人生-USDT",
            [("0.31", "100"), ("0.32", "50"), ("0.33", "10")],
        ),
        ("non-ascii/cn.jsonl", "币安人生-USDT", [("0.30", "10"), ("0.31", "10"), ("0.32", "10"), ("0.33", "10")]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("given", [True, False])
def test_files_of_the_field_by_name_and_by_symbol(
    path: str,
    symbol: str,
    expected: list[tuple[str, str]],
    given: bool,  # noqa: FBT001  # a case of the table
) -> None:
    trades = trades_in(DATA / "cases" / path, described=Described(symbol=symbol if given else None))
    assert {trade.symbol for trade in trades} == {symbol}
    assert [(str(trade.price), str(trade.qty)) for trade in trades] == expected


def test_a_price_or_a_quantity_of_0_is_no_trade() -> None:
    (recording,) = open_recordings([DATA / "cases/zero-price/QAGUSDT-trades-2024-09-26.csv"], Described())
    parsed: list[str] = []
    for line in (line for chunk in recording.read() for line in chunk.lines):
        try:
            parsed.append(recording.parse(line).trade_id)
        except MalformedError as error:
            parsed.append(str(error)[:10])
    assert parsed == ["1", "price is 0", "3", "qty is 0: ", "5"]


def test_a_market_is_given_or_the_only_one() -> None:
    one, other = decode_trade(orjson.dumps(OWN)), decode_trade(orjson.dumps(OWN | {"symbol": "ETH-EUR"}))
    given = RecordedMarket("kraken", "ETH-EUR")
    assert [given.holds(one), given.holds(other)] == [False, True]
    assert (str(given.key), given.others) == ("kraken:ETH-EUR", 1)
    open_market = RecordedMarket()
    assert open_market.holds(one)
    with pytest.raises(UsageError, match="--exchange and --symbol"):
        open_market.holds(other)
