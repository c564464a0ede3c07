"""What a hand-over that runs can be told: complete, cancel or join (by the agent who asks a desk
first), confirm or decline (by the desk).

Each is carried out by the dialplan as the phone's own way of doing it would be: the agent hanging
up completes, the desk pressing 1 confirms. So it is the same whether it was pressed on a page or on
a phone, and what comes of it is told by the facts, not by the answer of the PBX.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telephony.errors import HandoverNotFound, NotAllowed, PbxRefused, WrongState
from telephony.pbx import Ask, ask_hangup, ask_redirect, ask_set_var
from telephony.transfer import must_allow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telephony.live.model import Call, Channel, RunningHandover
    from telephony.live_calls import LiveCalls
    from telephony.pbx import Pbx

DECLINED = 21
"""Q.850 cause of a call that was refused."""
KEY_MS = 120


class Commands:
    """Commands to hand-overs that run on one PBX.

    ``who`` limits a command to whom it belongs: the agent who hands over, or the desk. Each
    returns the hand-over as it was told. Raises :class:`HandoverNotFound`, :class:`NotAllowed`,
    :class:`WrongState` for what the table of :mod:`telephony.transfer` does not have, and the
    errors of :class:`~telephony.pbx.Pbx`; nobody has been touched then.
    """

    def __init__(self, pbx: Pbx, calls: LiveCalls) -> None:
        self._pbx = pbx
        self._calls = calls

    def running(self) -> list[tuple[Call, RunningHandover]]:
        """The hand-overs that run now, the oldest call first."""
        return [(call, call.handover) for call in self._calls.calls() if call.handover]

    def find(self, handover_id: str) -> tuple[Call, RunningHandover]:
        """One that runs; raises :class:`HandoverNotFound`."""
        for call, running in self.running():
            if running.id == handover_id:
                return call, running
        raise HandoverNotFound(f"no hand-over {handover_id!r} runs; it may have ended")

    async def complete(self, handover_id: str, *, who: str | None) -> RunningHandover:
        """The agent who asked a desk leaves: citizen and desk talk."""
        call, running = self._by(handover_id, who, "complete")
        agent_leg = _one(call, running, "agent")
        await self._send(running, [ask_redirect(agent_leg.name, "hotline-agent-free", "s")])
        return running

    async def cancel(self, handover_id: str, *, who: str | None) -> RunningHandover:
        """The agent takes the citizen back; the desk is let go."""
        call, running = self._by(handover_id, who, "cancel")
        agent_leg, citizen = _one(call, running, "agent"), _citizen(call)
        await self._send(
            running,
            [
                ask_set_var(citizen.name, "SHARED(CONSULT)", "cancelled"),
                ask_redirect(agent_leg.name, "hotline-consult-cancelled", "s"),
            ],
        )
        return running

    async def join(self, handover_id: str, *, who: str | None) -> RunningHandover:
        """All three talk (三方通话); undecided, the matter stays with the agent's side."""
        call, running = self._by(handover_id, who, "join")
        agent_leg, citizen = _one(call, running, "agent"), _citizen(call)
        desk = _one(call, running, "target")
        await self._send(
            running,
            [
                ask_set_var(agent_leg.name, "SHARED(ROOM)", "1"),
                ask_set_var(citizen.name, "SHARED(CONSULT)", ""),
                ask_redirect(citizen.name, "hotline-consult-room", "s"),
                ask_redirect(desk.name, "hotline-consult-join", "s"),
            ],
        )
        return running

    async def confirm(self, handover_id: str, *, who: str | None) -> RunningHandover:
        """The desk takes the call, as by pressing 1 on its phone."""
        call, running = self._for(handover_id, who, "confirm")
        legs = [one for one in self._targets(call, running, who) if one.state == "Up"]
        await self._send(running, [_key(leg, "1") for leg in legs[:1]])
        return running

    async def decline(self, handover_id: str, *, who: str | None) -> RunningHandover:
        """The desk refuses, while it rings or after it has answered.

        Of a group each member refuses for its own phone, as by the phone's own key: the others ring
        on. Without ``who``, as for a supervisor, all that ring at this moment are refused for.
        """
        call, running = self._for(handover_id, who, "decline")
        legs = self._targets(call, running, who)
        await self._send(running, [ask_hangup(leg.name, DECLINED) for leg in legs])
        return running

    def _by(self, handover_id: str, who: str | None, command: str) -> tuple[Call, RunningHandover]:
        call, running = self.find(handover_id)
        if who is not None and running.by != who:
            raise NotAllowed(f"hand-over {handover_id} is {running.by}'s")
        must_allow(running.id, running.kind, running.state, command)
        return call, running

    def _for(self, handover_id: str, who: str | None, command: str) -> tuple[Call, RunningHandover]:
        call, running = self.find(handover_id)
        if who not in (None, running.desk, *self._calls.directory.members(running.desk)):
            raise NotAllowed(f"hand-over {handover_id} is for {running.desk}")
        must_allow(running.id, running.kind, running.state, command)
        return call, running

    def _targets(self, call: Call, running: RunningHandover, who: str | None) -> list[Channel]:
        """The legs that ring or have answered for the desk or group; a member's own, if ``who`` is
        one."""
        directory = self._calls.directory
        members = directory.members(running.desk)
        told = _legs(call, running, "target")
        # A group's phones are their owners' until one of them answers.
        ringing = [
            one
            for one in call.parties
            if one is not call.citizen
            and one.state != "Up"
            and any(directory.is_phone_of(member, one) for member in members)
        ]
        legs = {one.uniqueid: one for one in (*told, *ringing)}.values()
        if who in members:
            return [one for one in legs if directory.is_phone_of(who, one)]
        return list(legs)

    async def _send(self, running: RunningHandover, asks: Sequence[Ask]) -> None:
        if not asks:
            raise WrongState(f"hand-over {running.id}: its desk is not on the line at this moment")
        try:
            await self._pbx.together(*asks)
        except PbxRefused as error:
            raise WrongState(f"hand-over {running.id} has just ended: {error.detail}") from error


def _legs(call: Call, running: RunningHandover, role: str) -> list[Channel]:
    wanted = running.by if role == "agent" else running.desk
    return [one for one in call.parties if one is not call.citizen and one.party == wanted]


def _one(call: Call, running: RunningHandover, role: str) -> Channel:
    """The leg of who hands over, or of the desk that has answered."""
    found = [one for one in _legs(call, running, role) if one.state == "Up"]
    if not found:
        raise WrongState(f"hand-over {running.id}: the {role} is not on the line at this moment")
    return found[0]


def _citizen(call: Call) -> Channel:
    if call.citizen is None:
        raise WrongState(f"call {call.id} has no citizen on it any more")
    return call.citizen


def _key(leg: Channel, digit: str) -> Ask:
    """A key as if it had been pressed on that phone (AMI ``PlayDTMF`` with ``Receive``)."""
    return Ask(
        "PlayDTMF",
        {"Channel": leg.name, "Digit": digit, "Duration": KEY_MS, "Receive": "true"},
    )
