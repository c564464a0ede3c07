"""One-key transfer (一键转接): the caller goes to a desk and is back with the agent at once if
nobody there takes the call.

The citizen's own channel drives the transfer in the dialplan (``hotline-transfer``), so it is
carried through even when this service dies right after the key. A key on the phone and a phone's
own REFER enter the same context without us.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from telephony.errors import PbxRefused, WrongState
from telephony.handover import Handover, Offers, Pressed, encoded_reason
from telephony.pbx import Ask, ask_hangup, ask_redirect, ask_set_var

if TYPE_CHECKING:
    from telephony.live.model import Channel
    from telephony.pbx import Pbx

CONTEXTS = {"one-key": "hotline-transfer", "consult": "hotline-consult"}
"""Where the citizen's leg goes when a key is pressed."""


@dataclass(frozen=True, slots=True)
class Step:
    """What an event does to a hand-over: its next state, what happens on the telephones, and the
    fact that goes on record (None: the dialplan has nothing new to say)."""

    to: str
    done: str
    fact: str | None


# What happens on the telephones.
_TALK = "citizen and desk talk, the agent is free"
_ASK = "agent and desk talk, the citizen hears music"
_THREE = "all three talk; undecided, the matter stays with the agent"
_BACK = "citizen and agent talk again at once, nothing rings; is the agent gone: phone, then queue"
_PHONE = "the agent's phone rings for the citizen, then the queue"
_FREE = "the desk is let go, the agent is free"
_ON = "the desk rings on; the citizen waits"
_SECOND = "the second line ends, the agent has the citizen on the first"
_NOTHING = "nothing: whoever pressed is told which one runs"
_MOVES, _STAYS = "the case is the desk's", "the case stays where it was"

_KEYS, _RINGS, _ALL = "one-key refer", "one-key refer three-way", "one-key refer consult three-way"

# kinds, state, event, next state, what is done, what is recorded. The dialplan carries this out.
# "offered" rings, "answered" is a desk that speaks with the agent or has yet to press 1.
# fmt: off
_ROWS = (
    (_KEYS,       "offered",  "answer",         "accepted", _TALK,    "ACCEPTED"),
    ("three-way", "offered",  "answer",         "accepted", _THREE,   "ACCEPTED"),
    ("consult",   "offered",  "answer",         "answered", _ASK,     "ANSWERED"),
    (_RINGS,      "offered",  "must confirm",   "answered", _ON,      "ANSWERED"),
    (_KEYS,       "answered", "confirm",        "accepted", _TALK,    "ACCEPTED"),
    ("three-way", "answered", "confirm",        "accepted", _THREE,   "ACCEPTED"),
    ("attended",  "offered",  "answer",         "answered", _ASK,     "ANSWERED"),
    ("attended",  "offered",  "joined by phone", "offered", _ON,      None),
    ("attended",  "answered", "joined by phone", "accepted", _TALK,   "ACCEPTED"),
    ("attended",  "offered",  "decline",        "ended",    _SECOND,  "ENDED"),
    ("attended",  "answered", "decline",        "ended",    _SECOND,  "ENDED"),
    ("attended",  "offered",  "no answer",      "ended",    _SECOND,  "ENDED"),
    ("attended",  "offered",  "line hung up",   "ended",    _SECOND,  "ENDED"),
    ("attended",  "answered", "line hung up",   "ended",    _SECOND,  "ENDED"),
    ("attended",  "offered",  "caller hangs up", "ended",   _FREE,    "ENDED"),
    ("attended",  "answered", "caller hangs up", "ended",   _FREE,    "ENDED"),
    ("attended",  "offered",  "press",          "offered",  _NOTHING, None),
    ("attended",  "answered", "press",          "answered", _NOTHING, None),
    (_ALL,        "offered",  "busy",           "ended",    _BACK,    "ENDED"),
    (_ALL,        "offered",  "unreachable",    "ended",    _BACK,    "ENDED"),
    (_ALL,        "offered",  "no answer",      "ended",    _BACK,    "ENDED"),
    (_ALL,        "offered",  "decline",        "ended",    _BACK,    "ENDED"),
    (_ALL,        "answered", "decline",        "ended",    _BACK,    "ENDED"),
    (_ALL,        "answered", "desk hangs up",  "ended",    _BACK,    "ENDED"),
    (_KEYS,       "offered",  "agent hangs up", "offered",  _ON,      None),
    ("three-way", "offered",  "agent hangs up", "offered",  _ON,      None),
    ("consult",   "offered",  "agent hangs up", "ended",    _PHONE,   "ENDED"),
    ("consult",   "answered", "agent hangs up", "accepted", _TALK,    "ACCEPTED"),
    ("consult",   "answered", "complete",       "accepted", _TALK,    "ACCEPTED"),
    ("consult",   "answered", "join",           "accepted", _THREE,   "ACCEPTED"),
    ("consult",   "offered",  "cancel",         "ended",    _BACK,    "ENDED"),
    ("consult",   "answered", "cancel",         "ended",    _BACK,    "ENDED"),
    (_ALL,        "offered",  "caller hangs up", "ended",   _FREE,    "ENDED"),
    (_ALL,        "answered", "caller hangs up", "ended",   _FREE,    "ENDED"),
    (_ALL,        "offered",  "press",          "offered",  _NOTHING, None),
    (_ALL,        "answered", "press",          "answered", _NOTHING, None),
    ("dispatch",  "offered",  "confirm",        "accepted", _MOVES,   "ACCEPTED"),
    ("dispatch",  "offered",  "decline",        "ended",    _STAYS,   "ENDED"),
    ("dispatch",  "offered",  "cancel",         "ended",    _STAYS,   "ENDED"),
)
# fmt: on
TABLE: dict[tuple[str, str, str], Step] = {
    (kind, state, event): Step(to, done, fact)
    for kinds, state, event, to, done, fact in _ROWS
    for kind in kinds.split()
}
"""The life of a hand-over: (kind, state, event) -> step. What is not in it cannot be asked for."""


def allowed(kind: str, state: str) -> frozenset[str]:
    """What may happen to a hand-over of this kind in this state."""
    return frozenset(event for one, at, event in TABLE if (one, at) == (kind, state))


def must_allow(handover: str, kind: str, state: str, command: str) -> None:
    """Raise :class:`WrongState` when a hand-over cannot be told this now."""
    if command not in allowed(kind, state):
        raise WrongState(f"hand-over {handover} ({kind}) is {state}: there is nothing to {command}")


def press(
    citizen: Channel, agent: Channel, desk_id: str, reason: str, kind: str = "one-key"
) -> tuple[Ask, Ask]:
    """What one press of the key asks of the PBX, sent together.

    The dialplan is told who pressed, which also makes the agent's leg wait when the bridge ends;
    the citizen's leg goes to the desk.
    """
    pressed = "|".join((kind, agent.party, agent.name, encoded_reason(reason)))
    return (
        ask_set_var(citizen.name, "SHARED(PRESS)", pressed),
        ask_redirect(citizen.name, CONTEXTS[kind], desk_id),
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
        return await self._hand_over("one-key", call_id, desk_id, agent, reason)

    async def consult(
        self, call_id: str, desk_id: str, *, agent: str | None = None, reason: str = ""
    ) -> Handover:
        """Ask a desk first: the citizen hears music while the agent speaks to it.

        The agent hangs up or completes it, takes the citizen back, or brings all three together
        (:mod:`telephony.consult`). Parameters and errors are those of :meth:`transfer`.
        """
        return await self._hand_over("consult", call_id, desk_id, agent, reason)

    async def _hand_over(
        self, kind: str, call_id: str, desk_id: str, agent: str | None, reason: str
    ) -> Handover:
        pressed = self._offers.press(call_id, desk_id, agent)
        with self._offers.offer(pressed.call.id) as offer:
            await self._offers.target(desk_id, CONTEXTS[kind])
            await self._send(pressed, desk_id, reason, kind)
            return await self._offers.begun(pressed.call.id, offer)

    async def _send(self, pressed: Pressed, desk_id: str, reason: str, kind: str) -> None:
        try:
            await self._pbx.together(*press(pressed.citizen, pressed.agent, desk_id, reason, kind))
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
