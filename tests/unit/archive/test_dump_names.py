"""What the names of dumps and symbols say."""

import unicodedata
from datetime import UTC, datetime

import pytest

from producers.archive.dump import DumpKind, Product, is_native, is_symbol, product_of, read_name, split_native


def utc_us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("name", "native", "kind", "first", "end"),
    [
        ("XRPETH-aggTrades-2019-10-11.csv", "XRPETH", DumpKind.AGG_TRADES, "2019-10-11", "2019-10-12"),
        ("BTCUSDT-trades-2021-01-08.zip", "BTCUSDT", DumpKind.TRADES, "2021-01-08", "2021-01-09"),
        ("BTCUSDT-trades-2024-02.zip", "BTCUSDT", DumpKind.TRADES, "2024-02-01", "2024-03-01"),
        ("BTCUSDT-trades-2021-01-08.csv.gz", "BTCUSDT", DumpKind.TRADES, "2021-01-08", "2021-01-09"),
        ("BTCUSDT_240628-trades-2024-06-01.csv", "BTCUSDT_240628", DumpKind.TRADES, "2024-06-01", "2024-06-02"),
        ("币安人生USDT-trades-2025-10-10.csv", "币安人生USDT", DumpKind.TRADES, "2025-10-10", "2025-10-11"),
        (
            unicodedata.normalize("NFD", "ÄUSDT-trades-2025-10-10.csv"),
            "ÄUSDT",
            DumpKind.TRADES,
            "2025-10-10",
            "2025-10-11",
        ),
        ("BTCUSDT-trades-2023-12.csv", "BTCUSDT", DumpKind.TRADES, "2023-12-01", "2024-01-01"),
    ],
)
def test_a_dumps_name_tells_market_kind_and_time(name: str, native: str, kind: DumpKind, first: str, end: str) -> None:
    found = read_name(name)
    assert found is not None
    assert (found.native, found.kind) == (native, kind)
    assert found.span == (utc_us(first), utc_us(end))


@pytest.mark.parametrize(
    "name",
    [
        "trades.csv", "BTCUSDT-trades-2021-13-45.csv", "BTCUSDT-klines-2021-01-08.csv", "-trades-2021-01-08.csv",
        "BTC USDT-trades-2021-01-08.csv", "BTC\u200bUSDT-trades-2021-01-08.csv", "btcusdt-trades-2021-01-08.csv",
        "BTCUSDT_-trades-2021-01-08.csv",
    ],
)  # fmt: skip
def test_other_names_tell_nothing(name: str) -> None:
    assert read_name(name) is None


@pytest.mark.parametrize(
    ("native", "symbol"),
    [
        ("XRPETH", "XRP-ETH"), ("BTCFDUSD", "BTC-FDUSD"), ("USDT", None), ("ABCXYZ", None), ("BTCUSD", None),
        ("币安人生USDT", "币安人生-USDT"), ("BTCUSDT_210326", "BTC-USDT-210326"), ("BTCUSD_210326", "BTC-USD-210326"),
        ("BTCUSD_PERP", "BTC-USD-PERP"), ("BNBUSD_PERP", "BNB-USD-PERP"), ("BTCUSDT_PERP", None),
        ("BNBUSD_210326", None), ("BTCUSDT_ABC", None),
    ],
)  # fmt: skip
def test_a_native_name_is_split_only_where_one_common_quote_ends_it(native: str, symbol: str | None) -> None:
    assert split_native(native) == symbol


@pytest.mark.parametrize(
    ("symbol", "right"),
    [
        ("XRP-ETH", True), ("BTC-USDT-PERP", True), ("BTC-USDT-240628", True), ("币安人生-USDT", True), ("Ä-ÉT", True),
        ("अ\u093f-USDT", True), ("xrp-eth", False), ("ä-eth", False), ("XRPETH", False), ("A-B|C", False), ("", False),
        ("A:B-C", False), ("A/B-C", False), ("A B-C", False), ("A\u200b-B", False), ("A\n-B", False), ("A-B-", False),
        ("A-B-24062", False), ("A-B-PERP-PERP", False), ("A\u0308-B", False), ("A-", False), ("-B", False),
        ("A" * 63 + "-" + "B" * 64, True), ("A" * 64 + "-" + "B" * 64, False), ("币" * 43 + "-USDT", False),
    ],
)  # fmt: skip
def test_symbols_have_one_form(symbol: str, right: bool) -> None:  # noqa: FBT001  # a case of the table
    assert is_symbol(symbol) is right


@pytest.mark.parametrize(
    ("symbol", "product", "natives", "strangers"),
    [
        ("XRP-ETH", Product.SPOT, ["XRPETH"], ["XRPETH_PERP", "XRPETH_240628"]),
        ("BTC-USDT-PERP", Product.USD_M, ["BTCUSDT"], ["BTCUSDT_PERP", "BTCUSDT_240628"]),
        ("BTC-USDT-240628", Product.USD_M, ["BTCUSDT_240628"], ["BTCUSDT", "BTCUSDT_240927"]),
        ("BTC-USD-PERP", Product.COIN_M, ["BTCUSD_PERP", "BTCUSD"], ["BTCUSDT", "BTCUSD_240628"]),
        ("BNB-USD-240628", Product.COIN_M, ["BNBUSD_240628"], ["BNBUSD_PERP", "BNBUSD"]),
    ],
)
def test_each_product_has_its_native_names(
    symbol: str, product: Product, natives: list[str], strangers: list[str]
) -> None:
    assert product_of(symbol) is product
    assert all(is_native(native, symbol) for native in natives)
    assert not any(is_native(native, symbol) for native in strangers)
