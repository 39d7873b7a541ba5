"""Names of capture files: by them files are put in order without being opened. Pure.

``binance.ws.3.1610064000012345.zst`` holds what came on connection 3 from that time (microseconds) on.
"""

import re
from typing import NamedTuple

_name = re.compile(r"([a-z0-9-]+)\.ws\.([0-9]{1,6})\.([0-9]{1,17})\.zst").fullmatch


class CaptureName(NamedTuple):
    """What the name of a capture file says."""

    exchange: str
    connection: int
    time_us: int
    """When it was begun."""

    def __str__(self) -> str:
        return f"{self.exchange}.ws.{self.connection}.{self.time_us}.zst"

    @classmethod
    def parse(cls, name: str) -> "CaptureName | None":
        """None: the name is not one that we give."""
        parts = _name(name)
        return None if parts is None else cls(parts[1], int(parts[2]), int(parts[3]))
