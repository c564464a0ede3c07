"""What people do with a message, in the ledger of its case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import select

from telephony.cases.store import CaseStore
from telephony.cases.work import WORK, work_fact
from telephony.cel.rows import Fact
from telephony.errors import CaseNotFound
from telephony.messages.store import MESSAGES, OPEN

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from telephony.record.query_parts import Row
    from telephony.responsibility import Entry

Done = Literal["taken", "given", "given back", "answered"]
MOST = 50
"""Cases of one citizen that get an entry at once."""


class MessageLedger:
    """The cases of a message and of others of its citizen, locked before the messages are.

    The recorder locks in this order too, so nobody waits in a ring.
    """

    def __init__(self, connection: AsyncConnection, store: CaseStore) -> None:
        self._connection = connection
        self._store = store
        self._cases: dict[str, tuple[Mapping[str, Any], list[Entry]]] = {}

    async def lock(self, message: Row) -> None:
        """Lock the cases. Missed calls that are done along with a message get no entry."""
        cases = {message["case_id"]}
        if message["number_key"] is not None:
            same = (OPEN, MESSAGES.c.kind == "message")
            query = select(MESSAGES.c.case_id).where(
                MESSAGES.c.number_key == message["number_key"], *same
            )
            query = query.order_by(MESSAGES.c.at.desc()).limit(MOST)
            cases.update((await self._connection.execute(query)).scalars())
        for case in sorted(cases - {None}):
            try:
                self._cases[case] = await self._store.locked(self._connection, case)
            except CaseNotFound:  # deleted by rule before its message
                continue

    async def note(
        self, messages: Sequence[Row], what: Done, *, by: str, at: int, to: str | None = None
    ) -> None:
        """One entry for each case; ``at`` in microseconds since 1970."""
        noted: set[str] = set()
        for row in messages:
            case = row["case_id"]
            if case not in self._cases or case in noted:
                continue
            noted.add(case)
            stored, entries = self._cases[case]
            key = f"{row['id']}:{what}:{at}"
            values = work_fact(case, "message", key, by, to=to, detail=what)
            await self._store.append(self._connection, stored, entries, Fact(at, WORK, values, ""))
