"""What deadlines depend on besides the ledger: the limit of a case's matter, citizens who wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from sqlalchemy import and_, or_, select

from telephony.cases.store import parts, table
from telephony.deadlines.book import DEADLINES, RUNS
from telephony.deadlines.rules import Reply
from telephony.matters.models import CaseMatter, MatterRecord
from telephony.messages.models import MessageRecord

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

CHOSEN, MATTERS, MESSAGES = map(table, (CaseMatter, MatterRecord, MessageRecord))
_KINDS: Mapping[str, Literal["message", "missed_call"]] = {
    "message": "message",
    "missed": "missed_call",
}


class MatterHours:
    """The feedback limit of the matter of a case, as the directory had it when it was chosen."""

    async def feedback_hours(
        self, connection: AsyncConnection, cases: Sequence[str]
    ) -> Mapping[str, float]:
        same = and_(MATTERS.c.version == CHOSEN.c.version, MATTERS.c.code == CHOSEN.c.code)
        query = select(CHOSEN.c.case_id, MATTERS.c.feedback_h).select_from(
            CHOSEN.join(MATTERS, same)
        )
        found: dict[str, float] = {}
        for part in parts(cases):
            limited = query.where(CHOSEN.c.case_id.in_(part), MATTERS.c.feedback_h.is_not(None))
            found |= {row.case_id: row.feedback_h for row in await connection.execute(limited)}
        return found


class WaitingCitizens:
    """Messages and missed calls as they stand on record."""

    async def of(
        self, connection: AsyncConnection, cases: Sequence[str]
    ) -> Mapping[str, Sequence[Reply]]:
        found: dict[str, list[Reply]] = {}
        for part in parts(cases):
            query = select(MESSAGES).where(MESSAGES.c.case_id.in_(part))
            for row in (await connection.execute(query.order_by(MESSAGES.c.at))).mappings():
                if row["kind"] == "missed" and row["number"] is None:
                    continue  # there is nobody whom we could call back
                ended = None if row["state"] == "open" else row["closed_at"] or row["at"]
                one = Reply(row["name"], _KINDS[row["kind"]], row["at"], row["holder"], ended)
                found.setdefault(row["case_id"], []).append(one)
        return found

    async def changed(self, connection: AsyncConnection) -> Sequence[str]:
        mine = or_(
            *(
                and_(MESSAGES.c.kind == kind, DEADLINES.c.key == f"{name}:" + MESSAGES.c.name)
                for kind, name in _KINDS.items()
            )
        )
        joined = DEADLINES.join(MESSAGES, and_(MESSAGES.c.case_id == DEADLINES.c.case_id, mine))
        taken = MESSAGES.c.holder.is_not(None) & (MESSAGES.c.holder != DEADLINES.c.holder)
        query = select(DEADLINES.c.case_id).select_from(joined)
        rows = await connection.execute(
            query.where(RUNS, or_(MESSAGES.c.state != "open", taken)).distinct()
        )
        return [row.case_id for row in rows]
