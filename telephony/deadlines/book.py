"""The deadlines of cases on record: worked out anew when a case changes, and what was done on them.

A case whose ledger changes is marked in the same transaction (``cases.due_pending``), whoever wrote
it; here its deadlines are worked out by :mod:`telephony.deadlines.rules` and stored beside it. A
step is one transaction: the entry of the ledger, the mark on the deadline and what is to be told of
it. So each is done once, however often it is tried and however many services try.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Select, bindparam, func, select, update

from telephony import logs
from telephony.cases.book import DETAILS
from telephony.cases.store import CASES, LEDGER, CaseStore, entry_of_row, micros_of, parts, table
from telephony.cases.store import upsert as put
from telephony.cases.work import WORK, work_fact
from telephony.cel.rows import Fact
from telephony.deadlines.models import DeadlineRecord
from telephony.deadlines.notes import News
from telephony.deadlines.rules import (
    ENTRIES,
    STEPS,
    CaseFacts,
    Deadline,
    Rules,
    Step,
    deadlines,
    next_step,
)
from telephony.deadlines.sides import MatterLimits, Measure, Replies, Teller
from telephony.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.database import Database
    from telephony.responsibility import Entry
    from telephony.settings import Settings

log = structlog.get_logger(__name__)

DEADLINES = table(DeadlineRecord)
BATCH = 200
"""How many cases are worked out in one transaction, which holds the lock on SQLite."""
ASIDE = timedelta(minutes=10)
"""So long a case that cannot be worked out is left."""
BY = "hotline"
"""Who reminds and escalates, in the ledger."""
DONE_AT: Mapping[Step, str] = {
    "remind": "reminded_at",
    "escalate": "escalated_at",
    "escalate_head": "head_told_at",
}
RUNS = DEADLINES.c.ended_at.is_(None)


class DeadlineBook:
    """The deadlines of the cases of all PBXs of the settings, each by the line that was called.

    Every method raises :class:`~telephony.errors.DatabaseUnavailable`.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        teller: Teller,
        *,
        limits: MatterLimits | None = None,
        replies: Replies | None = None,
    ) -> None:
        """``limits``: None: no matter has one. ``replies``: None: nobody waits for an answer."""
        self._database = database
        self._settings = settings
        self._pbxs = [pbx.name for pbx in settings.every_pbx]
        self._rules = rules_of(settings)
        self._max_age = timedelta(days=settings.deadlines.max_age_days)
        self._departments = {agent.id: agent.department for agent in settings.agents}
        self._departments |= {desk.id: desk.department for desk in settings.desks}
        self._departments |= {line.number: line.name for line in settings.every_line}
        self._store = CaseStore(database, settings.pbx.name)
        self._teller = teller
        self._limits, self._replies = limits, replies
        self._aside: dict[str, datetime] = {}  # cases that cannot be worked out, until when

    async def settle(self, measure: Measure, now: datetime) -> int:
        """Work out the deadlines of cases that have changed; how many were.

        A case that cannot be worked out is left for ten minutes and holds up no other.
        """
        await self._take_up_replies()
        self._aside = {case: until for case, until in self._aside.items() if until > now}
        waits = [CASES.c.pbx.in_(self._pbxs), CASES.c.due_pending.is_not(None)]
        if self._aside:
            waits.append(CASES.c.case_id.not_in(list(self._aside)))
        query = select(CASES).where(*waits).order_by(CASES.c.case_id).limit(BATCH)
        if not await self._any(query.limit(1)):
            return 0  # the usual case, for which nothing is locked
        try:
            return len(await self._settled(query, measure, now))
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a fault in one of them; which, comes out below
            logs.unexpected(log, "deadlines could not be worked out together", error)
        async with self._database.reading() as connection:
            names = [row["case_id"] for row in (await connection.execute(query)).mappings()]
        for case in names:
            await self._settle_alone(case, query, measure, now)
        return len(names)

    async def _settle_alone(
        self, case: str, query: Select[Any], measure: Measure, now: datetime
    ) -> None:
        try:
            await self._settled(query.where(CASES.c.case_id == case), measure, now)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - of this case alone; the others go on
            self._aside[case] = now + ASIDE
            logs.unexpected(log, "a case's deadlines could not be worked out", error)
            log.warning("its deadlines are tried again later", case=case)

    async def _settled(
        self, query: Select[Any], measure: Measure, now: datetime
    ) -> list[dict[str, Any]]:
        async with self._database.writing() as connection:
            # What another service works on at this moment is left to it.
            rows = await connection.execute(query.with_for_update(skip_locked=True))
            found = [dict(row) for row in rows.mappings()]
            await self._work_out(connection, found, measure, now)
        return found

    async def _take_up_replies(self) -> None:
        if self._replies is None:
            return
        async with self._database.reading() as connection:
            changed = await self._replies.changed(connection)
        if not changed:
            return
        async with self._database.writing() as connection:
            for part in parts(sorted(changed)):
                mine = (CASES.c.case_id.in_(part), CASES.c.pbx.in_(self._pbxs))
                mark = update(CASES).where(*mine)
                await connection.execute(mark.values(due_pending=True))

    async def recheck(self, measure: Measure) -> int:
        """Have the cases worked out again whose deadlines go by another calendar or limit."""
        other = (DEADLINES.c.pbx.in_(self._pbxs), RUNS, DEADLINES.c.basis != measure.basis)
        asked = select(DEADLINES.c.case_id).where(*other).distinct()
        if not await self._any(asked.limit(1)):
            return 0
        async with self._database.writing() as connection:
            changed = update(CASES).where(CASES.c.case_id.in_(asked), CASES.c.due_pending.is_(None))
            return (await connection.execute(changed.values(due_pending=True))).rowcount

    async def steps(self, now: datetime) -> list[tuple[str, str]]:
        """Deadlines about which something is to be done now: case and key, the earliest first."""
        query = select(DEADLINES.c.case_id, DEADLINES.c.key).where(
            DEADLINES.c.pbx.in_(self._pbxs), DEADLINES.c.next_at <= now, RUNS
        )
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(DEADLINES.c.next_at).limit(BATCH))
            return [(row.case_id, row.key) for row in rows]

    async def step(self, case: str, key: str, measure: Measure, now: datetime) -> News | None:
        """Do the next step about a deadline, if it is still to be done; say what was done."""
        async with self._database.writing() as connection:
            stored, entries = await self._store.locked(connection, case)
            # It may have ended meanwhile.
            await self._work_out(connection, [stored], measure, now)
            which = (DEADLINES.c.case_id == case, DEADLINES.c.key == key)
            found = (await connection.execute(select(DEADLINES).where(*which))).mappings().first()
            row = dict(found) if found is not None else None
            if row is None or row["next_at"] is None or row["next_at"] > now:
                return None
            deadline = _deadline_of(row)
            step = next_step(deadline, _done(row))
            if step is None:
                return None
            news = await self._news(connection, stored, row, step, now)
            await self._note(connection, stored, entries, news)
            done = {**row, DONE_AT[step]: now}
            values = {DONE_AT[step]: now, "next_at": self._next_at(deadline, done)}
            await connection.execute(update(DEADLINES).where(*which).values(**values))
            await self._teller.tell(connection, news)
        return news

    async def next_at(self) -> datetime | None:
        """When the next step is to be done; None: nothing runs."""
        query = select(func.min(DEADLINES.c.next_at)).where(
            DEADLINES.c.pbx.in_(self._pbxs), DEADLINES.c.next_at.is_not(None), RUNS
        )
        async with self._database.reading() as connection:
            found: datetime | None = await connection.scalar(query)
            return found

    async def overdue(self, now: datetime) -> int:
        """How many deadlines have passed."""
        query = select(func.count()).where(
            DEADLINES.c.pbx.in_(self._pbxs), RUNS, DEADLINES.c.due_at <= now
        )
        async with self._database.reading() as connection:
            return int(await connection.scalar(query) or 0)

    async def _any(self, query: Any) -> bool:
        async with self._database.reading() as connection:
            return (await connection.execute(query)).first() is not None

    # -- a step ---------------------------------------------------------------------------------

    async def _news(
        self,
        connection: AsyncConnection,
        case: Mapping[str, Any],
        row: Mapping[str, Any],
        step: Step,
        now: datetime,
    ) -> News:
        asked = select(DETAILS.c.kind, DETAILS.c.matter).where(DETAILS.c.case_id == row["case_id"])
        found = (await connection.execute(asked)).mappings().first()
        details = dict(found) if found is not None else {}
        return News(
            step=step,
            case=row["case_id"],
            key=row["key"],
            deadline=row["kind"],
            holder=row["holder"],
            department=row["department"],
            since=row["since_at"],
            due=row["due_at"],
            at=now,
            caller=case["caller"],
            kind=details.get("kind"),
            matter=details.get("matter"),
        )

    async def _note(
        self,
        connection: AsyncConnection,
        stored: Mapping[str, Any],
        entries: Sequence[Entry],
        news: News,
    ) -> None:
        """Put a step into the ledger of its case, which is locked."""
        what, key = ENTRIES[news.step], f"{news.step}:{news.key}"
        values = work_fact(news.case, what, key, BY, to=news.told, detail=news.detail)
        fact = Fact(micros_of(news.at), WORK, values, "")
        await self._store.append(connection, stored, entries, fact)
        # What a step writes changes no deadline.
        quiet = update(CASES).where(CASES.c.case_id == news.case).values(due_pending=None)
        await connection.execute(quiet)

    # -- working out ----------------------------------------------------------------------------

    async def _work_out(
        self,
        connection: AsyncConnection,
        cases: Sequence[Mapping[str, Any]],
        measure: Measure,
        now: datetime,
    ) -> None:
        names = [case["case_id"] for case in cases]
        facts = await self._facts(connection, cases)
        known: dict[str, dict[str, Mapping[str, Any]]] = {name: {} for name in names}
        for part in parts(names):
            query = select(DEADLINES).where(DEADLINES.c.case_id.in_(part))
            for row in (await connection.execute(query)).mappings():
                known[row["case_id"]][row["key"]] = dict(row)
        changed: list[dict[str, Any]] = []
        due: list[dict[str, Any]] = []
        for case in cases:
            await asyncio.sleep(0)  # each takes a millisecond; keys that are pressed come between
            name = case["case_id"]
            calendar = measure.calendars[facts[name].line]
            found = deadlines(facts[name], self._rules, calendar)
            rows = self._rows(case, found, known[name], measure.basis, now)
            changed += rows
            running = [
                row["due_at"]
                for row in {**known[name], **{row["key"]: row for row in rows}}.values()
                if row["ended_at"] is None
            ]
            due.append({"b_case": name, "b_due": min(running, default=None)})
        if changed:
            await connection.execute(put(self._database, DEADLINES), changed)
        if due:
            at = update(CASES).where(CASES.c.case_id == bindparam("b_case"))
            await connection.execute(
                at.values(due_at=bindparam("b_due", type_=CASES.c.due_at.type), due_pending=None),
                due,
            )

    def _rows(
        self,
        case: Mapping[str, Any],
        found: Sequence[Deadline],
        known: Mapping[str, Mapping[str, Any]],
        basis: str,
        now: datetime,
    ) -> list[dict[str, Any]]:
        """What is to be stored; a deadline that has ended stays as it was."""
        rows = []
        for one in found:
            before = known.get(one.key)
            if before is None or before["ended_at"] is None:
                rows.append(self._row(case, one, before, basis, now))
        wanted = {one.key for one in found}
        for key, row in known.items():
            if key not in wanted and row["ended_at"] is None:
                rows.append({**row, "ended_at": now, "next_at": None})
        return rows

    def _row(
        self,
        case: Mapping[str, Any],
        one: Deadline,
        before: Mapping[str, Any] | None,
        basis: str,
        now: datetime,
    ) -> dict[str, Any]:
        row: dict[str, Any] = {
            "case_id": case["case_id"],
            "key": one.key,
            "pbx": case["pbx"],
            "kind": one.kind,
            "holder": one.holder,
            "department": self._departments.get(one.holder, ""),
            "since_at": one.since,
            "remind_at": one.remind,
            "due_at": one.due,
            "head_at": one.head,
            "seen_at": now if before is None else before["seen_at"],
            "ended_at": one.ended,
            **{name: before and before[name] for name in DONE_AT.values()},
            "basis": basis,
        }
        return row | {"next_at": self._next_at(one, row)}

    def _next_at(self, deadline: Deadline, row: Mapping[str, Any]) -> datetime | None:
        """When something is to be done about it; what began long ago is shown and not chased."""
        if row["since_at"] < row["seen_at"] - self._max_age:
            return None
        step = next_step(deadline, _done(row))
        return None if step is None else deadline.at(step)

    async def _facts(
        self, connection: AsyncConnection, cases: Sequence[Mapping[str, Any]]
    ) -> dict[str, CaseFacts]:
        lines = {case["case_id"]: self._settings.line_called(case["line"]) for case in cases}
        names = list(lines)
        entries: dict[str, list[Any]] = {name: [] for name in names}
        details: dict[str, Mapping[str, Any]] = {}
        for part in parts(names):
            ledger = select(LEDGER).where(LEDGER.c.case_id.in_(part))
            for row in (await connection.execute(ledger.order_by(LEDGER.c.number))).mappings():
                entries[row["case_id"]].append(entry_of_row(dict(row)))
            written = select(DETAILS.c.case_id, DETAILS.c.kind, DETAILS.c.matter)
            asked = written.where(DETAILS.c.case_id.in_(part))
            for row in (await connection.execute(asked)).mappings():
                details[row["case_id"]] = dict(row)
        hours = await self._limits.feedback_hours(connection, names) if self._limits else {}
        replies = await self._replies.of(connection, names) if self._replies else {}
        return {
            name: CaseFacts(
                entries=entries[name],
                line=line.number,
                kind=details.get(name, {}).get("kind"),
                is_filed=any(details.get(name, {}).get(one) for one in ("kind", "matter")),
                feedback_h=hours.get(name),
                replies=replies.get(name, ()),
            )
            for name, line in lines.items()
        }


def rules_of(settings: Settings) -> Rules:
    """The limits that the settings name."""
    return settings.deadlines.rules(settings.messages.due_days)


def _deadline_of(row: Mapping[str, Any]) -> Deadline:
    times = (row[name] for name in ("since_at", "remind_at", "due_at", "head_at", "ended_at"))
    return Deadline(row["key"], row["kind"], row["holder"], *times)


def _done(row: Mapping[str, Any]) -> Collection[Step]:
    return [step for step in STEPS if row[DONE_AT[step]] is not None]
