"""What people write into cases outside their calls: details, results, returns, calls that belong.

Each is one transaction: the case's row is locked, the table of rules in :mod:`telephony.cases.work`
is asked, and what was done is an entry of the ledger. Only the record is touched, so no PBX is
needed. The ledger names the fields that were changed and by whom, never what stood in them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import select

from telephony.cases.sides import Sides
from telephony.cases.store import CASES, CaseStore, table, upsert
from telephony.cases.work import (
    RULES,
    WORK,
    WORKABLE,
    Action,
    Actor,
    Standing,
    check,
    given_by,
    open_dispatches,
    work_fact,
)
from telephony.cel.rows import Fact
from telephony.errors import CallNotFound, HotlineError, NotAllowed, WrongState
from telephony.legs.model import epoch_of, moment
from telephony.matters.book import Chosen, MatterBook
from telephony.models import CaseDetails, LegRecord

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.cases.dispatch import Decision, Dispatch, Dispatches
    from telephony.database import Database
    from telephony.responsibility import Entry
    from telephony.settings import Settings

DETAILS = table(CaseDetails)
LEGS = table(LegRecord)
FIELDS = tuple(
    name
    for name in CaseDetails.model_fields
    if name not in ("case_id", "version", "changed_at", "changed_by")
)
"""What can be written about a case."""


class VersionConflict(HotlineError):
    """Somebody else changed the case meanwhile; ``extra['version']`` is what it is now."""

    code = "version-conflict"
    status = 412
    title = "The case was changed by somebody else"


class VersionNeeded(HotlineError):
    """A change that does not say which version it changes."""

    code = "version-needed"
    status = 428
    title = "Say which version is changed"


class CaseBook:
    """Writes to the cases on record, by people."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        dispatches: Dispatches,
        matters: MatterBook | None = None,
    ) -> None:
        self._database = database
        self._store = CaseStore(database, settings.pbx.name)
        self._dispatches = dispatches
        self._matters = matters or MatterBook(database, settings)
        self.sides = Sides(settings)

    async def edit(
        self, case: str, changes: Mapping[str, Any], *, version: int, actor: Actor
    ) -> None:
        """Write details of a case: values by their names (:data:`FIELDS`); None takes one away.

        ``version`` is what the writer saw. What is as it was is no change and no entry. A matter is
        one of the directory, by code or name, where one is loaded. Raises :class:`CaseNotFound`,
        :class:`NotAllowed`, :class:`WrongState`, :class:`VersionConflict`, :class:`MatterUnknown`,
        :class:`DatabaseUnavailable`.
        """
        at = _now()
        async with self._database.writing() as connection:
            stored, entries = await self._store.locked(connection, case)
            check("edit", _standing(stored), actor, self.sides.same)
            asked = select(DETAILS).where(DETAILS.c.case_id == case)
            row = (await connection.execute(asked)).mappings().first()
            before = dict(row) if row is not None else {"case_id": case, "version": 0}
            if before["version"] != version:
                raise VersionConflict(
                    f"case {case} is at version {before['version']}, not {version}; read it again",
                    version=str(before["version"]),
                )
            matter = changes.get("matter")
            chosen = await self._matters.find(connection, matter) if matter else None
            if chosen is not None:
                changes = {**changes, "matter": chosen.matter.name}
            changed = [name for name in FIELDS if name in changes]
            changed = [name for name in changed if changes[name] != before.get(name)]
            if "matter" not in changed and await self._is_chosen_anew(connection, case, chosen):
                changed.append("matter")
            if not changed:
                return
            after = {name: before.get(name) for name in FIELDS}
            after |= {name: changes[name] for name in changed}
            after |= {"case_id": case, "version": version + 1, "changed_at": moment(at)}
            after["changed_by"] = actor.name
            await connection.execute(upsert(self._database, DETAILS), [after])
            if "matter" in changed:
                await self._matters.note(connection, case, chosen, by=actor.name)
            key, detail = f"v{version + 1}", ", ".join(changed)
            values = work_fact(case, "edited", key, actor.name, detail=detail)
            await self._store.append(connection, stored, entries, Fact(at, WORK, values, ""))

    async def _is_chosen_anew(
        self, connection: AsyncConnection, case: str, chosen: Chosen | None
    ) -> bool:
        """Whether a case gets the matter it has, as the directory has it now: its limits may be
        others."""
        return chosen is not None and await self._matters.noted(connection, case) != chosen.key

    async def attach(self, case: str, call: str, *, actor: Actor) -> None:
        """A call belongs to this case: its own case is merged into it, for good.

        ``call``: its id (the citizen's uniqueid) or its own case. It must have ended: until then
        what happens in it still decides who answers for its own case. Raises :class:`CallNotFound`
        when it is not on record, :class:`CaseNotFound`, :class:`NotAllowed`, :class:`WrongState`.
        """
        at = _now()
        async with self._database.writing() as connection:
            own = await self._own_case(connection, call)
            if own == case:
                raise WrongState(f"call {call} belongs to case {case} already")
            # Always in one order, so that two who attach at once do not wait for each other.
            rows = {one: await self._store.locked(connection, one) for one in sorted({own, case})}
            (mine, my_entries), (theirs, their_entries) = rows[own], rows[case]
            check("attach", _standing(mine), actor, self.sides.same)
            if theirs["state"] not in WORKABLE:
                raise WrongState(f"case {case} is {theirs['state']}; nothing is attached to it")
            await self._must_be_free(connection, own, my_entries)
            merged = work_fact(own, "merged", case, actor.name, to=case)
            attached = work_fact(case, "attached", own, actor.name, detail=own)
            append = self._store.append
            await append(connection, mine, my_entries, Fact(at, WORK, merged, ""))
            await append(connection, theirs, their_entries, Fact(at, WORK, attached, ""))

    async def act(
        self, case: str, action: Action, *, actor: Actor, words: str = "", once: str | None = None
    ) -> None:
        """Return, give feedback, close, reopen, or take a case that nobody has.

        ``once``: a key of the writer's own; what was written with it is not written again.
        Raises :class:`CaseNotFound`, :class:`NotAllowed`, :class:`WrongState`.
        """
        at, event = _now(), RULES[action].event
        key = uuid4().hex if once is None else _digest(actor.name, once)
        async with self._database.writing() as connection:
            stored, entries = await self._store.locked(connection, case)
            if any(entry.key == f"{event}:{key}" for entry in entries):
                return
            check(action, _standing(stored), actor, self.sides.same)
            offers = open_dispatches(entries)
            if action == "close" and offers:
                offered = ", ".join(sorted(offers.values()))
                raise WrongState(f"case {case} is offered to {offered}; withdraw that first")
            handover, to = given_by(entries) if action == "return" else (None, None)
            values = work_fact(case, event, key, actor.name, to=to, handover=handover, detail=words)
            await self._store.append(connection, stored, entries, Fact(at, WORK, values, ""))

    async def may_dispatch(self, case: str, *, actor: Actor) -> None:
        """Raise :class:`NotAllowed` unless the case is this actor's to offer to a desk.

        Also raises :class:`CaseNotFound` and :class:`WrongState`.
        """
        async with self._database.writing() as connection:
            stored, _ = await self._store.locked(connection, case)
        check("dispatch", _standing(stored), actor, self.sides.same)

    async def accept(self, case: str, *, actor: Actor, desk: str | None = None) -> None:
        """Take a case: what was offered to the actor's side by dispatch, or what nobody has.

        ``desk``: for which desk, where it was offered to several. Raises as :meth:`act`.
        """
        handover = await self._offered(case, actor, desk)
        if handover is not None:
            await self.decide(handover, "confirm", actor=actor)
        elif desk is not None:
            raise WrongState(f"case {case} is not offered to {desk}")
        else:
            await self.act(case, "accept", actor=actor)

    async def decline(
        self, case: str, *, actor: Actor, words: str, desk: str | None = None
    ) -> None:
        """Refuse a case that was offered to the actor's side by dispatch; as :meth:`accept`."""
        handover = await self._offered(case, actor, desk)
        if handover is None:
            raise WrongState(f"case {case} is not offered to {desk or actor.name}")
        await self.decide(handover, "decline", actor=actor, words=words)

    async def decide(
        self, handover: str, decision: Decision, *, actor: Actor, words: str = ""
    ) -> Dispatch:
        """Confirm or decline a dispatch for the side it was offered to, or take it back for the
        side that offered it. One rule, whether it is asked for by its case or by its id.

        Raises :class:`HandoverNotFound`, :class:`NotAllowed`, :class:`WrongState`.
        """

        def may(side: str) -> bool:
            return actor.is_senior or self.sides.same(side, actor.name)

        taker = None if actor.is_senior else actor.name
        return await self._dispatches.decide(handover, decision, may=may, words=words, taker=taker)

    async def _offered(self, case: str, actor: Actor, desk: str | None) -> str | None:
        """The open dispatch that this actor may decide; None where nothing is offered."""
        async with self._database.writing() as connection:
            stored, entries = await self._store.locked(connection, case)
        if stored["state"] not in WORKABLE:
            raise WrongState(f"case {case} is {stored['state']}")
        offers = open_dispatches(entries)
        mine = [
            handover
            for handover, to in offers.items()
            if desk in (None, to) and (actor.is_senior or self.sides.same(to, actor.name))
        ]
        if offers and not mine:
            raise NotAllowed(f"case {case} is offered to {', '.join(sorted(offers.values()))}")
        if len(mine) > 1:
            raise WrongState(f"case {case} is offered to several of yours; name the desk")
        return mine[0] if mine else None

    async def _own_case(self, connection: AsyncConnection, call: str) -> str:
        known = select(CASES.c.case_id).where(CASES.c.case_id == call)
        by_leg = select(LEGS.c.case_id).where(
            LEGS.c.epoch == epoch_of(call), LEGS.c.uniqueid == call, LEGS.c.role == "citizen"
        )
        for query in (known, by_leg):
            found: str | None = await connection.scalar(query.limit(1))
            if found is not None:
                return found
        raise CallNotFound(f"no call {call!r} is on record; one in progress may not be yet")

    async def _must_be_free(
        self, connection: AsyncConnection, own: str, entries: Sequence[Entry]
    ) -> None:
        """Raise :class:`WrongState` for a call that goes on, or whose case others depend on."""
        going_on = select(LEGS.c.uniqueid).where(LEGS.c.case_id == own, LEGS.c.state == "open")
        if await connection.scalar(going_on.limit(1)) is not None:
            raise WrongState(f"the call of case {own} goes on; attach it when it has ended")
        if open_dispatches(entries):
            raise WrongState(f"case {own} is offered to a desk; withdraw that first")
        attached = select(CASES.c.case_id).where(CASES.c.merged_into == own)
        if await connection.scalar(attached.limit(1)) is not None:
            raise WrongState(f"other calls are attached to case {own}; it stays a case of its own")


def _standing(row: Mapping[str, Any]) -> Standing:
    return Standing(row["case_id"], row["state"], row["owner"], row["first_contact"])


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _now() -> int:
    return time.time_ns() // 1000
