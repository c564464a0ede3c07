"""What is to be told to other platforms: written with its reason, delivered until it arrives.

A message is a row of the outbox, written in the transaction of the thing it tells of. So nothing is
told that did not happen, and nothing that happened is not told, whoever dies in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from telephony.case_store import table
from telephony.outbox_model import OutboxLane, OutboxRecord

OUTBOX, LANES = map(table, (OutboxRecord, OutboxLane))


async def enqueue(
    connection: AsyncConnection,
    *,
    destination: str,
    kind: str,
    case_id: str | None,
    body: Mapping[str, Any],
    key: str,
) -> None:
    """Tell a platform something, once this transaction is committed.

    ``destination``: the platform's id in the settings. ``kind``: what it is, such as
    ``order.new``. ``case_id``: messages of one case arrive in the order in which they were put
    in; None waits for no other. ``body``: what JSON can hold. ``key``: what makes the message
    itself: put in twice, it is sent once.
    """
    if await _is_known(connection, destination, key):
        return
    sequence = 0
    if case_id is not None:
        # Whoever else numbers messages of this case waits here until we commit.
        sequence = 1 + await _locked_lane(connection, destination, case_id)
        if await _is_known(connection, destination, key):
            return
    now = datetime.now(UTC)
    row = {"destination": destination, "kind": kind, "case_id": case_id, "sequence": sequence}
    row |= {"key": key, "body": dict(body), "state": "waiting", "attempts": 0}
    row |= {"created_at": now, "next_at": now}
    put_in = _insert(connection, OUTBOX).values(row).on_conflict_do_nothing()
    added = await connection.scalar(put_in.returning(OUTBOX.c.id))
    if added is not None and case_id is not None:
        lane = (LANES.c.destination == destination, LANES.c.case_id == case_id)
        await connection.execute(update(LANES).where(*lane).values(last=sequence))


async def _is_known(connection: AsyncConnection, destination: str, key: str) -> bool:
    asked = select(OUTBOX.c.id).where(OUTBOX.c.destination == destination, OUTBOX.c.key == key)
    return await connection.scalar(asked) is not None


async def _locked_lane(connection: AsyncConnection, destination: str, case_id: str) -> int:
    row = {"destination": destination, "case_id": case_id, "last": 0}
    wanted = _insert(connection, LANES).values(row)
    keys = ["destination", "case_id"]
    locked = wanted.on_conflict_do_update(index_elements=keys, set_={"last": LANES.c.last})
    last: int = (await connection.execute(locked.returning(LANES.c.last))).scalar_one()
    return last


def _insert(connection: AsyncConnection, target: Table) -> Any:
    make: Any = sqlite_insert if connection.dialect.name == "sqlite" else postgres_insert
    return make(target)
