"""What is kept of the hot store's answers, and for how long."""

import asyncio

import pytest
from eventually import eventually

from serving.hot_cache import HotCache
from serving.kept import KeptAnswer


class Told:
    """Says of every key that its changes are told, once somebody asked."""

    def __init__(self) -> None:
        self.heard: set[str] = set()

    def hears(self, key: str) -> bool:
        return key in self.heard

    async def hear(self, key: str) -> None:
        self.heard.add(key)

    async def forget(self, key: str) -> None:
        self.heard.discard(key)


class Store:
    """Counts how often it is read; a read can be held up."""

    def __init__(self) -> None:
        self.reads = 0
        self.value = b"a"
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def read(self) -> KeptAnswer:
        self.reads += 1
        value = self.value
        await self.go_on.wait()
        return KeptAnswer(value, b"tag")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def cache(told: Told) -> HotCache:
    cache = HotCache()
    cache.told = told
    return cache


async def body(cache: HotCache, store: Store, key: str = "key", name: int = 1) -> bytes:
    answer = await cache.answer(key, name, store.read)
    assert answer is not None
    return answer.body


async def test_an_answer_is_read_once_until_its_key_changes(cache: HotCache) -> None:
    store = Store()
    await body(cache, store)  # changes are told from now on
    for _ in range(5):
        assert await body(cache, store) == b"a"
    assert store.reads == 2
    store.value = b"b"
    cache.change("another")
    assert await body(cache, store) == b"a"
    cache.change("key")
    assert await body(cache, store) == b"b"


async def test_nothing_is_kept_while_changes_are_not_told(cache: HotCache, told: Told) -> None:
    store = Store()
    await body(cache, store)
    await body(cache, store)
    told.heard.clear()
    cache.change_all()
    store.value = b"b"
    assert await body(cache, store) == b"b"
    told.heard.clear()
    store.value = b"c"
    assert await body(cache, store) == b"c"


async def test_a_thousand_who_ask_at_once_cause_one_read(cache: HotCache) -> None:
    store = Store()
    await body(cache, store)
    cache.change("key")
    store.go_on.clear()
    asked = [asyncio.ensure_future(body(cache, store)) for _ in range(1000)]
    await eventually(lambda: store.reads == 2)
    store.go_on.set()
    assert set(await asyncio.gather(*asked)) == {b"a"}
    assert store.reads == 2


async def test_a_read_that_a_change_overtook_is_not_kept_nor_shared_with_those_who_ask_later(cache: HotCache) -> None:
    store = Store()
    await body(cache, store)
    cache.change("key")
    store.go_on.clear()
    before = asyncio.ensure_future(body(cache, store))
    await eventually(lambda: store.reads == 2)
    store.value = b"b"
    cache.change("key")
    after = asyncio.ensure_future(body(cache, store))
    await eventually(lambda: store.reads == 3)
    store.go_on.set()
    assert (await before, await after) == (b"a", b"b")
    assert await body(cache, store) == b"b"
    assert store.reads == 3


async def test_what_one_client_gives_up_is_still_read_for_the_others(cache: HotCache) -> None:
    store = Store()
    store.go_on.clear()
    first, second = (asyncio.ensure_future(body(cache, store)) for _ in range(2))
    await eventually(lambda: store.reads == 1)
    first.cancel()
    store.go_on.set()
    assert await second == b"a"


async def test_a_failed_read_is_told_to_all_who_wait_and_asked_again_by_the_next(cache: HotCache) -> None:
    async def fail() -> KeptAnswer:
        raise ConnectionError

    waiting = [asyncio.ensure_future(cache.answer("key", 1, fail)) for _ in range(2)]
    assert [type(error) for error in await asyncio.gather(*waiting, return_exceptions=True)] == [ConnectionError] * 2
    assert await body(cache, Store()) == b"a"


async def test_what_was_asked_for_longest_ago_is_let_go_and_no_longer_heard(told: Told) -> None:
    cache = HotCache(most_keys=2)
    cache.told = told
    store = Store()
    for key in ("a", "b", "c"):
        await body(cache, store, key)
    await eventually(lambda: told.heard == {"b", "c"})


async def test_all_answers_together_have_no_more_bytes_than_they_may(told: Told) -> None:
    told.heard |= {"a", "b", "c", "d"}
    cache = HotCache(most_bytes=3)
    cache.told = told
    store = Store()
    for key in ("a", "b", "c", "a", "d"):
        await body(cache, store, key)
    assert store.reads == 4
    for key in ("c", "a", "d"):
        await body(cache, store, key)
    assert store.reads == 4
    await body(cache, store, "b")
    assert store.reads == 5
