"""A check of what other platforms are told: nothing given up, nothing that waits for long."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from telephony.checkup.model import (
    SEE_DATABASE,
    NotChecked,
    Patient,
    Verdict,
    Words,
    ok,
    warning,
    wrong,
)
from telephony.checkup.record import DATABASE_LIMIT_S, is_there
from telephony.database import Database
from telephony.orders.outbox import OUTBOX

LATE = timedelta(minutes=10)
"""A message that waits for longer has been refused or not taken several times."""


async def check_outbox(patient: Patient) -> Verdict:
    """Messages to other platforms (webhooks) arrive."""
    database = Database.from_settings(patient.settings)
    if not is_there(database):
        raise NotChecked("there is no database yet", SEE_DATABASE)
    of = OUTBOX.c
    asked = (
        select(of.destination, of.state, func.count(), func.min(of.created_at))
        .where(of.state.in_(("waiting", "dead")))
        .group_by(of.destination, of.state)
    )
    try:
        async with asyncio.timeout(DATABASE_LIMIT_S), database.reading() as connection:
            rows = (await connection.execute(asked)).all()
    finally:
        await database.close()
    dead = {where: count for where, state, count, _ in rows if state == "dead"}
    waiting = {where: (count, since) for where, state, count, since in rows if state == "waiting"}
    if dead:
        told = ", ".join(f"{count} to {where}" for where, count in sorted(dead.items()))
        return wrong(
            f"given up: {told}",
            Words(
                "`hotline outbox list --state dead` says why; then `hotline outbox retry --dead`",
                "`hotline outbox list --state dead` 说明原因；然后 `hotline outbox retry --dead`",
            ),
        )
    known = {platform.id for platform in patient.settings.platforms}
    strange = sorted(waiting.keys() - known)
    if strange:
        return wrong(
            f"wait for {', '.join(strange)}, which is no platform of the settings",
            Words(
                "put it back into platforms, or skip its messages (`hotline outbox skip`)",
                "把它写回设置项 platforms，或跳过发给它的消息（`hotline outbox skip`）",
            ),
        )
    oldest = min((since for _, since in waiting.values()), default=None)
    count = sum(number for number, _ in waiting.values())
    if oldest is not None and datetime.now(UTC) - oldest > LATE:
        minutes = int((datetime.now(UTC) - oldest).total_seconds() // 60)
        return warning(
            f"{count} wait, the oldest for {minutes} min",
            Words(
                "`hotline outbox list --state waiting` says what their platform answered",
                "`hotline outbox list --state waiting` 显示对方平台的答复",
            ),
        )
    return ok(f"{count} wait, none for long" if count else "nothing waits, nothing was given up")
