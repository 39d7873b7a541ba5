"""One member of a group has all partitions."""

from collections.abc import Mapping
from typing import Any

from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment


class SoleAssignor(RangePartitionAssignor):  # type: ignore[misc]  # aiokafka ships no types
    """For work that needs all partitions side by side: the member with the least id has them, the others wait."""

    name = "sole"

    @classmethod
    def assign(cls, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        """Member → its assignment, of which all but one are empty."""
        chosen = min(members)
        nothing = {member: ConsumerProtocolMemberAssignment(cls.version, [], b"") for member in members}
        return {**nothing, **super().assign(cluster, {chosen: members[chosen]})}
