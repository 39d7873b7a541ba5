"""Streams into files: whole, or not there."""

import os
import uuid
from pathlib import Path

from msgspec import Struct

from serving.client.connection import OpenStream
from serving.planner import Tier


class ApiFile(Struct, frozen=True, kw_only=True):
    """A whole answer in a file, and the tiers that were away when it began."""

    path: Path
    bytes: int
    away: list[Tier]


def write_stream(stream: OpenStream, path: Path) -> ApiFile:
    """Write it part by part beside `path`, and give it that name when it is whole.

    Raises `ApiError` where the stream breaks and `OSError` where it cannot be written; then nothing of it is left.
    """
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")  # of its own: others may write the same file
    try:
        with draft.open("xb") as file:
            for part in stream.parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            size_bytes = file.tell()
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return ApiFile(path=path, bytes=size_bytes, away=stream.away)
