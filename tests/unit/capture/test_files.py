"""Captures on a real disk: written, rotated, bounded, cut off, on a full disk; and read back."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

from producers.capture import recorder as recorder_module
from producers.capture.lines import (
    CaptureHeader,
    CutOff,
    EndedConnection,
    Line,
    OpenedConnection,
    ReceivedFrame,
    SentFrame,
    received_line,
)
from producers.capture.names import CaptureName
from producers.capture.reader import MAX_LINE_BYTES, capture_files, read_captures, read_lines
from producers.capture.recorder import CaptureSettings, Recorder, recording
from producers.capture.written_file import WrittenFile
from runtime.errors import UsageError
from runtime.telemetry import Meter

DATA = Path(__file__).parents[2] / "data"
START_US = 1_610_064_000_000_000
SYMBOLS = {"BTCUSDT": "BTC-USDT"}
MB = 1024 * 1024


@contextmanager
def recorder(folder: Path, limit_bytes: int = 100 * MB) -> Iterator[Recorder]:
    made = Recorder(CaptureSettings(folder=folder, limit_bytes=limit_bytes), "binance", Meter("produce"))
    try:
        yield made
    finally:
        made.close()


def lines_of(*paths: Path) -> list[Line]:
    return [captured.line for captured in read_captures(capture_files(paths))]


def frames_of(*paths: Path) -> list[bytes]:
    return [line.frame for line in lines_of(*paths) if isinstance(line, ReceivedFrame)]


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def noise(count: int, seed: int = 1) -> list[bytes]:
    """Frames of about 1 kB that hardly shrink."""
    dice = random.Random(seed)
    return [dice.randbytes(500).hex().encode() for _ in range(count)]


def test_what_happened_on_a_connection_is_read_back(tmp_path: Path) -> None:
    with recorder(tmp_path) as made:
        connection = made.connection(0, SYMBOLS)
        connection.opened("wss://x/stream", START_US)
        connection.sent(b'{"method":"SUBSCRIBE"}', START_US + 1)
        connection.received(b'{\n"a": 1}', START_US + 2)
        connection.received(b"\xff\x00", START_US + 3)
        connection.ended("closed by the server", START_US + 4)
    header, *rest = lines_of(tmp_path)
    assert isinstance(header, CaptureHeader)
    assert (header.exchange, header.connection, header.symbols) == ("binance", 0, SYMBOLS)
    assert rest == [
        OpenedConnection(START_US, "wss://x/stream"),
        SentFrame(START_US + 1, "wss://x/stream", b'{"method":"SUBSCRIBE"}'),
        ReceivedFrame(START_US + 2, b'{\n"a": 1}'),
        ReceivedFrame(START_US + 3, b"\xff\x00"),
        EndedConnection(ended_us=START_US + 4, reason="closed by the server"),
    ]
    assert made.not_recorded == 0


def test_any_zstd_program_reads_a_file(tmp_path: Path) -> None:
    with recorder(tmp_path) as made:
        made.connection(0, SYMBOLS).received(b"{}", START_US)
    [path] = tmp_path.iterdir()
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as unpacked:
        assert unpacked.read().endswith(b"\n1610064000.000000: {}\n")


def test_what_is_written_can_be_read_while_the_recorder_still_runs(tmp_path: Path) -> None:
    with recorder(tmp_path) as made:
        made.connection(0, SYMBOLS).received(b"{}", START_US)
        until(lambda: any(tmp_path.iterdir()) and frames_of(tmp_path) == [b"{}"])
        assert [line.reason for line in lines_of(tmp_path) if isinstance(line, CutOff)] == ["it was not closed"]


def test_connections_have_their_own_files_and_are_read_in_the_order_of_time(tmp_path: Path) -> None:
    with recorder(tmp_path) as made:
        two = [made.connection(number, {f"S{number}": f"S-{number}"}) for number in range(2)]
        for number in range(100):
            two[number % 2].received(b"%d" % number, START_US + number)
    assert len(list(tmp_path.iterdir())) == 2
    captured = [each for each in read_captures(capture_files([tmp_path])) if isinstance(each.line, ReceivedFrame)]
    assert [int(each.line.frame) for each in captured] == list(range(100))  # type: ignore[union-attr]
    assert {(each.header.connection, int(each.line.frame) % 2) for each in captured} == {(0, 0), (1, 1)}  # type: ignore[union-attr]


def test_a_new_session_s_connections_take_the_place_of_the_old_ones(tmp_path: Path) -> None:
    with recorder(tmp_path) as made:
        made.connection(0, SYMBOLS).received(b"1", START_US)
        made.connection(0, {"ETHUSDT": "ETH-USDT"}).received(b"2", START_US + 1)
    captured = list(read_captures(capture_files([tmp_path])))
    by_frame = {
        each.line.frame: each.header.symbols
        for each in captured
        if isinstance(each.line, ReceivedFrame) and each.header
    }
    assert by_frame == {b"1": SYMBOLS, b"2": {"ETHUSDT": "ETH-USDT"}}
    assert not [each for each in captured if isinstance(each.line, CutOff)]


def test_a_later_run_writes_beside_the_earlier_one(tmp_path: Path) -> None:
    for run in range(3):
        with recorder(tmp_path) as made:
            made.connection(0, SYMBOLS).received(b"%d" % run, START_US + run)
    assert frames_of(tmp_path) == [b"0", b"1", b"2"]


def test_the_oldest_files_go_where_the_limit_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "WRITE_EVERY_S", 0.01)
    stranger = tmp_path / "notes.txt"
    stranger.write_bytes(b"x" * MB)
    sent = noise(3000)
    with recorder(tmp_path, limit_bytes=400_000) as made:
        connection = made.connection(0, SYMBOLS)
        for number, frame in enumerate(sent):
            connection.received(frame, START_US + number)
            if number % 50 == 0:
                until(lambda: not connection.waiting)
    files = [path for path in tmp_path.iterdir() if path != stranger]
    kept = sum(path.stat().st_size for path in files)
    assert 200_000 < kept <= 400_000
    assert stranger.exists(), "only files with our names are removed"
    newest = frames_of(*files)
    assert newest == sent[-len(newest) :], "what is kept is the newest, without a hole"
    headers = [line for line in lines_of(*files) if isinstance(line, CaptureHeader)]
    assert len(headers) == len(files) >= 3, "each file says what it is of"
    assert made.not_recorded == 0


def test_a_file_cut_off_anywhere_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = WrittenFile(tmp_path / "whole.zst")
    sent = noise(20)
    sizes = [0]
    for number, frame in enumerate(sent):
        whole.write(received_line(START_US + number, frame))
        sizes.append(whole.size)
    whole.close()
    content = whole.path.read_bytes()
    for length in range(5, len(content), 97):
        cut = tmp_path / "cut.zst"
        cut.write_bytes(content[:length])
        *lines, last = read_lines(cut)
        frames = [line.frame for line in lines if isinstance(line, ReceivedFrame)]
        assert isinstance(last, CutOff)
        assert frames == sent[: len(frames)]
        assert len(frames) >= sum(size <= length for size in sizes) - 1, "each flushed line is read"


def test_a_damaged_file_is_read_up_to_the_damage(tmp_path: Path) -> None:
    sent = noise(200)
    path = tmp_path / "binance.ws.0.1.zst"
    file = WrittenFile(path)
    for number, frame in enumerate(sent):
        file.write(received_line(START_US + number, frame))
    file.close()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    *lines, last = read_lines(path)
    frames = [line.frame for line in lines if isinstance(line, ReceivedFrame)]
    assert isinstance(last, CutOff)
    assert "damaged" in last.reason
    assert 50 < len(frames) < 110
    assert frames == sent[: len(frames)]


@pytest.mark.parametrize(
    ("end", "frames", "cut"),
    [(b"\n", 2, None), (b"", 2, None), (b'\n3.0: {"c":', 2, "its last line is not whole"), (b"\n\n\n", 2, None)],
)
def test_a_plain_file_may_end_anywhere(tmp_path: Path, end: bytes, frames: int, cut: str | None) -> None:
    path = tmp_path / "X.ws.1.0"
    path.write_bytes(b'1.0: {"a":1}\n2.0: {"b":1}' + end)
    lines = list(read_lines(path))
    assert len([line for line in lines if isinstance(line, ReceivedFrame)]) == frames
    assert [line.reason for line in lines if isinstance(line, CutOff)] == ([cut] if cut else [])


@pytest.mark.parametrize(
    ("name", "opened", "sent", "received"),
    [("playback_binance_usdm.txt", 1, 0, 122), ("playback_coinbase.txt", 1, 3, 158)],
)
def test_real_captures_of_another_recorder_are_read_whole(name: str, opened: int, sent: int, received: int) -> None:
    kinds = [type(line) for line in lines_of(DATA / name)]
    assert [kinds.count(kind) for kind in (OpenedConnection, SentFrame, ReceivedFrame)] == [opened, sent, received]
    assert len(kinds) == opened + sent + received


def test_what_is_no_capture_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        capture_files([tmp_path / "nothing"])
    with pytest.raises(UsageError, match="there is no capture"):
        capture_files([tmp_path])
    endless = tmp_path / "endless"
    endless.write_bytes(b"1.0: " + bytes(MAX_LINE_BYTES + 2 * MB))
    with pytest.raises(UsageError, match="it is no capture"):
        list(read_lines(endless))


def test_a_disk_that_is_too_slow_costs_frames_and_never_the_feed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "MAX_WAITING_BYTES", 10_000)
    monkeypatch.setattr(recorder_module, "WRITE_EVERY_S", 1.0)
    with recorder(tmp_path) as made:
        connection = made.connection(0, SYMBOLS)
        sent = noise(50)
        for number, frame in enumerate(sent):
            connection.received(frame, START_US + number)
    kept = frames_of(tmp_path)
    assert kept == sent[: len(kept)]
    assert 5 < len(kept) < 20
    assert made.not_recorded == 50 - len(kept)


FULL_DISK = """
import resource, sys, time
from pathlib import Path
from producers.capture import recorder as module
from producers.capture.recorder import CaptureSettings, Recorder
from runtime.telemetry import Meter

module.WRITE_EVERY_S, module.TRY_AGAIN_S = 0.01, 0.05
folder, meter = Path(sys.argv[1]), Meter("produce")
made = Recorder(CaptureSettings(folder=folder, limit_bytes=10**9), "binance", meter)
connection = made.connection(0, {"BTCUSDT": "BTC-USDT"})

def add(first, last):
    for number in range(first, last):
        connection.received(b"%d %d" % (number, hash(number * 1.1)), 10**15 + number)
        time.sleep(0.001)
    time.sleep(0.3)

add(0, 100)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))  # every write fails, as on a full disk
add(100, 400)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
time.sleep(0.1)
add(400, 500)
made.close()
print(made.not_recorded, meter.fields["not_recorded"])
"""


def test_a_full_disk_is_told_once_and_recording_goes_on_when_there_is_room(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    counted, measured = map(int, done.stdout.split()[-2:])
    assert done.stdout.count("frames are not recorded, the feed goes on") == 1
    assert done.stdout.count("frames are recorded again") == 1
    frames = [int(frame.split()[0]) for frame in frames_of(tmp_path)]
    assert counted == measured == 500 - len(frames)
    assert 250 <= counted <= 350
    assert set(range(100)) | set(range(420, 500)) <= set(frames)


async def test_a_folder_that_cannot_be_used_is_told_before_anything_begins(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = CaptureSettings(folder=tmp_path / "file" / "frames", limit_bytes=MB)
    with pytest.raises(UsageError, match=r"--record .* cannot be used"):
        async with recording(settings, "binance", Meter("produce")):
            pass


async def test_nothing_is_recorded_unless_asked_for() -> None:
    async with recording(None, "binance", Meter("produce")) as made:
        assert made is None


def test_names_say_when_a_file_was_begun(tmp_path: Path) -> None:
    before_us = time.time_ns() // 1000
    with recorder(tmp_path) as made:
        made.connection(7, SYMBOLS).received(b"{}", START_US)
    [path] = tmp_path.iterdir()
    name = CaptureName.parse(path.name)
    assert name is not None
    assert (name.exchange, name.connection) == ("binance", 7)
    assert before_us <= name.time_us <= time.time_ns() // 1000
