"""The simulator's chance: every draw is a hash of the seed and of what it is drawn for, so history needs no state."""

import hashlib
import struct

_MASK = (1 << 64) - 1


def key_of(*parts: object) -> int:
    """64 bits that stand for `parts`; the same on every machine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def mix(value: int) -> int:
    """64 well mixed bits of a number (the finalizer of splitmix64; Steele, Lea and Flood, 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


def words(key: int, count: int) -> tuple[int, ...]:
    """`count` independent 64-bit words drawn for `key`."""
    return struct.unpack(f"<{count}Q", hashlib.shake_128(struct.pack("<Q", key)).digest(8 * count))
