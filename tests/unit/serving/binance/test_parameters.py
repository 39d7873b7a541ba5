"""Parameters are read, and refused, as Binance's documentation says."""

import orjson
import pytest

from serving.binance.parameters import SpotApiError, SpotParameters

KNOWN = ("symbol", "symbols", "limit", "startTime")


def given(*pairs: tuple[str, str]) -> SpotParameters:
    return SpotParameters(pairs, KNOWN)


def read_all(pairs: list[tuple[str, str]], read: str) -> object:
    parameters = given(*pairs)
    return {"limit": lambda: parameters.limit, "names": parameters.names}.get(read, lambda: parameters.text(read))()


@pytest.mark.parametrize(
    ("pairs", "read", "code", "words"),
    [
        ([("symbol", "A"), ("symbol", "B")], "symbol", -1101, "Duplicate values"),
        ([("symbol", "A"), ("x", "1")], "symbol", -1104, "read '1' parameter(s) but was sent '2'"),
        ([("symbol", "")], "symbol", -1105, "Parameter 'symbol' was empty"),
        ([], "symbol", -1102, "Mandatory parameter 'symbol' was not sent"),
        ([("limit", "x")], "limit", -1100, "parameter 'limit'; legal range is '^[0-9]{1,20}$'"),
        ([("limit", "-1")], "limit", -1100, "'limit'"),
        ([("limit", "1" * 21)], "limit", -1100, "'limit'"),
        ([("limit", "٣")], "limit", -1100, "'limit'"),
        ([("limit", "0")], "limit", -1130, "'limit' is not valid"),
        ([("symbols", "A,B")], "names", -1100, "'symbols'"),
        ([("symbols", "[]")], "names", -1100, "'symbols'"),
        ([("symbols", "[1]")], "names", -1100, "'symbols'"),
        ([("symbols", '["A","A"]')], "names", -1151, "multiple times"),
        ([("symbols", '["A"]'), ("symbol", "A")], "names", -1128, "Combination"),
    ],
)
def test_what_is_wrong_has_binances_code_and_words(
    pairs: list[tuple[str, str]], read: str, code: int, words: str
) -> None:
    with pytest.raises(SpotApiError) as refused:
        read_all(pairs, read)
    told = orjson.loads(refused.value.body)
    assert (told["code"], refused.value.status) == (code, 400)
    assert words in told["msg"]


@pytest.mark.parametrize(("text", "limit"), [(None, 500), ("1", 1), ("1000", 1000), ("1001", 1000), ("9" * 20, 1000)])
def test_without_a_limit_there_are_500_rows_and_never_more_than_1000(text: str | None, limit: int) -> None:
    assert given(*([] if text is None else [("limit", text)])).limit == limit


def test_a_time_may_be_in_microseconds() -> None:
    assert given(("startTime", "1610064000000")).time_ms("startTime") == 1_610_064_000_000
    assert given(("startTime", "1610064000000999")).time_ms("startTime") == 1_610_064_000_000
    assert given().time_ms("startTime") is None
    assert given(("startTime", "9" * 20)).time_ms("startTime") == 9_007_199_253_999  # June 2255


def test_one_market_several_or_all_are_named() -> None:
    assert given(("symbol", "A")).names() == ["A"]
    assert given(("symbols", '["A","B"]')).names() == ["A", "B"]
    assert given().names() is None
