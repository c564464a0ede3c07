"""A check of the record: gaps that were found in the PBX's rows."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from telephony.checkup.model import SEE_DATABASE, NotChecked, Patient, Verdict, Words, ok, warning
from telephony.checkup.record import DATABASE_LIMIT_S, is_there
from telephony.database import Database
from telephony.record.gap_store import recent_gaps

LOOK_BACK = timedelta(days=7)


async def check_gaps(patient: Patient) -> Verdict:
    """No rows of the last days are missing."""
    database = Database.from_settings(patient.settings)
    if not is_there(database):
        raise NotChecked("there is no database yet", SEE_DATABASE)
    since = datetime.now(UTC) - LOOK_BACK
    try:
        async with asyncio.timeout(DATABASE_LIMIT_S):
            found = await recent_gaps(database, patient.settings.pbx.name, since)
    finally:
        await database.close()
    if not found:
        return ok(f"none found in the last {LOOK_BACK.days} days")
    kinds = ", ".join(f"{one['count']} {one['why']}" for one in found)
    newest = max(one["newest"] for one in found)
    return warning(
        f"{kinds} in the last {LOOK_BACK.days} days, the newest at {newest:%Y-%m-%d %H:%M} UTC",
        Words(
            "`hotline legs gaps` lists them with the calls they touch",
            "`hotline legs gaps` 会列出缺口和涉及的通话",
        ),
    )
