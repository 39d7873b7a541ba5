"""Reaching Redis, one server or a cluster, and the one place where its clients' errors become ours."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from runtime.errors import CandlewickError, UnavailableError, UsageError

HotClient = Redis | RedisCluster
_CLUSTER = "+cluster"
"""As in ``redis+cluster://HOST:PORT``: any node of it; the others are asked for."""
_TIMEOUT_S = 10.0
_SHARDED_PUBSUB = 7
"""The version of Redis that began it; Valkey says 7 as well."""
_PASSING = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.TryAgainError,
    exceptions.ClusterError,
    OSError,
)
_REFUSED = (exceptions.AuthenticationError, exceptions.AuthorizationError)
_NO_DATABASE = "DB index is out of range"
_NO_CLUSTER = "Cluster mode is not enabled"
_WITHOUT_WRITES = (exceptions.OutOfMemoryError, exceptions.ReadOnlyError)
_PASSING_WORDS = ("OOM", "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "MISCONF", "NOREPLICAS", "BUSY")


def connect(url: str, *, retries: int = 1) -> HotClient:
    """An asyncio client that answers bytes; nothing is sent yet. Close it with ``await client.aclose()``.

    `retries`: how often it tries again by itself after a broken connection.
    Raises `UsageError` if `url` is no Redis URL.
    """
    options: dict[str, Any] = {
        "socket_timeout": _TIMEOUT_S,
        "socket_connect_timeout": _TIMEOUT_S,
        "protocol": 2,
        "retry": Retry(NoBackoff(), retries),
    }
    try:
        if is_cluster(url):
            return RedisCluster.from_url(url.replace(_CLUSTER, "", 1), **options)
        return Redis.from_url(url, **options)
    except (ValueError, exceptions.RedisClusterException) as error:
        raise UsageError(
            f"CANDLEWICK_REDIS is no Redis URL (redis://HOST:PORT/0, redis+cluster://HOST:PORT): {error}"
        ) from None


async def disconnect(client: HotClient) -> None:
    """Close all connections."""
    await client.aclose()
    if isinstance(client, RedisCluster):  # where it did not reach every node, it has left connections open
        await client.nodes_manager.aclose()
        await client.nodes_manager.aclose("startup_nodes")


def takes_any_keys(client: HotClient) -> bool:
    """Whether a script call may have keys of several hash tags: not in a cluster."""
    return isinstance(client, Redis)


def is_cluster(url: str) -> bool:
    """Whether the URL says so."""
    return urlsplit(url).scheme.endswith(_CLUSTER)


@contextmanager
def redis_errors(url: str) -> Iterator[None]:
    """Turn what the clients raise into `UnavailableError` (it may pass by itself) or `CandlewickError`."""
    where = urlsplit(url).hostname
    try:
        with _causes():
            yield
    except exceptions.NoPermissionError as error:
        raise CandlewickError(
            f"Redis at {where} does not let this user write: {error}; give the user in CANDLEWICK_REDIS the rights "
            "that docs/stores.md names"
        ) from error
    except _REFUSED as error:
        raise CandlewickError(
            f"Redis at {where} refuses the user or password: check CANDLEWICK_REDIS ({error})"
        ) from error
    except exceptions.AskError as error:  # a slot is elsewhere
        if is_cluster(url):
            raise UnavailableError(f"the Redis cluster at {where} moves slots: {error}") from error
        raise CandlewickError(
            f"Redis at {where} is a node of a cluster: say redis+cluster:// in CANDLEWICK_REDIS"
        ) from error
    except _PASSING as error:
        raise UnavailableError(f"Redis at {where} is away: {error}") from error
    except exceptions.RedisError as error:
        if isinstance(error, _WITHOUT_WRITES) or any(word in str(error) for word in _PASSING_WORDS):
            raise UnavailableError(f"Redis at {where} cannot take writes now: {error}") from error
        if _NO_CLUSTER in str(error):
            raise CandlewickError(
                f"Redis at {where} is no cluster: say redis:// or rediss:// in CANDLEWICK_REDIS"
            ) from error
        if _NO_DATABASE in str(error):
            raise CandlewickError(
                f"Redis at {where} has no database of that number: check the end of CANDLEWICK_REDIS"
            ) from error
        raise CandlewickError(f"Redis at {where} refuses: {error}; is another program writing these keys?") from error


@contextmanager
def _causes() -> Iterator[None]:
    """A cluster's client wraps what stopped it from reaching any node: that says more."""
    try:
        yield
    except exceptions.RedisClusterException as error:
        if _NO_CLUSTER in str(error):
            raise exceptions.ResponseError(str(error)) from error
        cause = error.__cause__
        raise cause if isinstance(cause, exceptions.RedisError) else exceptions.ConnectionError(str(error)) from error


class Servers(NamedTuple):
    """What runs behind a client."""

    run_ids: frozenset[str]
    """Of each server that takes writes; a server that is started again has another."""
    publish: str
    """The command that tells changes: in a cluster whose servers can (Redis 7, Valkey) ``SPUBLISH``.

    ``PUBLISH`` would go to every node of the cluster.
    """


async def ask_servers(client: HotClient) -> Servers:
    """Ask all of them. Raises what the client raises."""
    if isinstance(client, Redis):
        return Servers(frozenset({(await client.info("server"))["run_id"]}), "PUBLISH")
    await client.initialize()
    answers = await asyncio.gather(*(client.info("server", target_nodes=node) for node in client.get_primaries()))
    can_shard = all(int(said["redis_version"].partition(".")[0]) >= _SHARDED_PUBSUB for said in answers)
    return Servers(frozenset(said["run_id"] for said in answers), "SPUBLISH" if can_shard else "PUBLISH")
