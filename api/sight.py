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

Who asks for the calls or cases of one number learns whether it called, masked or not: that is a
look-up of a citizen (see :func:`searched`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING

from telephony import audit
from telephony.errors import TooManySearches
from telephony.masking import mask_number
from telephony.numbers import to_e164
from telephony.record import queries

if TYPE_CHECKING:
    from api.security import Identity
    from telephony.database import Database
    from telephony.live.model import Channel
    from telephony.record.query_parts import Page, Row

Mask = Callable[["Row"], "Row"]
SEARCHES_AN_HOUR = 60
"""By a citizen's number, for who sees numbers masked: more than an agent takes calls."""


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


async def searched(database: Database, who: Identity, number: str | None) -> None:
    """Write in the audit log that the record is asked for one number, before it is read.

    An agent has the number from the citizen, an auditor from a complaint. Who sees numbers masked
    and tried one after the other would find what stands behind a mask, so after
    ``SEARCHES_AN_HOUR`` they wait. None, short codes and names, which no mask hides, are free.

    Raises :class:`TooManySearches`, :class:`~telephony.errors.DatabaseUnavailable`.
    """
    shown = None if number is None else _masked(database, number)
    if shown is None:
        return
    if sees_all(who):
        await audit.note(database, who=who.name, role=who.role, what="caller", which=shown)
        return
    entry = audit.entry_of(who.name, who.role, "caller", shown)
    since = datetime.now(UTC) - timedelta(hours=1)
    first = await audit.note_at_most(database, entry, SEARCHES_AN_HOUR, since=since)
    if first is not None:
        raise TooManySearches(
            f"who sees numbers masked may search by a number {SEARCHES_AN_HOUR} times an hour;"
            " search by case, or ask a supervisor",
            wait_s=str(max(1, ceil((first - since).total_seconds()))),
        )


def _masked(database: Database, number: str) -> str | None:
    """A number that somebody typed, masked; None for what lists show to everybody anyway."""
    shown = mask_number(number)
    if shown != number:
        return shown
    # Perhaps a number all the same, in a form that masking does not know: 138.1234.5678.
    whole = to_e164(number, database.area_code, database.country_code)
    return None if whole is None else mask_number(whole)


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
