"""The checksum that an exchange offers beside a dump, ``NAME.zip.CHECKSUM``: a SHA-256 and the file's name."""

import hashlib
import re
from pathlib import Path

from runtime.errors import UsageError

_SUFFIX = ".CHECKSUM"
_MAX_BYTES = 64 * 1024
_is_line = re.compile(r"(?P<sum>[0-9a-fA-F]{64})(?:\s+\*?(?P<name>\S.*))?").fullmatch


def is_verified(path: Path) -> bool:
    """Whether `path` has the checksum that lies beside it; False if there is no checksum.

    Raises `UsageError` if the file has another checksum, or if one of the two files cannot be read.
    """
    beside = path.with_name(path.name + _SUFFIX)
    try:
        if not beside.exists():
            return False
        expected = _expected(beside, path.name)
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror or error}") from error
    if actual != expected:
        raise UsageError(
            f"{path} is not the file that {beside.name} belongs to: its SHA-256 is {actual}; fetch both again"
        )
    return True


def _expected(beside: Path, name: str) -> str:
    """The checksum of the file `name`: in the only line, or in the line with that name."""
    with beside.open("rb") as file:
        text = file.read(_MAX_BYTES).decode(errors="replace")
    lines = [_is_line(line.strip()) for line in text.removeprefix("\ufeff").splitlines() if line.strip()]
    of_file = lines if len(lines) == 1 else [line for line in lines if line and line["name"] == name]
    if len(of_file) != 1 or of_file[0] is None:
        raise UsageError(f"{beside} does not hold the SHA-256 of {name}: fetch it again, or remove it")
    return of_file[0]["sum"].lower()
