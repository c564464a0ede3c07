"""What is sent and answered about the directory of matters and what it proposes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.schemas.base import Page, PageQuery, Schema, Word
from telephony.matters.rules import Direction, Urgency, Why

MatterCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
# What an agent types: anything of one line, as long as a sentence.
Query = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{0,128}$")]


class Matter(Schema):
    """One kind of concern, and where it is handed to."""

    code: str = Field(examples=["101"])
    name: str = Field(examples=["道路交通事故"])
    category: str
    direction: Direction = Field(description="which side hands it over: `both` either way")
    desk: str = Field(description="whom it is handed to", examples=["110"])
    urgency: Urgency
    feedback_h: int | None = Field(
        description="within how many working hours feedback is due; null: no limit of its own"
    )
    keywords: list[str]
    stability: bool = Field(description="touches social stability: to 110 at once (涉稳)")
    danger: bool = Field(description="somebody is in danger: to 110 at once (涉险)")
    sample: bool = Field(description="of the sample that comes with the program")


class MatterPage(Page[Matter]):
    """A part of what was found, the best first."""

    version: int = Field(description="of the directory; 0: none was imported")
    sample: bool = Field(description="the directory is the sample, nobody's real one")
    total: int
    exact: bool = Field(description="false: nothing holds these words; these are the nearest")


class MatterQuery(PageQuery):
    """Which matters, and which part of the list."""

    q: Query = Field("", description="words, pinyin, or first letters of pinyin: `jtsg`")
    category: Word | None = None
    desk: Word | None = None


class ImportQuery(Schema):
    """How a file is taken."""

    dry_run: bool = Field(False, description="only say what would change")
    skip_broken: bool = Field(
        False, description="take the rows that are right; what is wrong stays as it was"
    )
    source: Word = Field("HTTP", description="the file's name, kept with the version")


class BrokenCell(Schema):
    """What is wrong with a row."""

    row: int | None = Field(description="as a spreadsheet counts; null: the whole file")
    column: str | None = Field(examples=["D (方向)"])
    reason: str


class MatterImport(Schema):
    """What an import did, or would do; codes of the matters."""

    version: int | None = Field(description="the newest now; null: a preview")
    new: list[str]
    changed: list[str]
    removed: list[str]
    unchanged: int
    kept: list[str] = Field(description="as they were, since their rows are wrong")
    broken: list[BrokenCell]


class MatterVersion(Schema):
    """A version of the directory."""

    version: int
    imported_at: datetime
    imported_by: str
    source: str
    matters: int
    restored_from: int | None


class ExportQuery(Schema):
    """Which version, and in which language."""

    version: int | None = Field(None, ge=1, lt=2**31, description="default: the newest")
    headings: Literal["zh", "en"] = "zh"


class Proposal(Schema):
    """Whom a case is to be handed to by its matter."""

    case: str
    matter: Matter | None = Field(description="null: none, or one that is not of the directory")
    version: int | None = Field(description="of the directory, from which it was chosen")
    desk: str | None = Field(description="null: nothing is proposed")
    why: Why = Field(
        description="stability or danger: to 110 at once, whatever else is open; matter: its desk; "
        "other-side: it goes either way, and its desk has it; with-it, no-matter: nothing"
    )
    urgent: bool
