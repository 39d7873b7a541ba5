"""Who asks: the holder of a key, or an address. Pure."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from serving.access.keys import ApiDataset, KeyRing, RateTier
from serving.access.refusal import Reason, RequestRefusedError

_BEARER = "bearer"
_KEY_HEADERS = {b"x-api-key", b"x-mbx-apikey"}
"""The second is that of clients which are written for Binance."""
_IPV6_NETWORK = 64
"""Bits that one customer of a provider usually has at least: so many addresses are one caller."""


class Caller(NamedTuple):
    """Who asks, and what is allowed. `name` is for counting and for the audit log: ``key:NAME`` or ``ip:ADDRESS``."""

    name: str
    tier: RateTier
    exchanges: tuple[str, ...] | None = None
    datasets: tuple[ApiDataset, ...] | None = None
    has_key: bool = False


def credential_in(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The key that was sent; None where none was. Raises `RequestRefusedError` where it is sent wrongly."""
    sent = None
    for name, value in headers:
        if name == b"authorization":
            scheme, _, text = value.decode("latin-1").partition(" ")
            if scheme.lower() != _BEARER:
                raise _wrong_key("send the key as Authorization: Bearer KEY, or as X-API-Key: KEY")
        elif name in _KEY_HEADERS:
            text = value.decode("latin-1")
        else:
            continue
        if sent not in (None, text.strip()):
            raise _wrong_key("send one key, not two different ones")
        sent = text.strip()
    return sent


def identify(sent: str | None, unnamed: Caller, ring: KeyRing, *, now_ms: int, anonymous: bool) -> Caller:
    """The holder of the key that was sent, else `unnamed`, if `anonymous`.

    Raises `RequestRefusedError` where the key is unknown or revoked, or one is needed.
    """
    if sent is None:
        if not anonymous:
            raise _wrong_key("send an API key: Authorization: Bearer KEY, or X-API-Key: KEY", challenge="Bearer")
        return unnamed
    key = ring.holder(sent, now_ms)
    if key is None:
        raise _wrong_key("this API key is not known, or it is revoked")
    return Caller(f"key:{key.name}", key.tier, key.exchanges, key.datasets, has_key=True)


@lru_cache(maxsize=4_096)
def nameless(address: str) -> Caller:
    """A caller without a key, known by the address."""
    try:
        number = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a socket without addresses
        return Caller("ip:unknown", RateTier.FREE)
    if isinstance(number, ipaddress.IPv6Address):
        if number.ipv4_mapped is None:
            network = ipaddress.ip_network((number, _IPV6_NETWORK), strict=False)
            return Caller(f"ip:{network}", RateTier.FREE)
        number = number.ipv4_mapped
    return Caller(f"ip:{number}", RateTier.FREE)


def _wrong_key(detail: str, challenge: str = 'Bearer error="invalid_token"') -> RequestRefusedError:
    """401, with the challenge of RFC 6750, section 3."""
    return RequestRefusedError(Reason.KEY, HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})
