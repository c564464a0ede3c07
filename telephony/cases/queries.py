"""A case as a story in the order of time, and the figures of many."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Float, case, cast, func, select

from telephony.cases.store import CASES
from telephony.record import queries
from telephony.record.query_parts import Row, all_rows, between, where

if TYPE_CHECKING:
    from telephony.database import Database


async def story(database: Database, case_id: str) -> Row:
    """A case and what happened to it, in the order of time: ``events``.

    Each has ``at``, ``what`` (leg, message, handover or ledger), the ``case`` it was noted under
    (another one for a call that was attached) and the thing itself under the same name. Raises
    :class:`CaseNotFound`, :class:`DatabaseUnavailable`.
    """
    whole = await queries.get_case(database, case_id)
    events = [
        _event(leg["started_at"] or leg["ended_at"], _leg_is(leg), leg) for leg in whole["legs"]
    ]
    events += [_event(one["offered_at"], "handover", one) for one in whole["handovers"]]
    for one in (case_id, *whole["attached"]):
        entries = whole["ledger"] if one == case_id else await queries.ledger(database, one)
        events += [_event(entry["at"], "ledger", entry) for entry in entries]
    events.sort(key=lambda event: (event["at"] is None, event["at"], _RANK[event["what"]]))
    head = {name: value for name, value in whole.items() if name not in _PARTS}
    return {**head, "events": events}


_PARTS = ("legs", "handovers", "ledger")
_RANK = {"leg": 0, "message": 1, "handover": 2, "ledger": 3}


def _leg_is(leg: Row) -> str:
    """The mailbox's leg is the message that was left."""
    return "message" if leg["role"] == "mailbox" else "leg"


def _event(at: datetime | None, what: str, thing: Row) -> Row:
    parts: Row = dict.fromkeys(("leg", "handover", "ledger"))
    parts["leg" if what == "message" else what] = thing
    return {"at": at, "what": what, "case": thing["case"], **parts}


async def figures(
    database: Database, *, since: datetime | None = None, until: datetime | None = None
) -> dict[str, Any]:
    """Figures of the cases that were opened in this time. A mean or share of nothing is None.

    Calls that were attached to another case are counted as ``merged`` and in nothing else. Raises
    :class:`DatabaseUnavailable`.
    """
    columns = CASES.c
    counts = {
        "closed": columns.state == "closed",
        "open": columns.state == "open",
        "taken": columns.state == "taken",
        "handed_over": columns.state == "handed_over",
        "merged": columns.state == "merged",
        "answered": columns.time_to_answer_s.is_not(None),
        "accepted": columns.accepted_at.is_not(None),
        "first_contact_resolved": columns.first_contact_resolution.is_(True),
    }
    theirs = columns.state != "merged"
    asked = [
        func.sum(case((test if name == "merged" else theirs & test, 1), else_=0)).label(name)
        for name, test in counts.items()
    ]
    asked += [
        func.sum(case((theirs, columns.handover_count), else_=0)).label("handovers"),
        func.sum(case((columns.first_contact_resolution.is_(None), 0), else_=1)).label("_judged"),
        *(
            cast(func.avg(case((theirs, columns[name]))), Float).label(f"mean_{name}")
            for name in ("time_to_answer_s", "time_to_acceptance_s")
        ),
    ]
    counted: Any = select(func.count().label("_all"), *asked)
    query = where(counted, between(columns.opened_at, since, until))
    row = dict((await all_rows(database, query))[0])
    found = {name: int(row[name] or 0) for name in (*counts, "handovers")}
    judged = int(row["_judged"] or 0)
    return {
        "cases": int(row["_all"]) - found["merged"],
        **found,
        "first_contact_resolution_share": (
            found["first_contact_resolved"] / judged if judged else None
        ),
        "mean_time_to_answer_s": row["mean_time_to_answer_s"],
        "mean_time_to_acceptance_s": row["mean_time_to_acceptance_s"],
    }
