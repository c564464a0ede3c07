"""Tells other platforms of what becomes of their orders and ours, as the ledger is written.

It follows the ledger: whatever writes an entry (a dispatch, a call handed over, feedback by a
person, a platform's own message), the orders of that case change, and the messages about it are put
into the outbox, in the same transaction.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from telephony.audit import AUDIT, entry_of
from telephony.cases.store import CASES, HANDOVERS, table, upsert
from telephony.masking import mask_details, mask_number, mask_text
from telephony.models import CaseDetails
from telephony.orders.format import NUMBER
from telephony.orders.models import WorkOrderRecord
from telephony.orders.outbox import enqueue
from telephony.orders.rules import Order, Telling, tellings
from telephony.orders.settings import Platform, platform_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.database import Database
    from telephony.responsibility import Entry
    from telephony.settings import Settings

ORDERS = table(WorkOrderRecord)
DETAILS = table(CaseDetails)
LONGEST = 1000
PLATFORM = "platform"
"""What stands as the role in the audit log for another platform."""
_WORDS = {"accepted": "text", "feedback": "text", "closed": "text"}
"""In which field what was said goes; else `reason`."""
_TELLING = frozenset(
    {"offered", "accepted", "declined", "unanswered", "failed", "withdrawn", "returned"}
    | {"undecided", "feedback", "closed", "reopened", "merged"}
)


class OrdersTeller:
    """Follows the ledger of one database."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._platforms = {one.id: one for one in settings.platforms}
        departments = {desk.id: desk.department for desk in settings.desks}
        self._behind = {
            desk: found.id
            for desk, department in departments.items()
            if (found := platform_of(settings.platforms, desk, department)) is not None
        }

    def is_of(self, platform: str, party: str) -> bool:
        """Whether a party of our record is this platform's own side."""
        known = self._platforms.get(platform)
        return self._behind.get(party) == platform or (known is not None and known.side == party)

    async def follow(self, connection: AsyncConnection, case: str, added: Sequence[Entry]) -> None:
        """Entries were added to the ledger of a case, in this transaction."""
        if not self._platforms or not any(entry.event in _TELLING for entry in added):
            return
        asked = select(ORDERS).where(ORDERS.c.case_id == case).order_by(ORDERS.c.opened_at)
        rows = (await connection.execute(asked.with_for_update())).mappings().all()
        known = {(row["platform"], row["given_by"], row["number"]): dict(row) for row in rows}
        orders = [order_of(row) for row in known.values()]
        for one in tellings(added, orders, self._behind.get, self.is_of):
            order = one.order
            stored = known.get((order.platform, order.given_by, order.number))
            await self._write(connection, order, stored)
            await self._tell(connection, one)
        for entry in added:
            if entry.event == "merged" and entry.to:
                moved = update(ORDERS).where(ORDERS.c.case_id == case)
                await connection.execute(moved.values(case_id=entry.to))

    async def _write(
        self, connection: AsyncConnection, order: Order, stored: dict[str, Any] | None
    ) -> None:
        now = datetime.now(UTC)
        row: dict[str, Any] = {
            "platform": order.platform,
            "given_by": order.given_by,
            "number": order.number,
        }
        row |= {"case_id": order.case, "handover": order.handover, "desk": order.desk}
        kept = stored or {"their_case": None, "opened_at": now}
        whole = {**kept, **row, "state": order.state, "changed_at": now}
        await connection.execute(upsert(self._database, ORDERS), [whole])

    async def _tell(self, connection: AsyncConnection, one: Telling) -> None:
        platform = self._platforms.get(one.order.platform)
        kind = f"order.{one.word}"
        if platform is None or kind not in platform.kinds:
            return
        order = one.order
        body: dict[str, Any] = {"order": order.number}
        body["given_by"] = "sender" if order.given_by == "us" else "receiver"
        body["by"] = one.by
        if one.word == "new":
            body |= await self._whole(connection, platform, one)
        else:
            said = one.text if platform.numbers else mask_text(one.text)
            said = said[:LONGEST] or ("-" if one.word in ("refused", "feedback") else "")
            body[_WORDS.get(one.word, "reason")] = said or None
        again = "" if one.word == "new" else f"{order.case}/{one.number}"
        await enqueue(
            connection,
            destination=platform.id,
            kind=kind,
            case_id=order.case,
            body=body,
            key=f"{kind}:{digest_of(order.given_by, order.number, again)}",
        )

    async def _whole(
        self, connection: AsyncConnection, platform: Platform, one: Telling
    ) -> dict[str, Any]:
        """What a new order tells of its case; its number whole is an entry of the audit log."""
        order = one.order

        async def row_of(source: Any, condition: Any) -> dict[str, Any]:
            found = (await connection.execute(select(source).where(condition))).mappings().first()
            return dict(found) if found is not None else {}

        case = await row_of(CASES, CASES.c.case_id == order.case)
        details = await row_of(DETAILS, DETAILS.c.case_id == order.case)
        handover = await row_of(HANDOVERS, HANDOVERS.c.id == order.handover)
        number, reason = case.get("caller"), handover.get("reason")
        if number is not None and not re.fullmatch(NUMBER, number):
            number = None  # withheld ("anonymous"), or nothing that can be called
        if not platform.numbers:
            details = mask_details(details) | {"position": None} if details else details
            number, reason = number and mask_number(number), reason and mask_text(reason)
        elif number or details:
            noted = entry_of(platform.id, PLATFORM, "order-sent", order.case)
            await connection.execute(insert(AUDIT), [noted])
        citizen = {"number": number}
        citizen |= {name: details.get(f"citizen_{name}") for name in ("name", "phone", "address")}
        told = ("kind", "matter", "summary", "place", "what", "phone", "position")
        return {
            "desk": order.desk,
            "how": handover.get("kind"),
            "accepted": order.state == "accepted",
            "reason": reason,
            "opened_at": _text(case.get("opened_at")),
            "happened_at": _text(details.get("happened_at")),
            "citizen": citizen,
            **{name: details.get(name) for name in told},
        }


def order_of(row: Any) -> Order:
    """A stored order."""
    return Order(
        row["platform"],
        row["given_by"],
        row["number"],
        row["case_id"],
        row["handover"],
        row["state"],
        row["desk"],
    )


def digest_of(*parts: str) -> str:
    """A short name for something that may be long."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
