"""How far what is in Redis goes, so that no lost write is skipped. Pure.

A killed Redis may have lost the last writes that it acknowledged; in a cluster, one node alone may. A node loses the
end of what it wrote, and a script's writes all together: so a position is safe only beside its data, under the same
hash tag. It stands there for each tag (`written_key`: every record of the tag below it is written), and once more,
later, in the record of the partition (`positions_key`), together with the position of the partition.

So reading goes on from the partition's position, unless a tag is written less far than the partition's record says:
then from there. If the node of the record loses writes, the record says less than there is: some records are written
again, which changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sinks.redis.keys import POSITIONS_TTL_S

POSITION_FIELD = b"position"
NOWHERE = -1
"""The offset of what is not written at all."""


class Position(NamedTuple):
    """An offset, and Kafka's id of the topic that it belongs to (empty: not known)."""

    offset: int
    topic_id: str

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Out of ``OFFSET@TOPIC-ID`` or ``OFFSET``; `NOWHERE` if it is neither."""
        offset, _, topic_id = text.partition("@")
        return cls(int(offset) if offset.isdecimal() else NOWHERE, topic_id)

    def __str__(self) -> str:
        if self.offset == NOWHERE:
            return ""
        return f"{self.offset}@{self.topic_id}" if self.topic_id else f"{self.offset}"

    def offset_in(self, topic_id: str) -> int:
        """The offset in the topic with this id; `NOWHERE` if it is of another topic."""
        return NOWHERE if self.topic_id and topic_id and self.topic_id != topic_id else self.offset


class Note(NamedTuple):
    """Up to which offset a tag was written, and when (Unix seconds, by the sink's clock)."""

    offset: int
    noted_s: int

    @classmethod
    def parse(cls, text: bytes) -> "Note":
        """Out of ``OFFSET SECONDS``."""
        offset, _, noted_s = text.partition(b" ")
        return cls(int(offset), int(noted_s))

    def __str__(self) -> str:
        return f"{self.offset} {self.noted_s}"

    def holds(self, now_s: int) -> bool:
        """Whether the tag's own record must still be there: later it may have expired."""
        return now_s - self.noted_s < POSITIONS_TTL_S


@dataclass(kw_only=True)
class PartitionRecord:
    """What Redis says of one partition."""

    position: str = ""
    """As it stands there; empty: nothing does."""
    notes: dict[str, Note] = field(default_factory=dict)
    """By tag."""

    @classmethod
    def parse(cls, fields: Mapping[bytes, bytes], now_s: int) -> "PartitionRecord":
        """Out of the hash; notes that hold no more are left out. Raises `ValueError` if it is not ours."""
        record = cls(position=fields.get(POSITION_FIELD, b"").decode())
        for name, text in fields.items():
            if name != POSITION_FIELD and (note := Note.parse(text)).holds(now_s):
                record.notes[name.decode()[1:-1]] = note
        return record

    def update(self, newer: "PartitionRecord") -> None:
        """Take over what a newer one says."""
        self.position = newer.position
        self.notes |= newer.notes

    def known(self, tag: str, now_s: int) -> int:
        """Up to which offset the tag must be written."""
        note = self.notes.get(tag)
        return note.offset if note and note.holds(now_s) else NOWHERE


class Loss(NamedTuple):
    """Tags that are written less far than they were, and where reading has to go on; `NOWHERE`: as with no position."""

    tags: dict[str, int]
    resume: int


def find_loss(record: PartitionRecord, written: Mapping[str, int]) -> Loss | None:
    """What Redis lost; `written` is up to where each tag of the record is written there. None: nothing is lost."""
    tags = {tag: offset for tag, offset in written.items() if offset < record.notes[tag].offset}
    if not tags:
        return None
    # The partition may be behind its tags: it was moved back, or is read from the beginning since an earlier loss.
    return Loss(tags, min(Position.parse(record.position).offset, *tags.values()))
