"""Writes cases, hand-overs and the ledger, inside the recorder's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.cases.work import case_figures
from telephony.cel.rows import Fact
from telephony.database import Database
from telephony.errors import CaseNotFound, WrongState
from telephony.legs.model import EPOCH, Leg, moment
from telephony.models import CaseRecord, HandoverRecord, LedgerRecord
from telephony.numbers import to_e164
from telephony.responsibility import (
    GENESIS,
    Entry,
    Handover,
    case_state,
    first_contact,
    handovers,
    new_entries,
)

MAX_IN = 400


@dataclass(frozen=True, slots=True)
class CallState:
    """A call as its rows stand."""

    legs: list[Leg]
    facts: list[Fact]
    is_over: bool


def table(model: type[Any]) -> Table:
    """The SQL table of a model."""
    return model.__table__  # type: ignore[no-any-return]


CASES, HANDOVERS, LEDGER = map(table, (CaseRecord, HandoverRecord, LedgerRecord))


class CaseStore:
    """Cases of one PBX, as its calls tell of them."""

    def __init__(self, database: Database, pbx: str) -> None:
        self.database = database
        self.pbx = pbx

    async def write(self, connection: AsyncConnection, calls: Sequence[CallState]) -> None:
        cases: dict[str, list[CallState]] = {}
        for call in calls:
            for case in _cases_of(call):
                cases.setdefault(case, []).append(call)
        if not cases:
            return
        # Locked, so that nobody writes to them meanwhile; in order, so that nobody waits in a ring.
        known = await _rows_by(connection, CASES, sorted(cases), lock=True)
        ledgers = await _rows_by(connection, LEDGER, list(cases))
        case_rows, entry_rows, handover_rows = [], [], {}
        news: dict[str, list[Entry]] = {}
        for case, mine in cases.items():
            before = [entry_of_row(row) for row in ledgers.get(case, [])]
            facts = _facts_of(case, mine, before)
            added = news[case] = new_entries(case, before, facts)
            entry_rows += [_entry_row(entry) for entry in added]
            stored = known.get(case)
            case_rows.append(self._case(case, mine, facts, [*before, *added], stored))
            for one in handovers(facts, [*before, *added]).values():
                handover_rows[one.id] = self._handover(one, case)
        await connection.execute(upsert(self.database, CASES), case_rows)
        if entry_rows:
            await connection.execute(insert(LEDGER), entry_rows)
        if handover_rows:
            await connection.execute(upsert(self.database, HANDOVERS), list(handover_rows.values()))
        for case, added in news.items():
            await self._tell(connection, case, added)

    async def note(self, connection: AsyncConnection, case: str, fact: Fact) -> None:
        """Put something that happened to a case outside any call into its ledger.

        Raises :class:`CaseNotFound`, :class:`WrongState` for an offer of a case that is closed or
        merged.
        """
        stored, before = await self.locked(connection, case)
        if fact.kind == "OFFERED" and stored["state"] in ("closed", "merged"):
            raise WrongState(f"case {case} is {stored['state']}: it is not offered to anybody")
        await self.append(connection, stored, before, fact)

    async def locked(
        self, connection: AsyncConnection, case: str
    ) -> tuple[Mapping[str, Any], list[Entry]]:
        """A case's row, and its ledger in its order; raises :class:`CaseNotFound`.

        The row is locked first, so that two who write take their numbers one after the other.
        """
        asked = select(CASES).where(CASES.c.case_id == case)
        stored = (await connection.execute(asked.with_for_update())).mappings().first()
        if stored is None:
            raise CaseNotFound(f"no case {case!r} is on record")
        rows = (await _rows_by(connection, LEDGER, [case])).get(case, [])
        return dict(stored), [entry_of_row(row) for row in rows]

    async def append(
        self,
        connection: AsyncConnection,
        stored: Mapping[str, Any],
        before: Sequence[Entry],
        fact: Fact,
    ) -> None:
        """Write what a fact adds to the ledger of a case that is :meth:`locked`."""
        case = stored["case_id"]
        added = new_entries(case, before, [fact])
        if not added:
            return
        await connection.execute(insert(LEDGER), [_entry_row(entry) for entry in added])
        entries = [*before, *added]
        await connection.execute(
            update(CASES)
            .where(CASES.c.case_id == case)
            .values(**_by_ledger(entries, stored["opened_at"]))
        )
        await self._tell(connection, case, added)

    async def _tell(self, connection: AsyncConnection, case: str, added: Sequence[Entry]) -> None:
        for follow in self.database.ledger_followers if added else ():
            await follow(connection, case, added)

    def _handover(self, one: Handover, case: str) -> dict[str, Any]:
        return {
            "id": one.id,
            "case_id": one.case or case,
            "pbx": self.pbx,
            "desk": one.desk,
            "by": one.by,
            "kind": one.kind,
            "reason": one.reason,
            "caller": one.caller,
            "state": one.state,
            "offered_at": moment(one.offered if one.offered is not None else one.first_at),
            "decided_at": when(one.decided),
            "leg": one.leg,
            "route": one.route,
            "cause": one.cause,
            "returned_to": one.returned_to,
            "returned_at": when(one.returned),
        }

    def _case(
        self,
        case: str,
        calls: Sequence[CallState],
        facts: Sequence[Fact],
        entries: Sequence[Entry],
        stored: Sequence[Mapping[str, Any]] | None,
    ) -> dict[str, Any]:
        legs = [leg for call in calls for leg in call.legs if leg.case == case]
        citizen = next((leg for leg in legs if leg.role == "citizen"), None)
        opened = [fact for fact in facts if fact.kind == "CASE"]
        before = stored[0] if stored else {}
        caller = (citizen.caller if citizen is not None else None) or before.get("caller")
        begun = [fact.at for fact in opened] or [leg.first_at for leg in legs]
        begun = begun or [fact.at for fact in facts]
        line = next((fact.values.get("line") for fact in opened), None)
        handed = next((fact.values for fact in facts if fact.kind == "HANDED"), {})
        opened_at = min([moment(min(begun)), *_known(before.get("opened_at"))])
        return {
            "case_id": case,
            "pbx": before.get("pbx", self.pbx),
            "opened_at": opened_at,
            "caller": caller,
            "caller_e164": to_e164(caller, self.database.area_code, self.database.country_code),
            "line": line or before.get("line"),
            "handed_over_by": handed.get("by") or before.get("handed_over_by"),
            "their_case": handed.get("their") or before.get("their_case"),
            "due_at": before.get("due_at"),
            **_by_ledger(entries, opened_at),
        }


def _by_ledger(entries: Sequence[Entry], opened_at: datetime) -> dict[str, Any]:
    """What a case's row holds that follows from its ledger."""
    opened = micros_of(opened_at)
    taken = next((entry for entry in entries if entry.event == "taken"), None)
    figures = case_figures(entries, opened)
    return {
        "state": case_state(entries),
        "first_contact": taken.by if taken is not None else None,
        "first_leg": taken.leg if taken is not None else None,
        "taken_at": moment(taken.at) if taken is not None else None,
        "owner": entries[-1].responsible if entries else None,
        "handover_count": figures.handovers,
        "accepted_at": when(figures.accepted),
        "closed_at": when(figures.closed),
        "merged_into": figures.merged_into,
        "time_to_answer_s": figures.time_to_answer_s,
        "time_to_acceptance_s": figures.time_to_acceptance_s,
        "first_contact_resolution": figures.first_contact_resolution,
        "entries": len(entries),
        "head": entries[-1].hash if entries else GENESIS,
        "due_pending": True,  # the keeper of deadlines looks at it
    }


def _cases_of(call: CallState) -> dict[str, None]:
    found = dict.fromkeys(leg.case for leg in call.legs if leg.case)
    found |= dict.fromkeys(fact.values["case"] for fact in call.facts if fact.values.get("case"))
    return {case: None for case in found if case is not None}


def _facts_of(case: str, calls: Sequence[CallState], before: Sequence[Entry]) -> list[Fact]:
    """What was noted about the case; who took it is worked out when nobody noted it.

    That is done when the call is over, or before, when the case is handed on: by then the note
    would be there.
    """
    facts = [fact for call in calls for fact in call.facts if fact.values.get("case") == case]
    noted = any(fact.kind in ("TAKEN", "HANDED") for fact in facts)
    if noted or any(entry.event == "taken" for entry in before):
        return facts
    over = all(call.is_over for call in calls)
    handed_on = [fact.at for fact in facts if fact.kind != "CASE"]
    found = min(
        (one for call in calls if (one := first_contact(call.legs, case)) is not None),
        key=lambda one: one[1],
        default=None,
    )
    if found is not None and (over or (handed_on and found[1] <= min(handed_on))):
        leg, since = found
        values = {"case": case, "leg": leg.uniqueid, "detail": "worked out from the bridges"}
        if leg.party:
            values["agent"] = leg.party
        facts.append(Fact(since, "TAKEN", values, leg.uniqueid))
    return facts


async def _rows_by(
    connection: AsyncConnection, source: Table, cases: Sequence[str], *, lock: bool = False
) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for part in parts(cases):
        query = select(source).where(source.c.case_id.in_(part)).order_by(*source.primary_key)
        if lock:
            query = query.with_for_update()
        for row in (await connection.execute(query)).mappings():
            found.setdefault(row["case_id"], []).append(dict(row))
    return found


def entry_of_row(row: Mapping[str, Any]) -> Entry:
    """A stored ledger row as an entry of :mod:`telephony.responsibility`."""
    micros = micros_of(row["at"])
    names = ("event", "by", "to", "responsible", "leg", "handover", "detail", "previous", "hash")
    return Entry(row["case_id"], row["number"], row["key"], micros, *(row[name] for name in names))


def _entry_row(entry: Entry) -> dict[str, Any]:
    return {
        "case_id": entry.case,
        "number": entry.number,
        "key": entry.key,
        "at": moment(entry.at),
        "event": entry.event,
        "by": entry.by,
        "to": entry.to,
        "responsible": entry.responsible,
        "leg": entry.leg,
        "handover": entry.handover,
        "detail": entry.detail,
        "previous": entry.previous,
        "hash": entry.hash,
    }


def upsert(database: Database, target: Table) -> Any:
    """Insert, or replace what stands under the same key."""
    statement: Any = (sqlite_insert if database.is_sqlite else postgres_insert)(target)
    keys = [column.name for column in target.primary_key]
    changed = {
        column.name: statement.excluded[column.name]
        for column in target.columns
        if column.name not in keys
    }
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def micros_of(at: datetime) -> int:
    """A moment as whole microseconds since 1970."""
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def when(micros: int | None) -> datetime | None:
    """Microseconds since 1970 as a moment; None stays None."""
    return None if micros is None else moment(micros)


def parts(values: Sequence[str]) -> Iterable[Sequence[str]]:
    """The values in parts that fit into one statement."""
    for start in range(0, len(values), MAX_IN):
        yield values[start : start + MAX_IN]


def _known(value: datetime | None) -> list[datetime]:
    return [] if value is None else [value]
