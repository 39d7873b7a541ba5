"""The form of a capture's lines: ours, and that of other recorders."""

import pytest

from producers.capture.lines import (
    CaptureHeader,
    EndedConnection,
    OpenedConnection,
    ReceivedFrame,
    SentFrame,
    UnreadableLine,
    comment_line,
    is_whole_frame,
    opened_line,
    parse_line,
    received_line,
    sent_line,
)
from producers.capture.names import CaptureName

TIME_US = 1_610_064_000_000_001
URL = "wss://data-stream.binance.vision/stream?streams=btcusdt@trade"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{}",
        b"pong",
        b'{"a":": <- <-> "}',
        b'{\n "a": 1\n}\n',
        b"\n",
        b"\r\n",
        b"\xff\x00\xfe: \n",
        b"# x",
        b" base64: ",
    ],
)
def test_a_frame_of_any_bytes_is_read_as_it_was_written(frame: bytes) -> None:
    received = received_line(TIME_US, frame)
    sent = sent_line(TIME_US, URL, frame)
    for line in (received, sent):
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
    assert parse_line(received[:-1]) == ReceivedFrame(TIME_US, frame)
    assert parse_line(sent[:-1]) == SentFrame(TIME_US, URL, frame)


def test_the_lines_are_those_that_other_recorders_write() -> None:
    assert received_line(TIME_US, b"{}") == b"1610064000.000001: {}\n"
    assert sent_line(TIME_US, URL, b"{}") == URL.encode() + b" <- 1610064000.000001: {}\n"
    assert opened_line(TIME_US, URL) == URL.encode() + b" <-> 1610064000.000001\n"


def test_what_others_pass_over_says_what_the_file_is_of_and_why_a_connection_ended() -> None:
    header = CaptureHeader(exchange="binance", connection=3, symbols={"BTCUSDT": "BTC-USDT"}, version="1")
    ended = EndedConnection(ended_us=TIME_US, reason="closed by the server,\ncode 1006")
    for content in (header, ended):
        line = comment_line(content)
        assert (line.startswith(b"#"), line.count(b"\n")) == (True, 1)
        assert parse_line(line[:-1]) == content
    assert parse_line(b"# another recorder's remark") is None


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        (b"1626992741.06217: {}", ReceivedFrame(1_626_992_741_062_170, b"{}")),
        (b"1626992741.3105128: {}", ReceivedFrame(1_626_992_741_310_512, b"{}")),  # finer digits are cut off
        (b"1626992741: {}", ReceivedFrame(1_626_992_741_000_000, b"{}")),
        (b"wss://ws-feed.pro.coinbase.com <-> 1618677816.8434298", OpenedConnection(1_618_677_816_843_429, "wss://ws-feed.pro.coinbase.com")),
        (b"wss://x <- 1618677817.020616: {}", SentFrame(1_618_677_817_020_616, "wss://x", b"{}")),
        (b"", None),
        (b"  ", None),
    ],
)  # fmt: skip
def test_the_lines_of_other_recorders_are_read(line: bytes, meaning: object) -> None:
    assert parse_line(line) == meaning


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{}", "begins with no time and no address"),
        (b"16.1.2: {}", "is no time in seconds"),
        (b"1e9: {}", "is no time in seconds"),
        (b"999999999999: {}", "too far in the future"),
        (b"1610064000.000001", "no frame behind the time"),
        (b"wss://x <- 1618677817.020616", "no frame behind the time"),
        (b"1610064000.1 base64: %%", "base64 cannot be read"),
        (b"\xff\xfe\x00", "begins with no time and no address"),
    ],
)
def test_a_line_of_no_form_is_told_and_not_lost(line: bytes, reason: str) -> None:
    meaning = parse_line(line)
    assert isinstance(meaning, UnreadableLine)
    assert reason in meaning.reason
    assert meaning.line == line


@pytest.mark.parametrize(
    ("line", "whole"),
    [(b'1.0: {"a":1}', True), (b'1.0: {"a":1', False), (b"1.0: ", False), (b"1.0", False), (b"wss://x <-> 1.", False)],
)
def test_a_last_line_is_whole_if_its_frame_is_a_whole_json_text(line: bytes, whole: bool) -> None:  # noqa: FBT001  # a case of the table
    assert is_whole_frame(parse_line(line)) is whole


def test_names_of_files_put_them_in_order() -> None:
    name = CaptureName("binance-usdm", 12, TIME_US)
    assert str(name) == "binance-usdm.ws.12.1610064000000001.zst"
    assert CaptureName.parse(str(name)) == name
    for other in ("COINBASE.ws.28.0", "notes.zst", "binance.ws.1.zst", f"{name}.part"):
        assert CaptureName.parse(other) is None
