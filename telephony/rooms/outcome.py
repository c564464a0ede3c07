"""What came of a three-way call: who takes the case, noted while the room goes on or after it.

The dialplan writes it (``hotline-decided``), so that it stands in the PBX's own record. A room that
has ended is known from the record, so this works after a restart of the service, too. Too late is
an outcome once the case is closed, or another side has accepted it after the room: then the case
stays where it is (:class:`WrongState`; the rule in :mod:`telephony.responsibility` says the same).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from weakref import WeakValueDictionary

from telephony.cases.store import entry_of_row
from telephony.errors import (
    CaseNotFound,
    ConferenceNotFound,
    DatabaseUnavailable,
    InvalidValue,
    NotAllowed,
    NotInRoom,
    PbxTimeout,
    WrongState,
)
from telephony.handover import OFFER_LIMIT_S
from telephony.pbx import ask_originate
from telephony.record import queries
from telephony.responsibility import JOINED, case_state, later_side, room_began
from telephony.rooms.model import Conference, Decision, Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from telephony.ami_client import Event
    from telephony.call_control import CallControl
    from telephony.database import Database
    from telephony.responsibility import Entry
    from telephony.settings import Settings


@dataclass(frozen=True, slots=True)
class PastRoom:
    """A three-way call that has ended, as the record knows it."""

    id: str
    parties: frozenset[str]
    """The agents and desks who were in it."""


class RoomOutcomes:
    """The outcomes of three-way calls on one PBX.

    Raises :class:`ConferenceNotFound`, :class:`NotAllowed`, and the errors of
    :class:`~telephony.pbx.Pbx`.
    """

    def __init__(self, control: CallControl, database: Database) -> None:
        self._settings: Settings = control.settings
        self._pbx, self._rooms = control.pbx, control.rooms
        self._controls = control.room_controls
        self._database = database
        # One at a time for a case, so that each waits for its own note. A lock is there as long as
        # somebody has it or waits for it.
        self._busy: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._noted: dict[str, tuple[Decision, asyncio.Future[None]]] = {}
        self._stop_listening = control.client.add_event_listener(self._on_event, {"UserEvent"})

    def close(self) -> None:
        """Stop listening."""
        self._stop_listening()

    async def decide(
        self,
        conference_id: str,
        outcome: Outcome,
        desk_id: str | None,
        by: str | None,
        *,
        agent: str | None = None,
        ends: bool = False,
    ) -> Decision:
        """Note who takes the case, or that it is undecided: it stays with the first contact.

        Only who is or was in the room can take a case: responsibility moves only when somebody
        takes it. With ``ends`` the room ends: citizen and who answers for the case now go on as a
        call of two, everybody else is released. ``agent`` limits it to rooms of this agent. Raises
        :class:`DeskNotFound`, :class:`NotInRoom`, :class:`InvalidValue`, :class:`WrongState` when
        it is too late, :class:`DatabaseUnavailable` for a room that has ended.
        """
        case = self._controls.case_of(conference_id)
        async with self._alone(case):
            try:
                conference = await self._controls.conference(conference_id, agent=agent)
            except ConferenceNotFound:
                if ends:
                    raise
                return await self._decide_past(case, outcome, desk_id, by, agent=agent)
            return await self._decide_now(conference, outcome, desk_id, agent or by, ends=ends)

    async def _decide_now(
        self,
        conference: Conference,
        outcome: Outcome,
        desk_id: str | None,
        by: str | None,
        *,
        ends: bool,
    ) -> Decision:
        case, citizen = conference.room.case, conference.citizen
        room = await self._controls.shared(citizen, "ROOM_ID") if citizen else ""
        room = room or f"{case}-r{int(conference.room.started)}"
        host = self._controls.host(conference, None)
        here = {one.channel.party for one in conference.parties if one.role != "citizen"}
        decision = self._decision(
            PastRoom(room, frozenset(here | conference.room.parties)),
            Decision(case, room, outcome, desk_id, by or (host.channel.party if host else "")),
        )
        # The call goes on without a database, and so does this: the ledger has the same rule.
        with suppress(CaseNotFound, DatabaseUnavailable):
            _in_time(case, room, await self._ledger(case))
        keep = self._kept(conference, decision)
        await self._note(conference, decision, ends=ends)
        if ends:
            # With the citizen gone there is nothing to go on with.
            stay = {keep} if citizen else set()
            await self._controls.release(
                conference,
                [
                    one
                    for one in conference.parties
                    if one.role != "citizen" and one.member.uniqueid not in stay
                ],
            )
        return decision

    async def _decide_past(
        self,
        case: str,
        outcome: Outcome,
        desk_id: str | None,
        by: str | None,
        *,
        agent: str | None,
    ) -> Decision:
        entries = await self._ledger(case)
        past = await self._past(case, entries)
        if agent is not None and agent not in past.parties:
            raise NotAllowed(f"agent {agent} was not in this three-way call")
        decision = self._decision(
            past, Decision(case, past.id, outcome, desk_id, agent or by or "")
        )
        _in_time(case, past.id, entries)
        await self._note(None, decision, ends=False)
        return decision

    async def _past(self, case: str, entries: Sequence[Entry]) -> PastRoom:
        """The last room of a case: who was in it, and its name on record."""
        remembered = self._rooms.ended(case)
        joined = [one for one in entries if one.event == "undecided" and one.detail == JOINED]
        if remembered is None and not joined:
            raise ConferenceNotFound(f"case {case!r} had no three-way call")
        parties = set(remembered.parties) if remembered is not None else set()
        since = remembered.started if remembered is not None else joined[-1].at / 1e6
        if remembered is None:
            for row in await self._handovers(case, {one.handover for one in joined}):
                parties |= {name for name in (row["by"], row["desk"]) if name}
        # What was decided of it before has its name; the last word on one room counts.
        known = [one.handover for one in entries if one.key.startswith("decided:") and one.handover]
        name = known[-1] if known and room_began(known[-1]) + 2 > since else ""
        return PastRoom(name or f"{case}-r{int(since)}", frozenset(parties))

    async def _ledger(self, case: str) -> list[Entry]:
        rows = await queries.ledger(self._database, case)
        return [entry_of_row(row | {"case_id": row["case"]}) for row in rows]

    async def _handovers(self, case: str, ids: set[str | None]) -> list[Mapping[str, str | None]]:
        found = await queries.list_handovers(
            self._database, queries.HandoverFilter(case=case), limit=1000
        )
        return [row for row in found.items if row["id"] in ids]

    def _decision(self, room: PastRoom, wanted: Decision) -> Decision:
        if wanted.outcome == "taken-by":
            if wanted.desk is None:
                raise InvalidValue("taken-by: name the desk that takes the case")
            if self._settings.agent(wanted.desk) is None:
                self._settings.desk(wanted.desk)
            if wanted.desk not in room.parties:
                raise NotInRoom(
                    f"{wanted.desk} was not in the three-way call and has agreed to nothing"
                )
        elif wanted.desk is not None:
            raise InvalidValue("undecided: no desk takes the case")
        if wanted.by not in room.parties:
            raise NotInRoom(f"{wanted.by or 'nobody'} was in the three-way call to decide that")
        return wanted

    def _kept(self, conference: Conference, decision: Decision) -> str:
        """Who goes on with the citizen (uniqueid): the desk that took it, else the agent."""
        takers = [one for one in conference.parties if one.channel.party == decision.desk]
        keep = next(iter(takers), None) if decision.desk else None
        keep = keep or self._controls.host(conference, None)
        return keep.member.uniqueid if keep else ""

    @asynccontextmanager
    async def _alone(self, case: str) -> AsyncIterator[None]:
        lock = self._busy.setdefault(case, asyncio.Lock())
        async with lock:
            yield

    async def _note(self, conference: Conference | None, made: Decision, *, ends: bool) -> None:
        """The dialplan notes it, so that it stands in the PBX's own record."""
        citizen = conference.citizen if conference else None
        variables = {
            "CASE_ID": made.case,
            "CITIZEN_CHAN": citizen.member.channel if citizen else "none",
            "ROOM_ID": made.room,
            "OUTCOME": _WORDS[made.outcome],
            "DESK": made.desk or "",
            "BY": made.by,
            "ENDS": "1" if ends else "",
        }
        noted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._noted[made.case] = made, noted
        try:
            await self._pbx.ask(
                ask_originate(
                    "Local/s@hotline-decided/n",
                    "hotline-third-idle",
                    "s",
                    account=made.case,
                    variables={f"_{name}": value for name, value in variables.items()},
                )
            )
            async with asyncio.timeout(OFFER_LIMIT_S):
                await noted
        except TimeoutError:
            raise PbxTimeout(
                "the PBX did not say that the decision was noted; look at the case"
            ) from None
        finally:
            del self._noted[made.case]

    def _on_event(self, event: Event) -> None:
        if event.get("Kind") != "HOTLINE_DECIDED":
            return
        facts = {name: values[-1] for name, values in parse_qs(event.get("Facts")).items()}
        made, noted = self._noted.get(facts.get("case", ""), (None, None))
        if made is None or noted is None or noted.done():
            return
        # A key in the room may have decided otherwise in this moment.
        said = (facts.get("room"), facts.get("outcome"), facts.get("desk", ""), facts.get("by"))
        if said == (made.room, _WORDS[made.outcome], made.desk or "", made.by):
            noted.set_result(None)


_WORDS: dict[Outcome, str] = {"taken-by": "taken", "undecided": "undecided"}
"""What an outcome is called in the facts."""


def _in_time(case: str, room: str, entries: Sequence[Entry]) -> None:
    """Raise :class:`WrongState` when the case has gone on since that three-way call."""
    state = case_state(entries)
    if state in ("closed", "merged"):
        raise WrongState(f"case {case} is {state}; what came of its three-way call stays as it is")
    later = later_side(entries, room)
    if later is not None:
        raise WrongState(f"after the three-way call {later} came to answer for case {case}")
