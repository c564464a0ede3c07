"""Three-way calls (三方通话): citizen, agent and a third party talk, and the two desks agree.

Citizen and agent go on talking while the third party rings; the dialplan (``hotline-third``) forms
the room when it answers. Undecided, the matter stays with whoever was contacted first.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from telephony.errors import PbxRefused, WrongState
from telephony.handover import Handover, Offers, Pressed, encoded_reason
from telephony.pbx import ask_originate, ask_set_var

if TYPE_CHECKING:
    from telephony.pbx import Pbx

CONTEXT = "hotline-third"


class ThreeWays:
    """The three-way key, pressed over HTTP or the command line."""

    def __init__(self, offers: Offers, ring_s: float) -> None:
        """``ring_s``: the longest a third party may ring over all its routes, in seconds."""
        self._offers = offers
        self._pbx: Pbx = offers.pbx
        self._ring_s = ring_s

    async def three_way(
        self, call_id: str, desk_id: str, *, agent: str | None = None, reason: str = ""
    ) -> Handover:
        """Call a desk into a citizen's call and return when it is being called.

        Parameters and errors are those of :meth:`telephony.transfer.Transfers.transfer`.
        """
        return await self.invite(self._offers.press(call_id, desk_id, agent), desk_id, reason)

    async def invite(self, pressed: Pressed, desk_id: str, reason: str) -> Handover:
        """Call a desk in, as the key does, and return when it is being called.

        ``pressed.agent`` is who calls it in. Raises :class:`DeskNotFound`, :class:`WrongState`.
        """
        with self._offers.offer(pressed.call.id) as offer:
            await self._offers.target(desk_id, CONTEXT)
            await self._call(pressed, desk_id, reason)
            return await self._offers.begun(pressed.call.id, offer)

    async def _call(self, pressed: Pressed, desk_id: str, reason: str) -> None:
        citizen, agent = pressed.citizen, pressed.agent
        # With two underscores a variable reaches every leg that is called from there.
        variables = {
            "__CASE_ID": pressed.call.case,
            "__CITIZEN_CHAN": citizen.name,
            "__CITIZEN_ID": citizen.uniqueid,
            "__CITIZEN_NUM": citizen.caller,
            "__AGENT": agent.name,
            "__BY": agent.party,
            "__TRANSFER_CONTEXT": "hotline-transfer",
            "REASON": encoded_reason(reason),
        }
        # The mark comes first: a key on the phone in this very moment does nothing.
        mark = ask_set_var(citizen.name, "SHARED(HANDOVER)", f"calling-{int(time.time())}")
        third = ask_originate(
            f"Local/{desk_id}@{CONTEXT}/n",
            "hotline-third-idle",
            "s",
            account=pressed.call.case,
            variables=variables,
            ring_s=self._ring_s,
        )
        try:
            # In one go: a mark without a third party would be in the way of the next key.
            await self._pbx.together(mark, third)
        except PbxRefused as error:
            raise WrongState(f"the citizen of call {pressed.call.id} has hung up") from error
