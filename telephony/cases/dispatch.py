"""Dispatch (派单): a case is handed to a desk without any call, and the desk takes it or refuses.

It is a hand-over like any other: offered, then accepted or not, and until it is accepted the case
stays with whoever had it. Only the record is touched, so it needs no PBX.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import func, insert, select, update

from telephony.cases.store import HANDOVERS, CaseStore
from telephony.cel.rows import Fact
from telephony.errors import HandoverNotFound, NotAllowed, WrongState
from telephony.legs.model import moment
from telephony.transfer import must_allow

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.database import Database
    from telephony.settings import Settings

DISPATCH_ID = re.compile(r".+-d\d+")
Decision = Literal["confirm", "decline", "cancel"]
OUTCOMES: dict[Decision, str] = {
    "confirm": "accepted",
    "decline": "declined",
    "cancel": "cancelled",
}


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A case offered to a desk without a call.

    ``state`` is offered, accepted, declined or cancelled.
    """

    id: str
    case: str
    desk: str
    by: str
    state: str
    offered_at: datetime


class Dispatches:
    """Dispatches of the cases of one PBX."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._store = CaseStore(database, settings.pbx.name)

    async def offer(self, case: str, desk_id: str, *, by: str, reason: str = "") -> Dispatch:
        """Offer a case to a desk.

        ``by``: the agent, or the name of whoever does it. Raises :class:`CaseNotFound`,
        :class:`DeskNotFound`, :class:`WrongState` while one to the same desk is open,
        :class:`DatabaseUnavailable`.
        """
        self._settings.desk(desk_id)
        at = _now()
        async with self._database.writing() as connection:
            # Locked before counting: of two who offer at once the second finds the first's number.
            await self._store.locked(connection, case)
            mine = HANDOVERS.c.case_id == case
            number = await connection.scalar(
                select(func.count()).select_from(HANDOVERS).where(mine, _IS_DISPATCH)
            )
            open_one = await connection.scalar(
                select(HANDOVERS.c.id).where(
                    mine,
                    _IS_DISPATCH,
                    HANDOVERS.c.desk == desk_id,
                    HANDOVERS.c.state == "offered",
                )
            )
            if open_one is not None:
                raise WrongState(f"case {case} is offered to {desk_id} already ({open_one})")
            name = f"{case}-d{(number or 0) + 1}"
            values = {"id": name, "case": case, "desk": desk_id, "by": by, "kind": "dispatch"}
            offered_at = moment(at)
            row: dict[str, Any] = {
                "id": name,
                "case_id": case,
                "pbx": self._store.pbx,
                "desk": desk_id,
                "by": by,
            }
            row |= {"kind": "dispatch", "reason": reason or None, "state": "offered"}
            row |= {"offered_at": offered_at, "route": 1}
            await connection.execute(insert(HANDOVERS), [row])
            # Last: who follows the ledger finds the hand-over with its reason.
            await self._store.note(connection, case, Fact(at, "OFFERED", values, ""))
        return Dispatch(name, case, desk_id, by, "offered", offered_at)

    async def decide(
        self,
        handover: str,
        decision: Decision,
        *,
        may: Callable[[str], bool],
        words: str = "",
        taker: str | None = None,
    ) -> Dispatch:
        """The desk takes it or refuses, or whoever offered it takes it back.

        ``may``: whether this is done for that party; ``words``: why, for the ledger; ``taker``:
        which agent takes what was offered to the line.
        Raises :class:`HandoverNotFound`, :class:`NotAllowed`, :class:`WrongState` when it was
        decided before.
        """
        async with self._database.writing() as connection:
            case = (await self._find(connection, handover)).case
            # The case is locked first, as by everybody who writes to its ledger.
            await self._store.locked(connection, case)
            found = await self._find(connection, handover)
            owner = found.by if decision == "cancel" else found.desk
            if not may(owner):
                raise NotAllowed(f"hand-over {handover} is for {owner} to {decision}")
            must_allow(handover, "dispatch", found.state, decision)
            at, outcome = _now(), OUTCOMES[decision]
            is_ours = taker is not None and found.desk == self._settings.line.number
            to = taker if is_ours and decision == "confirm" else found.desk
            values = {"id": handover, "case": found.case, "desk": to or "", "outcome": outcome}
            values |= {"said": words} if words else {}
            kind = "ACCEPTED" if decision == "confirm" else "ENDED"
            await self._store.note(connection, found.case, Fact(at, kind, values, ""))
            changed = update(HANDOVERS).where(HANDOVERS.c.id == handover)
            await connection.execute(changed.values(state=outcome, decided_at=moment(at)))
        return Dispatch(handover, found.case, found.desk, found.by, outcome, found.offered_at)

    async def _find(self, connection: AsyncConnection, handover: str) -> Dispatch:
        asked = select(HANDOVERS).where(HANDOVERS.c.id == handover, _IS_DISPATCH)
        row = (await connection.execute(asked)).mappings().first()
        if row is None:
            raise HandoverNotFound(f"no hand-over {handover!r} runs; it may have ended")
        return Dispatch(
            row["id"], row["case_id"], row["desk"], row["by"], row["state"], row["offered_at"]
        )


_IS_DISPATCH = HANDOVERS.c.kind == "dispatch"


def _now() -> int:
    return time.time_ns() // 1000
