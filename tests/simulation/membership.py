"""A simulated group coordinator: every rebalance stops the world, as aiokafka's do."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka.errors import UnknownMemberIdError
from aiokafka.structs import TopicPartition
from loop import Process
from network import Network

SESSION_TIMEOUT_S = 10.0


@dataclass(eq=False)
class Member:
    """One member; `rejoin` is set when it is to join anew, and it hears of that with its next heartbeat."""

    name: str
    instance: str | None
    process: Process
    rejoin: asyncio.Event = field(default_factory=asyncio.Event)
    joined: "asyncio.Future[frozenset[TopicPartition]] | None" = None
    """Its join that waits for the others."""
    assigned: frozenset[TopicPartition] = frozenset()
    silent: bool = False
    """Its client has stopped: no heartbeat comes any more."""


class Group:
    """The members of one group over one topic, and who holds what."""

    def __init__(self, network: Network, tps: list[TopicPartition], note: Callable[..., None]) -> None:
        self._network = network
        self._tps = tps
        self._note = note
        self._members: list[Member] = []
        self._rebalancing = False

    def join(self, member: Member) -> "asyncio.Future[frozenset[TopicPartition]]":
        """What the member will hold, once all have joined."""
        if member.silent or member.process.dead or member.process.frozen:  # it sent this, and was heard of no more
            self.suspect(member)
        if member.instance is not None and member not in self._members:
            for other in [other for other in self._members if other.instance == member.instance]:
                self._members[self._members.index(other)] = member
                _refuse(other)
                if not self._rebalancing:  # the same hands over to the same
                    member.assigned = other.assigned
                    done: asyncio.Future[frozenset[TopicPartition]] = self._network.loop.create_future()
                    done.set_result(member.assigned)
                    self._note("replace", member.name)
                    return done
        if member not in self._members:
            self._members.append(member)
        member.joined = joined = self._network.loop.create_future()
        self._rebalance(but=member)
        self._complete()
        return joined

    def leave(self, member: Member) -> None:
        """A member that goes by itself; a static one only stops."""
        if member.instance is None:
            self._remove(member)

    def knows(self, member: Member) -> None:
        """Raise where the coordinator removed it, and it does not know yet."""
        if member not in self._members:
            raise UnknownMemberIdError

    def of(self, process: Process) -> list[Member]:
        return [member for member in self._members if member.process is process]

    def suspect(self, member: Member) -> None:
        """Its heartbeats have stopped: see later whether they came back."""
        self._network.later(SESSION_TIMEOUT_S, self._expire, member, member.process.steps)

    def _expire(self, member: Member, steps: int) -> None:
        process = member.process
        if member.silent or process.dead or (process.frozen and process.steps == steps):
            self._remove(member)

    def _remove(self, member: Member) -> None:
        if member in self._members:
            self._note("gone", member.name)
            self._members.remove(member)
            _refuse(member)
            self._rebalance(but=member)
            self._complete()

    def _rebalance(self, but: Member) -> None:
        self._rebalancing = True
        for member in self._members:
            if member is not but and member.joined is None:
                member.rejoin.set()

    def _complete(self) -> None:
        """All are there: deal the partitions out in ranges, by name."""
        if not self._members or any(member.joined is None for member in self._members):
            return
        self._rebalancing = False
        ordered = sorted(self._members, key=lambda member: member.instance or member.name)
        each, more = divmod(len(self._tps), len(ordered))
        begin = 0
        for number, member in enumerate(ordered):
            end = begin + each + (number < more)
            member.assigned = frozenset(self._tps[begin:end])
            self._note("assign", member.name, begin, end)
            begin = end
            assert member.joined is not None
            if not member.joined.cancelled():
                member.joined.set_result(member.assigned)
            member.joined = None


def _refuse(member: Member) -> None:
    """The coordinator knows this member no more: it has to join anew."""
    member.rejoin.set()
    if member.joined is not None and not member.joined.done():
        member.joined.set_exception(UnknownMemberIdError())
    member.joined = None
