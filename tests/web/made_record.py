"""A record of some weeks, made up: what the supervisors' pages look at."""

from __future__ import annotations

import random
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from telephony.cases.store import CASES, HANDOVERS, CaseStore, table
from telephony.cel.rows import Fact
from telephony.deadlines.models import DeadlineRecord
from telephony.figures.keeper import FigureKeeper
from telephony.figures.periods import day_of
from telephony.messages.models import MessageRecord
from telephony.models import CaseDetails, HandoverRecord, LegRecord
from telephony.responsibility import GENESIS

if TYPE_CHECKING:
    from telephony.database import Database

PBX = "pbx1"
CENTRE = "民意服务中心"
DESKS = {"110": "公安局", "12345": "政务服务中心", "122": "交警支队"}
KINDS = ("咨询", "建议", "求助", "表扬", "投诉")
MATTERS = ("车驾管业务", "交通违法处理", "信号灯配时", "违停挪车", "交通事故进度", "道路设施损坏")
SUMMARIES = (
    "询问驾驶证期满换证需要的材料",
    "建议延长凌河街路口直行绿灯",
    "车辆被挡无法驶出，请求联系车主",
    "表扬二大队民警雨天推车",
    "投诉夜间大货车闯禁行",
)
TALKED = "13904210077"
"""The caller whose cases and legs a test looks for."""
Row = dict[str, Any]


@dataclass(slots=True)
class MadeRecord:
    """Rows of a record, and the facts of its ledgers in order."""

    chance: random.Random
    cases: list[Row] = field(default_factory=list)
    legs: list[Row] = field(default_factory=list)
    handovers: list[Row] = field(default_factory=list)
    details: list[Row] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)
    deadlines: list[Row] = field(default_factory=list)
    facts: list[tuple[str, Fact]] = field(default_factory=list)
    number: int = 0

    def call(self, at: datetime, caller: str, *, ending: str = "accepted") -> str:
        """A call that an agent answers; ``ending``: closed, or how its hand-over to a desk ends.

        After ``unanswered`` the citizen is back with the agent, who tries 12345 instead.
        """
        chance, agent = self.chance, self.chance.choice(("8001", "8002", "8003"))
        case, citizen = self._case(at, caller, agent, wait_s=chance.choice((3, 5, 8, 12, 21)))
        answered = at + timedelta(seconds=self.cases[-1]["time_to_answer_s"])
        ours = self._id(answered)
        self._fact(case, "TAKEN", answered, case=case, agent=agent, leg=ours)
        pressed = answered + timedelta(seconds=chance.randint(25, 160))
        talks = [(ours, agent, answered, pressed)]
        end, then = pressed, pressed
        if ending != "closed":
            desk = chance.choice(tuple(DESKS))
            end, then = self._offer(case, desk, agent, pressed, ending, caller)
            if ending == "accepted":
                end += timedelta(seconds=chance.randint(40, 200))
                theirs = self._id(then)
                self._leg(case, citizen, theirs, "target", desk, DESKS[desk], pressed, then, end,
                          [(citizen, then, end)], caller, handover=f"{case}-h1")  # fmt: skip
                talks.append((theirs, desk, then, end))
            else:
                theirs = self._id(pressed)
                self._leg(case, citizen, theirs, "target", desk, DESKS[desk], pressed, None, then,
                          [], caller, handover=f"{case}-h1", cause=19)  # fmt: skip
                end = then + timedelta(seconds=chance.randint(15, 60))
                talks.append((ours, agent, then, end))
        with_agent = [(citizen, begin, stop) for leg, _, begin, stop in talks if leg == ours]
        self._leg(case, citizen, ours, "agent", agent, CENTRE, answered - timedelta(seconds=2),
                  answered, with_agent[-1][2], with_agent, caller)  # fmt: skip
        with_citizen = [(leg, begin, stop) for leg, _, begin, stop in talks]
        self._leg(case, citizen, citizen, "citizen", caller, None, at, at, end, with_citizen,
                  caller, hung_up_by=citizen)  # fmt: skip
        self._write_down(case, end, agent)
        if ending == "closed" or chance.random() < 0.6:
            by = agent if ending != "accepted" else desk
            when = end + timedelta(minutes=30)
            self._work(case, "closed", when, by, "已答复市民")
            self.cases[-1]["first_contact_resolution"] = ending != "accepted"
        return case

    def missed(self, at: datetime, caller: str, *, message: bool) -> str:
        """A call that nobody answers; ``message``: the line is shut, and one is left."""
        case, citizen = self._case(at, caller, None, wait_s=None)
        end = at + timedelta(seconds=self.chance.randint(20, 60))
        self._leg(case, citizen, citizen, "citizen", caller, None, at, at, end, [], caller)
        name = f"{case}-m1" if message else f"{case}-missed"
        self.messages.append(
            {
                "id": f"made{self.number:08d}",
                "pbx": PBX,
                "name": name,
                "case_id": case,
                "caller": caller,
            }
            | {
                "kind": "message" if message else "missed",
                "number": caller,
                "at": end,
                "state": "open",
            }
            | {"number_key": f"+86{caller}", "why": "hours" if message else "queue", "tries": 0}
            | {"length_s": 3.0 if message else None, "file": f"{name}.wav" if message else None}
            | {"sound_state": "ok" if message else "none"}
            | {"waited_s": None if message else (end - at).total_seconds()}
        )
        if message:
            self._fact(case, "MESSAGE", end, case=case, id=name, ms="3000", leg=citizen)
        return case

    def late(self, case: str, at: datetime, kind: str, holder: str, department: str) -> None:
        """A deadline of this case that has passed, and that the supervisors were told of."""
        hour = timedelta(hours=1)
        self.deadlines.append(
            {
                "case_id": case,
                "key": f"{kind}:{case}",
                "pbx": PBX,
                "kind": kind,
                "holder": holder,
                "basis": "made",
            }
            | {
                "department": department,
                "since_at": at - 8 * hour,
                "remind_at": at - hour,
                "due_at": at,
            }
            | {"head_at": at + 99 * hour, "seen_at": at - 8 * hour, "reminded_at": at - hour}
            | {"escalated_at": at, "head_told_at": None, "next_at": None, "ended_at": None}
        )
        detail = f"{kind}, held by {holder}, due {at + 8 * hour:%Y-%m-%d %H:%M}"
        self._work(case, "escalated", at, "deadlines", detail, to="supervisors")
        next(one for one in self.cases if one["case_id"] == case)["due_at"] = at

    async def store(self, database: Database) -> None:
        """Write it all, the ledgers with their hashes, and have the figures counted."""
        rows: tuple[tuple[Any, list[Row]], ...] = (
            (CASES, self.cases),
            (table(LegRecord), self.legs),
            (HANDOVERS, [HandoverRecord(**one).model_dump() for one in self.handovers]),
            (table(CaseDetails), self.details),
            (table(MessageRecord), self.messages),
            (table(DeadlineRecord), self.deadlines),
        )
        notes = CaseStore(database, PBX)
        async with database.writing() as connection:
            for target, values in rows:
                if values:
                    await connection.execute(insert(target), values)
            for case, fact in self.facts:
                await notes.note(connection, case, fact)
        days = [day_of(one["opened_at"]) for one in self.cases]
        await FigureKeeper(database).touch(min(days), max(days))

    # -- parts -----------------------------------------------------------------------------------

    def _id(self, at: datetime) -> str:
        self.number += 1
        return f"{int(at.timestamp())}.{self.number}"

    def _case(
        self, at: datetime, caller: str, agent: str | None, wait_s: float | None
    ) -> tuple[str, str]:
        citizen = self._id(at)
        case = f"{day_of(at):%Y%m%d}-{citizen}"
        self.cases.append(
            {
                "case_id": case,
                "pbx": PBX,
                "opened_at": at,
                "caller": caller,
                "caller_e164": f"+86{caller}",
            }
            | {
                "line": "04212800122",
                "state": "open",
                "head": GENESIS,
                "entries": 0,
                "handover_count": 0,
            }
            | {"time_to_answer_s": wait_s, "first_leg": None, "first_contact_resolution": None}
            | {"due_at": None}
        )
        return case, citizen

    def _leg(
        self, case: str, linked: str, name: str, role: str, party: str, department: str | None,
        started: datetime, answered: datetime | None, ended: datetime,
        segments: list[tuple[str, datetime, datetime]], caller: str,
        handover: str | None = None, cause: int = 16, hung_up_by: str | None = None,
    ) -> None:  # fmt: skip
        talk = sum((end - begin).total_seconds() for _, begin, end in segments)
        words = {16: "normal clearing", 19: "no answer"}
        self.legs.append(
            {
                "epoch": int(name.split(".")[0]),
                "uniqueid": name,
                "pbx": PBX,
                "at": started,
                "case_id": case,
            }
            | {
                "linkedid": linked,
                "role": role,
                "party": party,
                "department": department,
                "caller": caller,
            }
            | {"caller_e164": f"+86{caller}", "agent": party if role == "agent" else None}
            | {"started_at": started, "answered_at": answered, "ended_at": ended, "talk_s": talk}
            | {"ring_s": ((answered or ended) - started).total_seconds(), "hold_s": None}
            | {
                "cause": cause,
                "cause_text": words[cause],
                "hung_up_by": hung_up_by,
                "state": "complete",
            }
            | {"handover": handover, "channels": [name], "channel_names": [f"PJSIP/{party}-{name}"]}
            | {
                "segments": [
                    {"with": [other], "from": begin.isoformat(), "to": end.isoformat()}
                    for other, begin, end in segments
                ]
            }
        )

    def _offer(
        self, case: str, desk: str, agent: str, at: datetime, outcome: str, caller: str
    ) -> tuple[datetime, datetime]:
        """Returns until when the desk's part lasts at least, and when it is decided."""
        name, decided = f"{case}-h1", at + timedelta(seconds=self.chance.randint(4, 15))
        self._fact(case, "OFFERED", at, case=case, id=name, desk=desk, by=agent, kind="one-key")
        kind = "ACCEPTED" if outcome == "accepted" else "ENDED"
        self._fact(case, kind, decided, case=case, id=name, desk=desk, outcome=outcome, cause="19")
        back = None if outcome == "accepted" else "agent"
        self.handovers.append(
            {
                "id": name,
                "case_id": case,
                "pbx": PBX,
                "desk": desk,
                "by": agent,
                "kind": "one-key",
                "route": 1,
            }
            | {"reason": "属对方职责", "caller": caller, "state": outcome, "offered_at": at}
            | {"decided_at": decided, "returned_to": back, "returned_at": decided if back else None}
        )
        return decided, decided

    def _write_down(self, case: str, at: datetime, agent: str) -> None:
        chance = self.chance
        kind = chance.randrange(len(KINDS))
        self.details.append(
            {
                "case_id": case,
                "version": 1,
                "changed_at": at,
                "changed_by": agent,
                "kind": KINDS[kind],
            }
            | {
                "matter": chance.choice(MATTERS),
                "summary": SUMMARIES[kind],
                "place": "凌河街与新华路口",
            }
        )
        self._work(case, "edited", at, agent, "kind, matter, summary, place")

    def _work(self, case: str, event: str, at: datetime, by: str, detail: str, **more: str) -> None:
        key = f"{event}:{at.timestamp()}"
        values = {"case": case, "event": event, "key": key, "by": by, "detail": detail}
        self._fact(case, "WORK", at, **values, **more)

    def _fact(self, _case: str, _kind: str, _at: datetime, **values: str) -> None:
        leg = values.get("leg", "")
        self.facts.append((_case, Fact(int(_at.timestamp() * 1e6), _kind, values, leg)))


def weeks(now: datetime, days: int = 20, a_day: int = 9, seed: int = 5) -> MadeRecord:
    """Working days up to now; the same seed makes the same calls, whatever the day."""
    made = MadeRecord(random.Random(seed))
    for day in _days(now, days):
        begin = datetime(day.year, day.month, day.day, 0, 30, tzinfo=UTC)  # 08:30 in China
        for number in range(a_day):
            at = begin + timedelta(minutes=number * 50 + made.chance.randint(0, 40))
            if at > now - timedelta(minutes=10):
                break
            caller = f"138042100{made.chance.randint(10, 76)}"
            fate = made.chance.random()
            if fate < 0.12:
                made.missed(at, caller, message=fate < 0.06)
            else:
                ways = ("accepted", "accepted", "unanswered", "busy", "closed", "closed")
                made.call(at, caller, ending=made.chance.choice(ways))
    yesterday = now - timedelta(days=1)
    made.call(yesterday, TALKED, ending="unanswered")
    made.call(yesterday - timedelta(hours=3), TALKED)
    # Long enough ago to be late whatever days were holidays.
    long_ago = now - timedelta(days=25)
    left = made.missed(long_ago, TALKED, message=True)
    made.late(left, long_ago + timedelta(days=1), "message", "8002", CENTRE)
    return made


def _days(now: datetime, days: int) -> Iterator[date]:
    for back in range(days, -1, -1):
        day = day_of(now - timedelta(days=back))
        if day.weekday() < 5:
            yield day


def sounds(made: MadeRecord, folder: Path) -> None:
    """The messages' sound: a few seconds of silence each."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in made.messages:
        if one["file"]:
            with wave.open(str(folder / one["file"]), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8000)
                file.writeframes(b"\x00\x00" * 8000 * 3)
