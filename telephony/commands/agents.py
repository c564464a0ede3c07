"""``hotline agents``: what every agent is doing, from a shell.

Over AMI directly, so it works when the service is stopped.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from telephony.agents import AgentStatus
from telephony.commands.calls import Json, from_each
from telephony.commands.output import print_json, print_table
from telephony.settings import TIME_ZONE


def agents(as_json: Json = False) -> None:
    """Show the agents: signed in or not, in a call, resting and why, calls taken today."""
    found = from_each(lambda control: control.agents.states())
    rows = [_row(one) for there in found.values() for one in there or ()]
    if as_json:
        print_json(rows)
    else:
        columns = ["agent", "name", "department", "state", "since", "until", "reason", "taken"]
        print_table("Agents now", columns, rows)


def _row(one: AgentStatus) -> dict[str, Any]:
    names = [name for name in (one.reason_zh, one.reason_en) if name]
    return {
        "agent": one.id,
        "name": one.name or None,
        "department": one.department or None,
        "state": one.state,
        "since": _moment(one.since),
        "until": _moment(one.until),
        "reason": " ".join(names) or one.reason,
        "paused": one.paused,
        "taken": one.taken,
    }


def _moment(at: float | None) -> str | None:
    if at is None:
        return None
    moment = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(TIME_ZONE))
    return moment.isoformat(timespec="seconds")
