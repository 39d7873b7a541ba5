"""Which partition a key belongs in: murmur2, the default of Java clients, aiokafka and Faust."""

from functools import lru_cache

from market.errors import MalformedError

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 hash of Kafka's default partitioner, seed 0x9747b28c, unsigned."""
    length = len(data)
    h = 0x9747B28C ^ length
    for start in range(0, length - 3, 4):
        k = int.from_bytes(data[start : start + 4], "little") * _M & _MASK
        h = (h * _M & _MASK) ^ ((k ^ k >> 24) * _M & _MASK)
    if tail := data[length & ~3 :]:
        h = (h ^ int.from_bytes(tail, "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


@lru_cache(maxsize=16_384)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of `key` in a topic of that many partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def check_place(key: bytes | None, market_key: str, partition: int, partitions: int) -> None:
    """Check that a record about the market `market_key` has that key, and stands in that key's partition.

    Raises `MalformedError` otherwise.
    """
    if key != market_key.encode():
        raise MalformedError(f"key {key!r} over a record of {market_key!r}")
    if (right := partition_of(key, partitions)) != partition:
        raise MalformedError(f"key {market_key!r} belongs in partition {right}, not {partition}")
