"""Keys: made, revoked, rotated, kept in a file; and never told."""

import asyncio
import stat
from pathlib import Path

import pytest
from eventually import eventually

from runtime.errors import UsageError
from serving.access.key_file import LOOK_S, WatchedKeys, change_keys, read_keys
from serving.access.keys import (
    ApiDataset,
    ApiKey,
    KeyRing,
    RateTier,
    decode_keys,
    encode_keys,
    hash_of,
    key_text,
    without_keys,
)

FIRST, SECOND = key_text(b"\x00" * 32), key_text(b"\xff" * 32)


def made(name: str, text: str) -> ApiKey:
    return ApiKey(name=name, sha256=hash_of(text), tier=RateTier.PRO, datasets=(ApiDataset.CANDLES,), created_ms=1)


def test_a_key_is_known_until_it_is_revoked_and_only_by_its_whole_text() -> None:
    ring = KeyRing().with_key(made("a", FIRST)).revoked("a", 1000)
    assert ring.holder(FIRST, 999) == ring.keys[0]
    assert ring.holder(FIRST, 1000) is None
    assert ring.holder(FIRST[:-1], 999) is None
    assert ring.holder(hash_of(FIRST), 999) is None
    assert FIRST.encode() not in encode_keys(ring)
    assert decode_keys(encode_keys(ring)).keys == ring.keys


def test_a_rotated_key_has_the_same_rights_and_the_one_before_ends_later() -> None:
    ring = KeyRing().with_key(made("a", FIRST)).rotated("a", hash_of(SECOND), now_ms=50, until_ms=100)
    before, after = ring.holder(FIRST, 99), ring.holder(SECOND, 1_000)
    assert before is not None
    assert after is not None
    assert (after.name, after.tier, after.datasets, after.created_ms) == ("a", RateTier.PRO, (ApiDataset.CANDLES,), 50)
    assert ring.holder(FIRST, 100) is None
    assert ring.revoked("a", 60).holder(FIRST, 60) is None  # a revocation is not put off by the grace
    assert ring.revoked("a", 60).holder(SECOND, 60) is None


def test_what_cannot_be_is_refused_in_a_sentence() -> None:
    ring = KeyRing().with_key(made("a", FIRST))
    for wrong in (
        lambda: ring.with_key(made("a", SECOND)),
        lambda: ring.with_key(made("a b", SECOND)),
        lambda: ring.with_key(made("é", SECOND)),
        lambda: ring.revoked("b", 1),
        lambda: ring.revoked("a", 1).revoked("a", 2),
        lambda: ring.revoked("a", 1).rotated("a", hash_of(SECOND), now_ms=2, until_ms=3),
    ):
        with pytest.raises(UsageError):
            wrong()


def test_what_looks_like_a_key_is_crossed_out() -> None:
    assert without_keys(f"/x?k={FIRST}&y={SECOND}") == "/x?k=cw_***&y=cw_***"
    assert without_keys("cw_short") == "cw_short"


def test_the_file_is_private_and_changed_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keys.json"
    assert read_keys(path).keys == ()
    change_keys(path, lambda ring: ring.with_key(made("a", FIRST)))
    with pytest.raises(UsageError):
        change_keys(path, lambda ring: ring.with_key(made("a", SECOND)))
    assert [key.name for key in read_keys(path).keys] == ["a"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"[]", b'{"keys":[{"name":"a"}]}', b'{"keys":[],"more":1}', b"\xff"])
def test_another_file_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="no file of keys"):
        read_keys(path)


async def test_a_server_sees_changes_and_keeps_what_it_knew_while_the_file_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    watched = WatchedKeys(path)
    watching = asyncio.create_task(watched.watching())
    change_keys(path, lambda ring: ring.with_key(made("a", FIRST)))
    await eventually(lambda: watched.ring.holder(FIRST, 5), timeout_s=2 * LOOK_S)
    path.write_bytes(b"{")
    await asyncio.sleep(1.2 * LOOK_S)  # it has looked
    assert watched.ring.holder(FIRST, 5)
    path.unlink()
    await eventually(lambda: not watched.ring.keys, timeout_s=2 * LOOK_S)
    watching.cancel()
