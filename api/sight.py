"""Who sees citizens' numbers whole, and the entry in the audit log that this costs.

| token or person            | calls now | lists, exports | one case, leg, hand-over |
| -------------------------- | --------- | -------------- | ------------------------ |
| `sees_numbers = true`      | whole     | whole          | whole, in the audit log  |
| `sees_numbers = false`     | masked    | masked         | masked                   |
| not set: supervisor, admin | whole     | whole          | whole, in the audit log  |
| not set: agent, had a part | whole     | whole          | whole, in the audit log  |
| not set: agent, had none   | whole     | masked         | masked                   |
| not set: integrator        | masked    | masked         | masked                   |
| auditor                    | masked    | masked         | masked                   |

An agent had a part in a case for which they answer or answered, which was offered by them or to
them, or in which they have a leg.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from telephony import audit
from telephony.masking import mask_number
from telephony.record import queries

if TYPE_CHECKING:
    from api.security import Identity
    from telephony.database import Database
    from telephony.live.model import Channel
    from telephony.record.query_parts import Page, Row

Mask = Callable[["Row"], "Row"]


def sees_live(who: Identity) -> bool:
    """Whether numbers of calls in progress are shown whole."""
    return who.sees_numbers is not False


def live_party(who: Identity, channel: Channel) -> str:
    """Whom a channel belongs to, as this token sees it."""
    hidden = channel.role in ("citizen", "other") and not sees_live(who)
    return mask_number(channel.party) if hidden else channel.party


def sees_all(who: Identity) -> bool:
    """Whether every number on record is shown whole."""
    return who.role != "agent" if who.sees_numbers is None else who.sees_numbers


async def one(
    database: Database, who: Identity, row: Row, mask: Mask, what: audit.What, which: str
) -> Row:
    """A single row as this token sees it; seen whole, it is in the audit log first.

    Raises :class:`~telephony.errors.DatabaseUnavailable` when it cannot be logged.
    """
    if not sees_all(who) and row["case"] not in await _mine(database, who, [row]):
        return mask(row)
    await audit.note(database, who=who.name, role=who.role, what=what, which=which)
    return row


async def page(database: Database, who: Identity, found: Page, mask: Mask) -> Page:
    """A page of a list as this token sees it."""
    if sees_all(who):
        return found
    mine = await _mine(database, who, found.items)
    items = [row if row["case"] in mine else mask(row) for row in found.items]
    return queries.Page(items, found.next)


async def _mine(database: Database, who: Identity, rows: list[Row]) -> set[str]:
    if who.sees_numbers is False or who.agent is None:
        return set()
    cases = {row["case"] for row in rows if row["case"]}
    return await queries.cases_of(database, who.agent, sorted(cases))
