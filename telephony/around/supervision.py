"""Supervisors who listen to a call, whisper to the agent, or speak to both.

The supervisor's phone rings; when it answers, the dialplan (``hotline-monitor``) lets it listen by
ChanSpy, which is in no bridge of the call, and puts start and stop on record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from telephony.errors import AgentNotFound, WrongState
from telephony.handover import encoded_reason
from telephony.pbx import ask_originate

if TYPE_CHECKING:
    from telephony.around.settings import Supervisor
    from telephony.live_calls import LiveCalls
    from telephony.pbx import Pbx
    from telephony.settings import Settings

Mode = Literal["listen", "whisper", "barge"]

CONTEXT = "hotline-monitor"
RING_S = 20


@dataclass(frozen=True, slots=True)
class Monitor:
    """A supervisor whose phone is being called to listen to ``agent``'s call."""

    call: str
    case: str
    supervisor: str
    mode: Mode
    agent: str


class Monitors:
    """Listening, asked for over HTTP."""

    def __init__(self, pbx: Pbx, calls: LiveCalls, settings: Settings) -> None:
        self._pbx = pbx
        self._calls = calls
        self._settings = settings

    async def start(self, call_id: str, mode: Mode, phone: str, *, token: str) -> Monitor:
        """Ring a supervisor's phone; when it answers, it listens. Returns when it is being called.

        ``listen`` and ``barge`` follow the citizen through hand-overs, ``whisper`` ends with the
        agent's part. ``token`` (its name) goes on record. Raises :class:`CallNotFound`,
        :class:`AgentNotFound` for a phone that is no supervisor's, :class:`WrongState`,
        :class:`PbxUnavailable`.
        """
        supervisor = self._supervisor(phone)
        call = self._calls.call(call_id)
        talking = self._calls.agent_channel(call)
        if call.citizen is None or talking is None:
            raise WrongState(f"nobody talks with the citizen of call {call.id} now ({call.state})")
        if not await self._pbx.extension_exists(CONTEXT, "s"):
            raise WrongState(f"the PBX has no {CONTEXT}; load our dialplan there again")
        called = await self._pbx.get_var(call.citizen.name, "LINE")
        name = self._settings.line_called(called).name
        await self._pbx.ask(
            ask_originate(
                supervisor.dial,
                CONTEXT,
                "s",
                caller_id=f'"{name}" <{talking.party or call.citizen.caller}>',
                variables={
                    "MODE": mode,
                    "WHO": supervisor.id,
                    "AGENT_CHAN": talking.name,
                    "TOKEN": encoded_reason(token),
                },
                ring_s=RING_S,
            )
        )
        return Monitor(call.id, call.case, supervisor.id, mode, talking.party)

    def _supervisor(self, phone: str) -> Supervisor:
        for one in self._settings.supervisors:
            if one.id == phone:
                return one
        raise AgentNotFound(f"{phone!r} is no supervisor's phone in the settings")
