"""Packed files and the checksums beside them, as exchanges and people's systems make them."""

import gzip
import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest

from producers.archive.lines import MAX_LINE_BYTES
from producers.archive.recording import Described, open_recordings
from runtime.errors import UsageError

ZIPS = Path(__file__).parents[2] / "data" / "cases" / "zips"
NAME = "BTCUSDT-trades-2021-01-08"
ROWS = "".join(f"{number},2,3,4,1610064000278,True,True\n" for number in range(100))


def lines_in(path: Path) -> list[bytes]:
    (recording,) = open_recordings([path], Described())
    return [line for chunk in recording.read() for line in chunk.lines]


def zipped(folder: Path, files: dict[str, str | bytes]) -> Path:
    path = folder / f"{NAME}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def gzipped(folder: Path, content: bytes, suffix: str = ".csv.gz") -> Path:
    path = folder / (NAME + suffix)
    path.write_bytes(gzip.compress(content))
    return path


@pytest.mark.parametrize("name", ["QAKUSDT-trades-2024-05-01.zip", "QAMUSDT-trades-2024-05-01.csv.gz"])
def test_what_the_field_packs_is_read(name: str) -> None:
    (recording,) = open_recordings([ZIPS / name], Described())
    trades = [recording.parse(line) for chunk in recording.read() for line in chunk.lines]
    assert {trade.key for trade in trades} == {f"binance:{name[:3]}-USDT"}
    assert len(trades) == 3
    assert recording.span is not None
    assert not recording.checksum_verified


@pytest.mark.parametrize(
    "beside",
    [
        {f"__MACOSX/._{NAME}.csv": b"\0\5\x16\7"},
        {".DS_Store": b"\0", "folder/.DS_Store": b"\0", "folder/": ""},
        {"Thumbs.db": b"\0", "folder/desktop.ini": "[x]"},
        {"README.txt": "what this is", f"{NAME}.csv.CHECKSUM": "0"},
    ],
)
def test_what_lies_beside_the_rows_in_a_zip_is_passed_over(beside: dict[str, str | bytes], tmp_path: Path) -> None:
    path = zipped(tmp_path, beside | {f"folder/{NAME}.csv": ROWS})
    assert len(lines_in(path)) == 100


@pytest.mark.parametrize(("files", "count"), [(("a.csv", "b.csv"), 2), (("a", "b"), 2), ((".DS_Store",), 0)])
def test_a_zip_that_holds_no_or_several_files_of_rows_is_told(
    files: tuple[str, ...], count: int, tmp_path: Path
) -> None:
    path = zipped(tmp_path, dict.fromkeys(files, ROWS))
    with pytest.raises(UsageError, match=f"holds {count} files where a dump holds one"):
        lines_in(path)


def test_the_name_in_a_zip_tells_what_its_own_name_does_not(tmp_path: Path) -> None:
    path = zipped(tmp_path, {f"folder/{NAME}.csv": ROWS}).rename(tmp_path / "download.zip")
    (recording,) = open_recordings([path], Described())
    assert recording.span is not None


def test_packed_lines_of_json_are_read(tmp_path: Path) -> None:
    assert lines_in(gzipped(tmp_path, b"{}\n{}\n", ".jsonl.gz")) == [b"{}", b"{}"]


def test_a_file_that_expands_without_measure_is_refused(tmp_path: Path) -> None:
    content = b"\n" * 10_000_000
    for path in (zipped(tmp_path, {"a.csv": content}), gzipped(tmp_path, content)):
        with pytest.raises(UsageError, match="expands more than"):
            lines_in(path)
    with pytest.raises(UsageError, match=f"longer than {MAX_LINE_BYTES} bytes"):
        lines_in(gzipped(tmp_path, b"0" * 10_000_000))


def test_a_packed_file_that_is_cut_short_or_changed_is_told(tmp_path: Path) -> None:
    for path in (zipped(tmp_path, {"a.csv": ROWS}), gzipped(tmp_path, ROWS.encode())):
        whole = path.read_bytes()
        for at in range(len(whole)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
            assert _lines_unless_told(path) in (None, ROWS.encode().splitlines())  # not every byte of a header counts
        for at in range(1, len(whole)):
            path.write_bytes(whole[:at])
            with pytest.raises(UsageError, match=f"not a whole {path.suffix[1:]} file"):
                lines_in(path)


def _lines_unless_told(path: Path) -> list[bytes] | None:
    try:
        return lines_in(path)
    except UsageError:
        return None


def checksummed(folder: Path, text: str | bytes) -> Path:
    path = zipped(folder, {f"{NAME}.csv": ROWS})
    beside = path.with_name(path.name + ".CHECKSUM")
    whole = hashlib.sha256(path.read_bytes()).hexdigest()
    text = text.encode() if isinstance(text, str) else text
    beside.write_bytes(text.replace(b"SUM", whole.encode()).replace(b"WRONG", b"0" * 64))
    return path


@pytest.mark.parametrize(
    "text",
    [f"SUM  {NAME}.zip\n", f"SUM *{NAME}.zip\r\n", "SUM", f"\ufeffSUM  {NAME}.zip", f"WRONG  x\n\nSUM  {NAME}.zip\n"],
)
def test_a_file_that_is_its_checksums_is_verified(text: str, tmp_path: Path) -> None:
    (recording,) = open_recordings([checksummed(tmp_path, text)], Described())
    assert recording.checksum_verified


@pytest.mark.parametrize("text", [f"WRONG  {NAME}.zip\n", "WRONG", f"SUM  x\nWRONG  {NAME}.zip\n"])
def test_a_file_that_is_not_its_checksums_is_refused(text: str, tmp_path: Path) -> None:
    path = checksummed(tmp_path, text)
    with pytest.raises(UsageError, match=rf"{path.name} is not the file that {path.name}.CHECKSUM belongs to"):
        open_recordings([path], Described())


@pytest.mark.parametrize("text", ["", "\n", "<html>not found</html>", "SUMS", b"\xff\xfe\0", f"SUM  a{NAME}\nSUM  b\n"])
def test_a_checksum_that_cannot_be_read_is_told(text: str | bytes, tmp_path: Path) -> None:
    path = checksummed(tmp_path, text)
    with pytest.raises(UsageError, match="does not hold the SHA-256 of"):
        open_recordings([path], Described())


def test_the_checksum_of_the_field_is_looked_at_before_the_file(tmp_path: Path) -> None:
    for path in ZIPS.glob("QAL*"):
        shutil.copy(path, tmp_path)
    (dump,) = tmp_path.glob("*.zip")
    for _ in range(2):
        with pytest.raises(UsageError, match="fetch both again"):
            open_recordings([dump], Described())
        dump.write_bytes(b"no zip at all")
    (tmp_path / f"{dump.name}.CHECKSUM").unlink()
    (tmp_path / f"{dump.name}.CHECKSUM").mkdir()
    with pytest.raises(UsageError, match="CHECKSUM cannot be read"):
        open_recordings([dump], Described())
