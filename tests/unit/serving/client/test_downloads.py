"""Streams into files: whole, or not there."""

from pathlib import Path

import pytest
from scripted_http import Scripted, scripted
from written import T0

from candlewick.client import ApiError, ApiProblemError, Client
from serving.planner import Tier

CHUNKED = {"Transfer-Encoding": "chunked", "Connection": "close"}
BEFORE = b"of yesterday"
WHOLE = Scripted(200, b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n", CHUNKED | {"Candlewick-Away": "hot, cold"})
BROKEN = Scripted(200, b"3\r\none\r\n", CHUNKED)
"""Without the last chunk: so a server breaks a stream."""


def download(answers: list[Scripted], into: Path) -> dict[str, str]:
    """The question's parameters."""
    with scripted(answers) as (address, asked), Client(address) as client:
        told = client.download("historical", "binance", "BTC-USDT", into=into, from_=T0, form="ndjson")
    assert (told.path, told.bytes, told.away) == (into, 6, [Tier.HOT, Tier.COLD])
    assert asked[-1].path == "/v1/historical"
    return asked[-1].query


def test_a_whole_stream_takes_the_place_of_the_file(tmp_path: Path) -> None:
    into = tmp_path / "day.ndjson"
    into.write_bytes(BEFORE)
    told = download([WHOLE], into)
    assert told == {"exchange": "binance", "symbol": "BTC-USDT", "from_ms": str(T0), "format": "ndjson"}
    assert into.read_bytes() == b"onetwo"
    assert list(tmp_path.iterdir()) == [into]


def test_a_broken_stream_leaves_the_file_as_it_was_and_nothing_else(tmp_path: Path) -> None:
    into = tmp_path / "day.ndjson"
    into.write_bytes(BEFORE)
    with pytest.raises(ApiError, match="broke before its end"):
        download([BROKEN], into)
    assert into.read_bytes() == BEFORE
    assert list(tmp_path.iterdir()) == [into]


def test_what_is_refused_is_a_problem_and_a_used_up_allowance_is_waited_for(tmp_path: Path) -> None:
    into = tmp_path / "day.ndjson"
    used_up = Scripted(429, {"title": "Too Many Requests", "detail": "used up"}, {"Retry-After": "0"})
    download([used_up, WHOLE], into)
    into.unlink()
    refused = Scripted(503, {"title": "Service Unavailable", "detail": "4 streams are on their way"})
    with pytest.raises(ApiProblemError, match="4 streams"):
        download([refused], into)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_told_and_the_client_goes_on(tmp_path: Path) -> None:
    with scripted([WHOLE, WHOLE]) as (address, _), Client(address) as client:
        with pytest.raises(FileNotFoundError):
            client.download("historical", "binance", "BTC-USDT", into=tmp_path / "nowhere" / "day.parquet")
        assert client.download("historical", "binance", "BTC-USDT", into=tmp_path / "day.parquet").bytes == 6


def test_json_which_comes_in_pages_is_no_file(tmp_path: Path) -> None:
    with Client() as client, pytest.raises(ApiError, match="json comes in pages"):
        client.download("historical", "binance", "BTC-USDT", into=tmp_path / "day.json", form="json")
