"""How much a caller has asked for within the last minute, counted in Redis for all processes together.

A log of what was taken, and when, slides with the time. Its clock is the server's own: processes need not agree on one.
"""

from typing import NamedTuple

from sinks.redis.connect import HotClient
from sinks.redis.keys import allowance_key
from sinks.redis.scripts import Call, Script

_SCRIPT = Script("allowance.lua")


class UnusedWeight(NamedTuple):
    """Weight of an earlier grant that was not used."""

    weight: int = 0
    taken_us: str = ""
    """As the grant said."""


class Grant(NamedTuple):
    """What Redis answered. `weight` is 0 where not even the least fits."""

    weight: int
    taken_us: str
    """Its time by the server's clock; names it where a rest is given back."""
    left: int
    """What nobody has taken yet."""
    wait_s: float
    """Until the least fits, if nobody else takes anything."""
    reset_s: float
    """Until the oldest weight is free again."""


async def take_allowance(
    client: HotClient,
    prefix: str,
    caller: str,
    *,
    limit: int,
    window_s: float,
    least: int,
    most: int,
    rest: UnusedWeight = UnusedWeight(),  # noqa: B008  # immutable
) -> Grant:
    """Take from `least` to `most` of the caller's allowance, as much as fits; one call. Raises what the client raises.

    Args:
        client: a connection of `sinks.redis.connect`.
        prefix: the pipeline's.
        caller: a name without braces.
        limit: the weight that fits into `window_s`.
        window_s: the length of the window, which ends now.
        least: if this does not fit nothing is taken.
        most: what is taken if it fits.
        rest: is given back first.
    """
    arguments = (limit, int(window_s * 1_000_000), least, most, rest.weight, rest.taken_us)
    (answer,) = await _SCRIPT.call(client, [Call((allowance_key(prefix, caller),), arguments)])
    granted, taken_us, left, wait_us, reset_us = answer
    return Grant(int(granted), taken_us.decode(), int(left), int(wait_us) / 1e6, int(reset_us) / 1e6)
