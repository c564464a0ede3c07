"""What people and other platforms are told of a deadline: Chinese, with English below (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from telephony.deadlines.rules import Kind, Step
from telephony.masking import mask_number, mask_text
from telephony.office_hours import in_shanghai

if TYPE_CHECKING:
    from telephony.deadlines.settings import Deadlines

ZH: Mapping[Kind, str] = {
    "acceptance": "受理",
    "feedback": "反馈",
    "message": "留言回复",
    "missed_call": "漏接回拨",
}
EN: Mapping[Kind, str] = {
    "acceptance": "acceptance",
    "feedback": "feedback",
    "message": "reply to a message",
    "missed_call": "calling back a missed call",
}
KINDS: Mapping[Step, str] = {
    "remind": "deadline.reminder",
    "escalate": "deadline.escalated",
    "escalate_head": "deadline.escalated",
}
"""What kind of message it is to another platform."""


@dataclass(frozen=True, slots=True)
class News:
    """A step that was done about a deadline: of which case, who holds it, and since when."""

    step: Step
    case: str
    key: str
    deadline: Kind
    holder: str
    department: str
    since: datetime
    due: datetime
    at: datetime
    caller: str | None = None
    kind: str | None = None
    matter: str | None = None

    @property
    def is_late(self) -> bool:
        return self.due <= self.at

    @property
    def told(self) -> str:
        """Who is told, as the ledger says it."""
        match self.step:
            case "remind":
                return self.holder
            case "escalate":
                return "supervisors"
            case _:
                return f"head of {self.department}" if self.department else "head"

    @property
    def detail(self) -> str:
        """What the ledger says of it."""
        return f"{self.deadline}, held by {self.holder}, due {_clock(self.due)}"


def as_shape(news: News) -> dict[str, Any]:
    """The step as the live feed shows it; there is no number in it."""
    return {
        "step": news.step,
        "case": news.case,
        "key": news.key,
        "kind": news.deadline,
        "holder": news.holder,
        "department": news.department or None,
        "due_at": news.due,
        "late": news.is_late,
    }


def as_message(news: News, *, numbers: bool) -> dict[str, Any]:
    """The step as another platform is told of it."""
    return {
        "case": news.case,
        "step": news.step,
        "deadline": news.deadline,
        "holder": news.holder,
        "department": news.department or None,
        "since": in_shanghai(news.since).isoformat(),
        "due_at": in_shanghai(news.due).isoformat(),
        "late": news.is_late,
        "kind": news.kind,
        "matter": news.matter if numbers else _masked(news.matter),
        "caller": news.caller if numbers or news.caller is None else mask_number(news.caller),
    }


def recipients(news: News, settings: Deadlines) -> Sequence[str]:
    """Addresses that get a mail of this step; each once.

    Of what is late the holder hears with everybody else.
    """
    holder = settings.holders.get(news.holder) or settings.holders.get(news.department) or []
    told = list(holder)
    if news.step != "remind":
        told += settings.supervisors
    if news.step == "escalate_head":
        told += settings.heads.get(news.department, [])
    return list(dict.fromkeys(told))


def subject(news: News) -> str:
    """The mail's subject: one line, both languages."""
    zh = f"{_ZH_STEP[news.step]}：{ZH[news.deadline]}{'已逾期' if news.is_late else '将到期'}"
    en = f"{EN[news.deadline]} {'overdue' if news.is_late else 'due soon'}"
    return f"【{zh}】{news.case} / {en}"


def text(news: News, *, numbers: bool) -> str:
    """The mail's text; ``numbers``: the citizen's whole, not masked."""
    caller = news.caller
    if caller is not None and not numbers:
        caller = mask_number(caller)
    matter = news.matter if numbers else _masked(news.matter)
    late = "已逾期" if news.is_late else "将到期"
    holder = f"{news.holder}（{news.department}）" if news.department else news.holder
    zh = [
        f"事项 {news.case} 的{ZH[news.deadline]}{late}。",
        f"责任方：{holder}",
        f"起算：{_clock(news.since)}",
        f"时限：{_clock(news.due)}（按工作时间）",
        f"类型：{news.kind or '未登记'}",
        f"事项类别：{matter or '未登记'}",
        f"来电：{caller or '未显示'}",
    ]
    holder = f"{news.holder} ({news.department})" if news.department else news.holder
    en = [
        f"Case {news.case}: {EN[news.deadline]} {'is overdue' if news.is_late else 'is due soon'}.",
        f"Held by: {holder}",
        f"Since: {_clock(news.since)}",
        f"Due: {_clock(news.due)} (working time, Asia/Shanghai)",
        f"Kind: {news.kind or 'not filed'}",
        f"Matter: {matter or 'not filed'}",
        f"Caller: {caller or 'not shown'}",
    ]
    return "\n".join([*zh, "", *en, ""])


_ZH_STEP: Mapping[Step, str] = {
    "remind": "催办",
    "escalate": "督办",
    "escalate_head": "提级督办",
}


def _masked(text: str | None) -> str | None:
    return text and mask_text(text)


def _clock(at: datetime) -> str:
    return f"{in_shanghai(at):%Y-%m-%d %H:%M}"
