"""Which PBX something is at: a call, a room, a hand-over, an agent, a callback.

A call lives on one PBX; whoever asks for it by its id or its case is sent there. With one PBX that
is always this one. Nothing is guessed: what no PBX that is seen has may be at one that is not seen,
and then that is the answer (:class:`~telephony.errors.PbxUnavailable`), and not that it is over. A
name that two PBXs have, as channels' names may be, is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from telephony.errors import (
    CallbackNotFound,
    CallNotFound,
    ConferenceNotFound,
    HandoverNotFound,
    HotlineError,
    PbxNotFound,
    PbxUnavailable,
)

if TYPE_CHECKING:
    from telephony.site import Site


class Sites:
    """The PBXs of a service, the first one first."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self.all = tuple(sites)

    def __iter__(self) -> Iterator[Site]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def named(self, name: str) -> Site:
        """The PBX with this name; raises :class:`PbxNotFound`."""
        for site in self.all:
            if site.name == name:
                return site
        raise PbxNotFound(f"there is no PBX {name!r} in the settings")

    def seen(self) -> list[Site]:
        """Those that are seen now; raises :class:`PbxUnavailable` when none is."""
        if len(self.all) == 1:
            return list(self.all)
        found = [site for site in self.all if site.link_up]
        if not found:
            self.all[0].calls.calls()  # says why
            raise PbxUnavailable("there is no link to any PBX at this moment; try again soon")
        return found

    def call(self, call_id: str) -> Site:
        """Where this call is: its id, its case, or any party's channel."""

        def has(site: Site) -> Any:
            return site.calls.call(call_id)

        return self._where(has, CallNotFound, call_id)

    def room(self, conference_id: str) -> Site:
        """Where this three-way call is: its case, or its call's id."""

        def has(site: Site) -> Any:
            try:
                return site.rooms.room(conference_id)
            except ConferenceNotFound:
                return site.calls.call(conference_id)

        return self._where(has, CallNotFound, conference_id)

    def handover(self, handover_id: str) -> Site:
        """Where this hand-over runs."""

        def has(site: Site) -> Any:
            return site.handovers.find(handover_id)

        return self._where(has, HandoverNotFound, handover_id)

    def agent(self, agent_id: str) -> Site:
        """Where this agent's phone is; the first PBX for somebody who is no agent."""
        for site in self.all:
            if any(agent.id == agent_id for agent in site.here.agents):
                return site
        return self.all[0]

    def callback(self, callback_id: str) -> Site:
        """Where this callback was begun."""

        def has(site: Site) -> Any:
            return site.callbacks.get(callback_id)

        return self._where(has, CallbackNotFound, callback_id)

    def _where(self, has: Callable[[Site], Any], missing: type[HotlineError], what: str) -> Site:
        if len(self.all) == 1:
            return self.all[0]
        found: list[Site] = []
        unseen: list[Site] = []
        for site in self.all:
            try:
                has(site)
            except missing:
                continue
            except PbxUnavailable:
                unseen.append(site)
                continue
            found.append(site)
        if len(found) == 1:
            return found[0]
        named = next((site for site in found or self.all if _names(what, site.name)), None)
        if found and named is None:
            # A channel's name, or an id without the system name in it: each PBX may have one.
            there = " and ".join(site.name for site in found)
            raise missing(f"{what!r} is at {there}; which one is meant, the call's id says")
        return named or (unseen[0] if unseen else self.all[0])


def _names(what: str, pbx: str) -> bool:
    """Whether an id, or a case's number, says that it was made at this PBX: Asterisk begins each
    channel's id with its system name, where one is set."""
    return re.match(rf"(?:[0-9]{{8}}-)?{re.escape(pbx)}-[0-9]", what) is not None
