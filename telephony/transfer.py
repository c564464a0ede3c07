"""One-key transfer (一键转接): the caller goes to a desk and is back with the agent at once if
nobody there takes the call.

The citizen's own channel drives the transfer in the dialplan (``hotline-transfer``), so it is
carried through even when this service dies right after the key. A key on the phone and a phone's
own REFER enter the same context without us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telephony.errors import PbxRefused, WrongState
from telephony.handover import Handover, Offers, Pressed, encoded_reason
from telephony.pbx import Ask, ask_hangup, ask_redirect, ask_set_var

if TYPE_CHECKING:
    from telephony.live_model import Channel
    from telephony.pbx import Pbx

CONTEXT = "hotline-transfer"


def press(citizen: Channel, agent: Channel, desk_id: str, reason: str) -> tuple[Ask, Ask]:
    """What one press of the key asks of the PBX, sent together.

    The dialplan is told who pressed, which also makes the agent's leg wait when the bridge ends;
    the citizen's leg goes to the desk.
    """
    pressed = "|".join(("one-key", agent.party, agent.name, encoded_reason(reason)))
    return (
        ask_set_var(citizen.name, "SHARED(PRESS)", pressed),
        ask_redirect(citizen.name, CONTEXT, desk_id),
    )


class Transfers:
    """The transfer key, pressed over HTTP or the command line."""

    def __init__(self, offers: Offers) -> None:
        self._offers = offers
        self._pbx: Pbx = offers.pbx

    async def transfer(
        self, call_id: str, desk_id: str, *, agent: str | None = None, reason: str = ""
    ) -> Handover:
        """Hand a call to a desk (or to another agent) and return when the target is being called.

        ``call_id`` is the citizen's uniqueid or the case; ``agent`` limits it to calls of this
        agent; ``reason`` goes on record. Raises :class:`CallNotFound`, :class:`DeskNotFound`,
        :class:`HandoverRunning`, :class:`WrongState`, :class:`NotAllowed`,
        :class:`PbxUnavailable`; the caller has not been touched then.
        """
        pressed = self._offers.press(call_id, desk_id, agent)
        with self._offers.offer(pressed.call.id) as offer:
            await self._offers.target(desk_id, CONTEXT)
            await self._send(pressed, desk_id, reason)
            return await self._offers.begun(offer)

    async def _send(self, pressed: Pressed, desk_id: str, reason: str) -> None:
        try:
            await self._pbx.together(*press(pressed.citizen, pressed.agent, desk_id, reason))
        except PbxRefused as error:
            # The citizen or the agent has hung up in this very moment. An agent who was told to
            # wait for a citizen who is gone would sit in music; their leg ends instead.
            if await self._gone(pressed.citizen.name):
                await self._free(pressed.agent.name)
                raise WrongState(f"the citizen of call {pressed.call.id} has hung up") from error
            # Nothing of this press may be left: it would be in the way of the next one.
            await self._pbx.set_var(pressed.citizen.name, "SHARED(PRESS)", "")
            raise WrongState(f"call {pressed.call.id} changed just now: {error.detail}") from error

    async def _gone(self, channel: str) -> bool:
        return await self._pbx.get_var(None, f"CHANNEL_EXISTS({channel})") != "1"

    async def _free(self, channel: str) -> None:
        if not await self._gone(channel):
            await self._pbx.ask(ask_hangup(channel))
