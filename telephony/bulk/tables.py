"""What can be exported: tables, their columns, and how people call them in Chinese and English.

| kind     | is                                                            |
| -------- | ------------------------------------------------------------- |
| `text`   | anything that somebody may have written or sent               |
| `number` | a telephone number: digits that are no quantity (0421… keeps its zero) |
| `e164`   | one as `+8613804210001`, made by us                           |
| `id`     | what names a thing and may look like a quantity: 1795497294.190 |
| `word`   | one of a few words of ours, or a hash                         |
| `int`, `float`, `bool`, `time` | what they say                           |
| `json`   | a list, as JSON                                               |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from telephony.errors import InvalidValue
from telephony.masking import mask_case, mask_entry, mask_handover, mask_leg
from telephony.record import queries
from telephony.record.query_parts import Row

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select

    from telephony.database import Database

What = Literal["legs", "cases", "ledger", "handovers"]
Headings = Literal["names", "zh", "en"]
Format = Literal["csv", "xlsx", "parquet"]
Kind = Literal["text", "number", "e164", "id", "word", "int", "float", "bool", "time", "json"]
Filters = queries.LegFilter | queries.CaseFilter | queries.LedgerFilter | queries.HandoverFilter


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in the interface, what it holds, and its headings for people."""

    name: str
    kind: Kind
    zh: str
    en: str

    def heading(self, headings: Headings) -> str:
        """What stands in the first row. Times for people are China's: the heading says so."""
        if headings == "names":
            return self.name
        words, zone = (self.zh, "（北京时间）") if headings == "zh" else (self.en, " (China time)")
        return words + zone if self.kind == "time" else words


@dataclass(frozen=True, slots=True)
class Table:
    """A table that can be exported: oldest first, by its key."""

    name: What
    zh: str
    en: str
    columns: tuple[Column, ...]
    filters: type[Filters]
    select: Callable[[Database, Any], Select[Any]]
    key: tuple[ColumnElement[Any], ...]
    mask: Callable[[Mapping[str, Any]], Row]


def _columns(text: str) -> tuple[Column, ...]:
    found = []
    for line in text.strip().splitlines():
        name, kind, zh, en = (part.strip() for part in line.split("|"))
        found.append(Column(name, cast(Kind, kind), zh, en))
    return tuple(found)


_LEGS = _columns("""
    pbx           | word   | 交换机         | PBX
    uniqueid      | id     | 话路号         | Leg
    channels      | json   | 通道号         | Channels
    channel_names | json   | 通道名         | Channel names
    linkedid      | id     | 关联号         | Linked
    case          | id     | 工单号         | Case
    role          | word   | 角色           | Role
    party         | number | 参与方         | Party
    party_e164    | e164   | 参与方（国际） | Party (E.164)
    caller        | number | 来电号码       | Caller
    caller_e164   | e164   | 来电号码（国际） | Caller (E.164)
    agent         | number | 坐席           | Agent
    department    | text   | 部门           | Department
    started_at    | time   | 开始           | Started
    answered_at   | time   | 接通           | Answered
    ended_at      | time   | 结束           | Ended
    ring_s        | float  | 振铃（秒）     | Ring (s)
    talk_s        | float  | 通话（秒）     | Talk (s)
    hold_s        | float  | 保持（秒）     | Hold (s)
    cause         | int    | 挂断码         | Cause
    cause_text    | word   | 挂断原因       | Cause in words
    hung_up_by    | word   | 挂断方         | Hung up by
    state         | word   | 状态           | State
    handover      | id     | 转接号         | Hand-over
    segments      | json   | 通话段         | Segments
""")
_CASES = _columns("""
    case                     | id     | 工单号         | Case
    pbx                      | word   | 交换机         | PBX
    opened_at                | time   | 建立           | Opened
    caller                   | number | 来电号码       | Caller
    caller_e164              | e164   | 来电号码（国际） | Caller (E.164)
    line                     | number | 被叫线路       | Line
    state                    | word   | 状态           | State
    first_contact            | number | 首接           | First contact
    first_leg                | id     | 首接话路       | First leg
    taken_at                 | time   | 首接时间       | Taken
    owner                    | number | 责任方         | Answers for it
    handed_over_by           | number | 转来方         | Handed over by
    their_case               | text   | 对方工单号     | Their case
    handover_count           | int    | 转接次数       | Hand-overs
    accepted_at              | time   | 承接           | Accepted
    closed_at                | time   | 办结           | Closed
    merged_into              | id     | 并入工单       | Merged into
    time_to_answer_s         | float  | 接听用时（秒） | Time to answer (s)
    time_to_acceptance_s     | float  | 承接用时（秒） | Time to acceptance (s)
    first_contact_resolution | bool   | 首接办结       | First-contact resolution
    entries                  | int    | 台账条数       | Ledger entries
    kind                     | text   | 类型           | Kind
    matter                   | text   | 事项           | Matter
    due_at                   | time   | 期限           | Due
""")
_LEDGER = _columns("""
    case        | id     | 工单号   | Case
    number      | int    | 序号     | Number
    key         | text   | 键       | Key
    at          | time   | 时间     | At
    event       | word   | 事件     | Event
    by          | text   | 由       | By
    to          | text   | 至       | To
    responsible | text   | 责任方   | Responsible
    leg         | id     | 话路号   | Leg
    handover    | id     | 转接号   | Hand-over
    detail      | text   | 说明     | Detail
    previous    | word   | 前条散列 | Previous hash
    hash        | word   | 散列     | Hash
""")
_HANDOVERS = _columns("""
    id          | id     | 转接号     | Hand-over
    case        | id     | 工单号     | Case
    pbx         | word   | 交换机     | PBX
    desk        | number | 转往       | Desk
    by          | number | 转出坐席   | By
    kind        | word   | 方式       | Way
    reason      | text   | 原因       | Reason
    caller      | id     | 市民话路   | Citizen's leg
    state       | word   | 结果       | Outcome
    offered_at  | time   | 转出       | Offered
    decided_at  | time   | 答复       | Decided
    leg         | id     | 承接话路   | Leg
    route       | int    | 路由       | Route
    cause       | int    | 挂断码     | Cause
    returned_to | text   | 退回至     | Returned to
    returned_at | time   | 退回       | Returned
""")

TABLES: dict[What, Table] = {
    "legs": Table(
        "legs", "通话", "Legs", _LEGS, queries.LegFilter, queries.legs_query, queries.LEG_KEY,
        mask_leg,
    ),
    "cases": Table(
        "cases", "工单", "Cases", _CASES, queries.CaseFilter, queries.cases_query,
        queries.CASE_KEY, mask_case,
    ),
    "ledger": Table(
        "ledger", "责任台账", "Ledger", _LEDGER, queries.LedgerFilter, queries.ledger_query,
        queries.LEDGER_KEY, mask_entry,
    ),
    "handovers": Table(
        "handovers", "转接", "Hand-overs", _HANDOVERS, queries.HandoverFilter,
        queries.handovers_query, queries.HANDOVER_KEY, mask_handover,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spec:
    """An export: what, which rows, which columns, how headed, in what format.

    ``columns``: in the order asked for; empty is all. ``bom``: for Excel, which else takes UTF-8
    for another code and cuts the zero of 0421…: only CSV has it. ``whole``: numbers unmasked.
    """

    what: What
    filters: Filters
    columns: tuple[str, ...] = ()
    headings: Headings = "names"
    format: Format = "csv"
    bom: bool = False
    whole: bool = False

    @property
    def table(self) -> Table:
        return TABLES[self.what]

    @property
    def chosen(self) -> tuple[Column, ...]:
        """The columns of the file; raises :class:`InvalidValue` for one that is not there."""
        known = {column.name: column for column in self.table.columns}
        names = self.columns or tuple(known)
        wrong = [name for name in names if name not in known]
        if wrong:
            there = ", ".join(known)
            raise InvalidValue(f"{self.what}: no column is called {wrong[0]}; there are: {there}")
        doubled = [name for name in names if names.count(name) > 1]
        if doubled:
            raise InvalidValue(f"column {doubled[0]} is named twice")
        return tuple(known[name] for name in names)

    @property
    def heads(self) -> list[str]:
        """The first row."""
        return [column.heading(self.headings) for column in self.chosen]

    def file_name(self, at: datetime) -> str:
        """A name that says what it is: 通话-20261124-133000.csv."""
        name = self.table.zh if self.headings == "zh" else self.what
        return f"{name}-{at:%Y%m%d-%H%M%S}.{self.format}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; :func:`spec_of` reads it back."""
        filters = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self.filters).items()
            if value is not None
        }
        return {
            "what": self.what,
            "filters": filters,
            "columns": list(self.columns),
            "headings": self.headings,
            "format": self.format,
            "bom": self.bom,
            "whole": self.whole,
        }


def spec_of(told: Mapping[str, Any]) -> Spec:
    """The export that :meth:`Spec.to_dict` wrote down."""
    table = TABLES[told["what"]]
    names = {field.name for field in fields(table.filters)}
    filters: dict[str, Any] = {
        name: datetime.fromisoformat(value) if name in ("since", "until") else value
        for name, value in told["filters"].items()
        if name in names
    }
    more = {name: told[name] for name in ("headings", "format", "bom", "whole")}
    return Spec(told["what"], table.filters(**filters), tuple(told["columns"]), **more)
