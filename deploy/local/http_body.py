"""Bodies of HTTP messages: read up to a limit, packed and unpacked by their encoding."""

import gzip
import zlib
from collections.abc import AsyncIterator

import lz4.frame
import zstandard

MAX_BYTES = 256 * 1024 * 1024


class BodyError(Exception):
    """The body is too large or not what its encoding says."""


class TooLargeError(BodyError):
    """The body is over the limit, as it comes or unpacked."""

    def __init__(self) -> None:
        super().__init__(f"the request is larger than {MAX_BYTES} bytes: send fewer rows at a time")


async def read(chunks: AsyncIterator[bytes]) -> bytes:
    """All of a body as it comes."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MAX_BYTES:
            raise TooLargeError
    return bytes(body)


def unpack(data: bytes, encoding: str) -> bytes:
    """The bytes behind a Content-Encoding."""
    unpacked: bytes
    try:
        match encoding:
            case "" | "identity":
                unpacked = data
            case "lz4":
                unpacked = lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=MAX_BYTES + 1)
            case "zstd":
                with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
                    unpacked = reader.read(MAX_BYTES + 1)
            case "gzip" | "deflate":
                unpacked = zlib.decompressobj(47).decompress(data, MAX_BYTES + 1)  # 47: either header
            case _:
                raise BodyError(f"Content-Encoding {encoding} is not known")
    except (RuntimeError, zstandard.ZstdError, zlib.error) as error:
        raise BodyError(f"the body is not {encoding}: {error}") from error
    if len(unpacked) > MAX_BYTES:
        raise TooLargeError
    return unpacked


def pack(data: bytes, accepted: str) -> tuple[bytes, str | None]:
    """The bytes in the first of the accepted encodings that is known, and its name."""
    for encoding in (entry.split(";")[0].strip() for entry in accepted.split(",")):
        match encoding:
            case "lz4":
                return lz4.frame.compress(data), encoding
            case "zstd":
                return zstandard.ZstdCompressor(level=1).compress(data), encoding
            case "gzip":
                return gzip.compress(data, 1), encoding
    return data, None
