"""The hand-over that a case's matter proposes: told, pressed, and brought to the phones.

Rules are in :mod:`telephony.matters.rules`. When a matter is set, whom to hand over to is put on
the citizen's channel (``SHARED(PROPOSED)``: desk, the desk if that one presses itself, reason), so
that the key on the phone works from then on with the service stopped; and it goes out on the live
feed, where a matter that goes to 110 at once is marked urgent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import structlog

from telephony import logs
from telephony.background import end
from telephony.errors import (
    CallNotFound,
    DatabaseUnavailable,
    PbxRefused,
    PbxUnavailable,
    WrongState,
)
from telephony.handover import encoded_reason
from telephony.matters.rules import Matter, Proposal, candidates, propose

if TYPE_CHECKING:
    from telephony.ami_client import Event
    from telephony.live.model import Call
    from telephony.live_calls import LiveCalls
    from telephony.matters.book import CaseMatterNow, MatterBook
    from telephony.pbx import Pbx

log = structlog.get_logger(__name__)

RETRY_S = 2.0
PROPOSED = "SHARED(PROPOSED)"
"""On the citizen's channel; read by ``hotline-key-proposed``."""


class NothingProposed(WrongState):
    """The matter of the call's case names nobody to hand it to, or nobody else."""

    code = "nothing-proposed"
    title = "Nothing is proposed"


@dataclass(frozen=True, slots=True)
class CaseProposal:
    """Whom a case is to be handed to by its matter."""

    case: str
    matter: Matter | None
    version: int | None
    proposal: Proposal


class Proposals:
    """Proposals for the cases of one PBX."""

    def __init__(
        self,
        book: MatterBook,
        pbx: Pbx,
        calls: LiveCalls,
        same_side: Callable[[str, str], bool],
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        """``same_side(desk, party)``: the party is of that side; ``tell`` puts a proposal into the
        live feed."""
        self._book, self._pbx, self._calls = book, pbx, calls
        self._same_side, self._tell = same_side, tell
        # Cases whose proposal the PBX may have to be told; all of them after a link-up.
        self._due: set[str] = set()
        self._all_due = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # Beside the hook: who waits for the link must not wait for the database.
        pbx.client.on_up(self._on_up)
        self._stop_listening = pbx.client.add_event_listener(self._on_event, {"UserEvent"})

    def start(self) -> None:
        """Tell the PBX what it may have missed, at every link-up, and what is known of the case of
        a call that begins, such as one back to a citizen."""
        self._task = asyncio.create_task(self._run(), name="proposals")

    async def stop(self) -> None:
        """Stop; what stands on the channels stays there."""
        self._stop_listening()
        await end(self._task)

    async def of_case(self, case: str) -> CaseProposal:
        """Whom to hand a case to, from who answers for it.

        Raises :class:`CaseNotFound`, :class:`DatabaseUnavailable`.
        """
        now = await self._book.of_case(case)
        return self._proposed(now, now.owner)

    async def press(self, call_id: str) -> tuple[str, str]:
        """The desk to which a key without a desk hands this call, and the reason: the matter.

        ``call_id``: the citizen's uniqueid or the case. Raises :class:`CallNotFound`,
        :class:`NothingProposed`, :class:`DatabaseUnavailable`, :class:`PbxUnavailable`.
        """
        call = self._calls.call(call_id)
        now = (await self._book.of_cases([call.case])).get(call.case) if call.case else None
        if now is None or now.matter is None:
            raise NothingProposed(
                f"case {call.case or 'of this call'} has no matter of the directory: set it, "
                "or name the desk"
            )
        talking = self._calls.agent_channel(call)
        holder = talking.party if talking is not None and talking.party else now.owner
        proposal = self._proposed(now, holder).proposal
        if proposal.desk is None:
            raise NothingProposed(f"{now.matter.name}: it is with {holder}, where it belongs")
        return proposal.desk, now.matter.name

    async def changed(self, case: str) -> None:
        """The matter of a case was set or taken away: tell the citizen's channel and the feed.

        What is on record stays so whatever the PBX does: a proposal that does not reach it is
        logged, and the key on the phone says that it has none.
        """
        found = await self.of_case(case)
        try:
            call = self._calls.call(case)
        except (CallNotFound, PbxUnavailable):
            call = None
        if call is not None:
            await self._put(call, found.matter)
        self._tell(_shape(found, call.id if call is not None else None))

    def _on_up(self) -> None:
        self._all_due = True
        self._wake.set()

    def _on_event(self, event: Event) -> None:
        if event.get("UserEvent") == "Hotline" and event.get("Kind") == "HOTLINE_TAKEN":
            case = dict(parse_qsl(str(event.get("Facts") or ""))).get("case")
            if case:
                self._due.add(case)
                self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            due, everything = self._due, self._all_due
            self._due, self._all_due = set(), False
            await self._tell_pbx(None if everything else due)

    async def _tell_pbx(self, cases: set[str] | None) -> None:
        """Put the proposals of these cases' calls on their channels; None: of all calls now."""
        try:
            calls = {
                call.case: call
                for call in self._calls.calls()
                if call.case and (cases is None or call.case in cases)
            }
            known = await self._book.of_cases(list(calls)) if calls else {}
            for case, now in known.items():
                if now.matter is not None:
                    await self._put(calls[case], now.matter)
        except DatabaseUnavailable as error:
            log.warning("proposals wait for the database", reason=error.detail)
            await asyncio.sleep(RETRY_S)
            self._all_due |= cases is None
            self._due |= cases or set()
            self._wake.set()
        except PbxUnavailable as error:  # when it is back, it is told of all calls
            log.warning("proposals could not be told to the PBX", reason=error.detail)
        except Exception as error:  # noqa: BLE001 - calls go on without proposals
            logs.unexpected(log, "proposals could not be told to the PBX", error)

    async def _put(self, call: Call, matter: Matter | None) -> None:
        if call.citizen is None:
            return
        value = self.on_channel(matter) if matter is not None else ""
        try:
            await self._pbx.set_var(call.citizen.name, PROPOSED, value)
        except (PbxUnavailable, PbxRefused) as error:
            log.warning("a proposal did not reach the phone", call=call.id, reason=error.detail)

    def on_channel(self, matter: Matter) -> str:
        """A proposal as the dialplan reads it: ``desk|other desk|reason``."""
        desks = [*(desk for desk, _ in candidates(matter, self._book.desks)), "", ""]
        return "|".join([*desks[:2], encoded_reason(matter.name)])

    def _proposed(self, now: CaseMatterNow, holder: str | None) -> CaseProposal:
        proposal = propose(now.matter, holder, self._book.desks, self._same_side)
        return CaseProposal(now.case, now.matter, now.version, proposal)


def _shape(found: CaseProposal, call: str | None) -> dict[str, Any]:
    """A proposal as the live feed shows it."""
    return {
        "case": found.case,
        "call": call,
        "matter": found.matter.name if found.matter is not None else None,
        "desk": found.proposal.desk,
        "why": found.proposal.why,
        "urgent": found.proposal.urgent,
    }
