"""What one connection subscribes to: its symbols, less those whose subscription the exchange refuses. Pure.

Some exchanges refuse a whole request because of one symbol that they do not trade any more. So that symbol is left out,
and the others go on:

- It is known if the exchange names it, or if it was alone in its request.
- If it is not, the next connection asks for each symbol in a request of its own (`Opening.singly`).

A refusal of which nothing is known even then ends the connection, as any failure does.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from producers.exchange import Message, Opening


class Refusal(NamedTuple):
    """What follows from a refusal."""

    left_out: Sequence[str]
    """Native names that are not subscribed to any more."""
    ends: bool
    """The connection does not carry all that is left: the next one will."""
    is_understood: bool
    """The next connection will ask otherwise: it need not wait."""


class SubscriptionPlan:
    """The symbols of one connection, and how they are asked for. `symbols`: native name to ours."""

    def __init__(self, symbols: Mapping[str, str]) -> None:
        self.symbols = dict(symbols)
        """Those that are not left out."""
        self._singly = False

    def frames(self, opening: Opening) -> tuple[str, ...]:
        """What opens the next connection."""
        return (opening.singly or opening.frames) if self._singly else opening.frames

    def taken(self) -> None:
        """Note that a connection carries all."""
        self._singly = False

    def refuse(self, message: Message) -> Refusal:
        """Take in a message that says that a subscription is not taken (`Message.rejected`)."""
        untaken = [native for native in message.untaken if native in self.symbols]
        if message.untaken and not untaken:  # all of it was left out before
            return Refusal((), ends=not self.symbols, is_understood=False)
        left_out = untaken if len(message.untaken) == 1 else [native for native in untaken if native == message.culprit]
        for native in left_out:
            del self.symbols[native]
        if left_out:
            return Refusal(left_out, ends=len(untaken) > len(left_out) or not self.symbols, is_understood=True)
        was_singly, self._singly = self._singly, bool(message.untaken)
        return Refusal((), ends=True, is_understood=self._singly and not was_singly)
