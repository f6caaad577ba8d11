"""The application's other instances as the placement of standbys sees them. Implements `engine.runtime.placement.Peers`.

Read by the loop from what the status topic's reader keeps; nothing here waits.
"""

from engine.query.metadata import Metadata
from engine.runtime.blueprint import Blueprint

# One that starts may warm its standbys up before it joins the group.
LIVE = frozenset({"starting", "running", "rebalancing"})


class ReportedPeers:
    """What the other instances last reported."""

    def __init__(self, metadata: Metadata, blueprint: Blueprint, instance_id: str) -> None:
        self._metadata = metadata
        self._blueprint = blueprint
        self._instance_id = instance_id

    def live(self) -> set[str]:
        """Those that report and run."""
        members = self._metadata.members()
        return {m.instance for m in members if m.state in LIVE and self._metadata.is_heard(m.instance)}

    def owners(self) -> dict[str, str]:
        """Who was assigned each task; of two that say so, the one that reported last."""
        found: dict[str, str] = {}
        for member in sorted(self._metadata.members(), key=lambda m: m.seen_ms):
            if member.instance != self._instance_id and self._metadata.is_heard(member.instance):
                found.update(dict.fromkeys(member.tasks, member.instance))
        return found

    def lag(self, task: str, instance: str) -> int | None:
        """How far behind an instance's standby is: all its logged stores together; None if one is not known."""
        shape = self._blueprint.tasks[task]
        total = 0
        for store, spec in self._blueprint.specs(shape.sub_topology).items():
            if self._blueprint.changelog(spec) is None:
                continue
            copies = self._metadata.copies(store, shape.partition)
            lag = next((c.lag for c in copies if c.instance == instance and c.role == "standby"), None)
            if lag is None:
                return None
            total += lag
        return total
