"""A record made for figures, and its figures counted by hand."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from telephony.cases.store import CASES, HANDOVERS
from telephony.database import Database
from telephony.figures import periods
from telephony.figures.counting import DETAILS, LEGS, MESSAGES

BEGIN = datetime(2026, 9, 28, 15, 30, tzinfo=UTC)  # 23:30 in Shanghai
DAYS = 10
FIRST, LAST = date(2026, 9, 28), date(2026, 10, 8)

ORDER, CALL_BACK = "20260929-1790000000.8000000001", "20260929-1790000001.7"

Rows = list[dict[str, Any]]


class Written:
    """A made-up record: some hundred calls over the turn of a month."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.cases: Rows = []
        self.legs: Rows = []
        self.handovers: Rows = []
        self.messages: Rows = []
        self.details: Rows = []
        for number in range(160):
            self._call(f"20260928-{number}.1")
        # A case of another platform, and one of a call back: none is a call that came in.
        for case, line in ((ORDER, "04212800122"), (CALL_BACK, None)):
            self._call(case)
            self.cases[-1]["line"] = line

    def _call(self, case: str) -> None:
        chance = self.chance
        at = BEGIN + timedelta(seconds=chance.uniform(0, DAYS * 86_400))
        answered = chance.random() < 0.7
        agent = chance.choice(["8001", "8002"]) if answered else None
        waited = round(chance.choice([2.0, 15.0, 15.001, 40.0]), 3) if answered else None
        leg = f"{int(at.timestamp())}.{len(self.legs)}" if answered else None
        closed = answered and chance.random() < 0.5
        self.cases.append(
            {
                "case_id": case,
                "pbx": "pbx1",
                "opened_at": at,
                "line": "04212800122",
                "state": "taken",
                "first_contact": agent,
                "first_leg": leg,
                "time_to_answer_s": waited,
                "handover_count": 0,
                "entries": 0,
                "head": "",
                "first_contact_resolution": chance.random() < 0.5 if closed else None,
            }
        )
        if leg:
            department = {"8001": "民意服务中心", "8002": "指挥中心"}[str(agent)]
            self._leg(case, leg, at + timedelta(seconds=3), agent, department)
        if chance.random() < 0.4:
            self.handovers.append(
                {
                    "id": f"{case}-h1",
                    "case_id": case,
                    "pbx": "pbx1",
                    "route": 1,
                    "desk": chance.choice(["110", "12345", None]),
                    "by": agent,
                    "state": chance.choice(["accepted", "busy", "unanswered"]),
                    "offered_at": at + timedelta(seconds=60),
                }
            )
        if not answered and chance.random() < 0.8:
            self._message(case, at + timedelta(seconds=30))
        if chance.random() < 0.5:
            self.details.append(
                {
                    "case_id": case,
                    "version": 1,
                    "changed_at": at,
                    "changed_by": "甲",
                    "matter": chance.choice(["交通事故", "车驾管"]),
                }
            )

    def _leg(self, case: str, leg: str, at: datetime, agent: str | None, department: str) -> None:
        self.legs.append(
            {
                "epoch": int(leg.split(".")[0]),
                "uniqueid": leg,
                "pbx": "pbx1",
                "at": at,
                "linkedid": leg,
                "case_id": case,
                "role": "agent",
                "agent": agent,
                "department": department,
                "state": "complete",
                "talk_s": round(self.chance.uniform(1, 300), 2),
                "channels": [],
                "channel_names": [],
                "segments": [],
            }
        )

    def _message(self, case: str, at: datetime) -> None:
        kind = self.chance.choice(["message", "missed"])
        answered = kind == "message" and self.chance.random() < 0.5
        self.messages.append(
            {
                "id": f"m-{case}",
                "pbx": "pbx1",
                "name": f"{case}-m1",
                "kind": kind,
                "case_id": case,
                "at": at,
                "sound_state": "none",
                "tries": 0,
                "why": self.chance.choice(["hours", "queue", "busy", "day"]),
                "state": "answered" if answered else "open",
                "closed_by": "8001" if answered else None,
                "closed_at": at + timedelta(hours=3, seconds=1.5) if answered else None,
            }
        )

    async def store(self, database: Database) -> None:
        async with database.writing() as connection:
            for target, rows in (
                *((CASES, self.cases), (LEGS, self.legs), (HANDOVERS, self.handovers)),
                *((MESSAGES, self.messages), (DETAILS, self.details)),
            ):
                await connection.execute(insert(target), rows)

    def counted(self, first: date, last: date, matter: str | None = None) -> dict[str, Any]:
        """The figures, counted by hand."""
        matters = {one["case_id"]: one["matter"] for one in self.details}

        def those(rows: Rows, moment: str) -> Rows:
            return [
                one
                for one in rows
                if first <= periods.day_of(one[moment]) <= last
                and (matter is None or matters.get(one["case_id"]) == matter)
            ]

        cases = those(self.cases, "opened_at")
        calls = [one for one in cases if one["case_id"] not in (ORDER, CALL_BACK)]
        met = {one["case_id"]: one for one in self.messages}
        unanswered = [
            met[one["case_id"]]
            for one in calls
            if one["time_to_answer_s"] is None and one["case_id"] in met
        ]
        waits = [one["time_to_answer_s"] for one in calls if one["time_to_answer_s"] is not None]
        closed = [one for one in unanswered if one["why"] in ("hours", "day")]
        talks = [one["talk_s"] for one in those(self.legs, "at")]
        messages = [one for one in those(self.messages, "at") if one["kind"] == "message"]
        replied = sum(one["state"] == "answered" for one in messages)
        judged = [one["first_contact_resolution"] for one in cases]
        judged = [one for one in judged if one is not None]
        states = [one["state"] for one in those(self.handovers, "offered_at")]
        during = len(calls) - len(closed)
        in_time = sum(wait <= 15 for wait in waits)
        return {
            "calls": len(calls),
            "answered": len(waits),
            "answered_in_time": in_time,
            "abandoned": sum(
                one["kind"] == "missed" and one["why"] in ("queue", "busy") for one in unanswered
            ),
            "after_hours": len(closed),
            "connect_rate": len(waits) / during if during else None,
            "answered_in_time_share": in_time / during if during else None,
            "mean_time_to_answer_s": _mean(waits),
            "talks": len(talks),
            "mean_talk_s": _mean(talks),
            "handovers": {state: states.count(state) for state in sorted(set(states))},
            "messages": len(messages),
            "messages_replied": replied,
            "mean_time_to_reply_s": 10_801.5 if replied else None,
            "first_contact_resolved": sum(judged),
            "first_contact_resolution": sum(judged) / len(judged) if judged else None,
        }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
