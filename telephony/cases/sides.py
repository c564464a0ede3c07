"""Who stands for whom: a party and those of its department; a group and its members; the line and
its agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telephony.settings import Settings


class Sides:
    """The sides of one line, from its settings."""

    def __init__(self, settings: Settings) -> None:
        self._departments = {agent.id: agent.department for agent in settings.agents}
        self._departments |= {desk.id: desk.department for desk in settings.desks}
        self._members = {group.id: frozenset(group.members) for group in settings.groups}
        self._members[settings.line.number] = frozenset(agent.id for agent in settings.agents)

    def same(self, party: str, other: str) -> bool:
        """Whether ``other`` may act for ``party``."""
        if party == other or other in self._members.get(party, ()):
            return True
        department = self._departments.get(party)
        return bool(department) and department == self._departments.get(other)
