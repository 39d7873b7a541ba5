"""API keys: who holds one, what it may ask, until when. Pure.

A key is ``cw_`` and 256 random bits. Only its SHA-256 is kept. A slow hash, as for passwords, would protect nothing:
such keys cannot be guessed one by one, whereas every request would pay for it, and anybody could make the server pay.
A key is looked up by its hash, so what a comparison of hashes takes in time says nothing of any key.
"""

import base64
import hashlib
import re
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import TypeVar

import msgspec

from runtime.errors import UsageError

ScopeName = TypeVar("ScopeName", bound=str)

MOST_KEYS = 10_000
"""In one file, the revoked ones too: names are never given again, so that the audit log stays clear."""
KEY_BYTES = 32
_KEY = "cw_"
_any_key = re.compile(rf"{_KEY}[A-Za-z0-9_-]{{40,}}")
_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}").fullmatch
_exchange = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}").fullmatch


class RateTier(StrEnum):
    """How much a caller may ask in a minute; and, when the server is overloaded, who comes first: the last of these."""

    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"


class ApiDataset(StrEnum):
    """What a key may be limited to."""

    CANDLES = "candles"
    TRADES = "trades"
    TICKERS = "tickers"
    SIGNALS = "signals"
    BARS = "bars"
    FUNDING = "funding"
    FEEDS = "feeds"
    INSTRUMENTS = "instruments"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key. It is unlimited in what is None."""

    name: str
    sha256: str
    """Of the key's text, in hexadecimal."""
    tier: RateTier
    exchanges: tuple[str, ...] | None = None
    datasets: tuple[ApiDataset, ...] | None = None
    created_ms: int
    until_ms: int | None = None
    """From then on it is revoked."""

    def is_valid(self, now_ms: int) -> bool:
        """Whether it is not revoked."""
        return self.until_ms is None or now_ms < self.until_ms


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[ApiKey]


class KeyRing:
    """All keys; never changed, but replaced by another. Several may have one name while one takes over from another."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self.keys = tuple(keys)
        self._by_hash = {key.sha256: key for key in self.keys}

    def holder(self, text: str, now_ms: int) -> ApiKey | None:
        """The key of this text, if there is one and it is not revoked."""
        key = self._by_hash.get(hash_of(text))
        return key if key is not None and key.is_valid(now_ms) else None

    def with_key(self, key: ApiKey) -> "KeyRing":
        """This and another key. Raises `UsageError` where its name is not new or cannot be one."""
        if not _name(key.name):
            raise UsageError(f"'{key.name}' can't be a key's name: use up to 64 letters, digits, dots, _ and -")
        if any(other.name == key.name for other in self.keys):
            raise UsageError(f"there is a key {key.name} already: choose another name, or candlewick keys rotate")
        for exchange in key.exchanges or ():
            if not _exchange(exchange):
                raise UsageError(f"'{exchange}' is no exchange's name: give names such as binance,okx")
        return _extended(self.keys, key)

    def revoked(self, name: str, until_ms: int) -> "KeyRing":
        """All keys of this name are valid until then, or until an earlier time that was set before.

        Raises `UsageError` where there are none, or all are revoked already.
        """
        if not any(key.is_valid(until_ms) for key in self._named(name)):
            raise UsageError(f"the key {name} is revoked already")
        return KeyRing(_ending(key, until_ms) if key.name == name else key for key in self.keys)

    def rotated(self, name: str, sha256: str, *, now_ms: int, until_ms: int) -> "KeyRing":
        """A new key with the name, tier and scopes of the newest; the earlier ones are valid until `until_ms`.

        Raises `UsageError` where there is no such key, or it is revoked.
        """
        newest = self._named(name)[-1]
        if newest.until_ms is not None:
            raise UsageError(f"the key {name} is revoked: make another with candlewick keys add")
        ended = self.revoked(name, until_ms)
        return _extended(ended.keys, msgspec.structs.replace(newest, sha256=sha256, created_ms=now_ms, until_ms=None))

    def _named(self, name: str) -> list[ApiKey]:
        keys = [key for key in self.keys if key.name == name]
        if not keys:
            raise UsageError(f"there is no key {name}: candlewick keys list shows all")
        return keys


def key_text(random_bytes: bytes) -> str:
    """The text of a key, of `KEY_BYTES` random bytes."""
    return _KEY + base64.urlsafe_b64encode(random_bytes).rstrip(b"=").decode()


def hash_of(text: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def without_keys(text: str) -> str:
    """The text with whatever looks like a key of ours crossed out: for logs."""
    return _any_key.sub(f"{_KEY}***", text) if _KEY in text else text


def encode_keys(ring: KeyRing) -> bytes:
    """The file's content, JSON."""
    return msgspec.json.format(msgspec.json.encode(_Written(list(ring.keys))), indent=2) + b"\n"


def decode_keys(content: bytes) -> KeyRing:
    """The keys of a file. Raises `ValueError` where it is not one of ours."""
    return KeyRing(msgspec.json.decode(content, type=_Written).keys)


def sorted_or_none(names: Collection[ScopeName]) -> tuple[ScopeName, ...] | None:
    """A scope as it is kept; nothing named means everything."""
    return tuple(sorted(set(names))) or None


def _extended(keys: tuple[ApiKey, ...], key: ApiKey) -> KeyRing:
    if len(keys) >= MOST_KEYS:
        raise UsageError(f"there are {MOST_KEYS:,} keys already: start another file (CANDLEWICK_KEYS)")
    return KeyRing((*keys, key))


def _ending(key: ApiKey, until_ms: int) -> ApiKey:
    if key.until_ms is not None and key.until_ms <= until_ms:
        return key
    return msgspec.structs.replace(key, until_ms=until_ms)
