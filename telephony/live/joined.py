"""One feed for several PBXs: each has its part, and none hides the others.

Those who listen get one picture. A PBX that cannot be seen is named in the ``pbxs`` of the snapshot
that follows at once, without its calls; only when none can be seen the feed says ``pbx-down``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from telephony.live.feed import LiveFeed, State

if TYPE_CHECKING:
    from collections.abc import Sequence

Picture = Callable[[], Mapping[str, Any]]
WHOLE = ("snapshot", "state")
"""Frames that say which PBXs are seen."""


class Outlet:
    """One PBX's part of the feed: what its :class:`~telephony.live.watch.LiveWatch` speaks to."""

    def __init__(self, joined: JoinedFeed, pbx: str) -> None:
        self.pbx = pbx
        self.state: State = "pbx-down"
        self.picture: Picture = dict
        self.queues: dict[str, Sequence[Any]] = {}
        self._joined = joined

    def changed(self, parts: Mapping[str, list[Any]]) -> None:
        """Send what has changed on this PBX."""
        for queue in parts.get("queues", ()):
            self.queues[queue["queue"]] = queue["callers"]
        names = [queue["queue"] for queue in parts.get("queues", ())]
        self._joined.changed_at(self.pbx, {**parts, "queues": self._joined.queues(names)})

    def down(self) -> None:
        """This PBX cannot be seen any more."""
        if self.state != "pbx-down":
            self.state = "pbx-down"
            self._joined.restate()

    def rebuilt(self) -> None:
        """The picture of this PBX stands (anew)."""
        self.state = "up"
        self.queues = {one["queue"]: one["callers"] for one in self.picture()["queues"]}
        self._joined.restate()

    def close(self) -> None:
        """The feed ends with the service, not with a part of it."""


class JoinedFeed(LiveFeed):
    """The frames of several PBXs. ``pbx`` of a frame is the one it tells of, else the first."""

    def __init__(self, pbxs: Sequence[str]) -> None:
        self.outlets = [Outlet(self, name) for name in pbxs]
        super().__init__(pbxs[0], self._all)

    def changed_at(self, pbx: str, parts: Mapping[str, list[Any]]) -> None:
        """As :meth:`LiveFeed.changed`, for one of the PBXs."""
        self.pbx, first = pbx, self.pbx
        try:
            self.changed(parts)
        finally:
            self.pbx = first

    def restate(self) -> None:
        """A PBX has come into sight or gone out of it: everybody gets the whole picture."""
        if any(one.state == "up" for one in self.outlets):
            self.rebuilt()
        else:
            self.down()

    def queues(self, names: Sequence[str]) -> list[Any]:
        """These queues with those who wait in them at any PBX, who came first before who came
        later; the place of each is that at their own PBX."""
        merged = []
        for name in names:
            waiting = [one for outlet in self._up() for one in outlet.queues.get(name, ())]
            merged.append({"queue": name, "callers": sorted(waiting, key=lambda one: one["since"])})
        return merged

    def _up(self) -> list[Outlet]:
        return [one for one in self.outlets if one.state == "up"]

    def _all(self) -> Mapping[str, Any]:
        pictures = [one.picture() for one in self._up()]
        names = dict.fromkeys(name for one in self._up() for name in one.queues)
        return {
            "calls": [call for one in pictures for call in one["calls"]],
            "queues": self.queues(list(names)),
            "agents": [agent for one in pictures for agent in one["agents"]],
        }

    def _head(self, kind: str) -> dict[str, Any]:
        head = super()._head(kind)
        if kind in WHOLE:
            head["pbxs"] = [{"name": one.pbx, "state": one.state} for one in self.outlets]
        return head
