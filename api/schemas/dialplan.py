"""What is sent and answered about the dialplan of a PBX in service."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.schemas.base import Schema, Word
from telephony.checkup.model import State as DoctorState
from telephony.plans.diff import State
from telephony.plans.finding_codes import Severity
from telephony.plans.versions import Stage, What

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./-]{1,200}$")]
# 10,000 lines are some 500 kB.
FileText = Annotated[str, StringConstraints(max_length=2_000_000)]


class WhichPbx(Schema):
    """Of which PBX is asked; without one of the first."""

    pbx: Word | None = Field(None, description="its name")


class DialplanVersion(Schema):
    """A dialplan that was kept."""

    number: int
    at: datetime
    by: str
    what: What = Field(
        description="found on the PBX before a load; loaded; an older one that was put back; or "
        "failed: the PBX never kept it"
    )
    of: int = Field(description="the version that was put back; else 0")
    sha256: str
    files: int


class UnfinishedLoad(Schema):
    """A load that has begun and not ended."""

    stage: Stage
    by: str
    at: datetime
    before: int = Field(description="the version that was there")
    after: int = Field(description="the version that was to be there")
    said: str
    busy: bool = Field(description="it is under way; false: it was cut off, a rollback undoes it")


class DialplanState(Schema):
    """How the dialplan stands."""

    pbx: str
    way: Literal["file", "ami"] | None = Field(description="how it would be loaded")
    no_way: str = Field(description="why it cannot be loaded from here, and what to do")
    running: int | None = Field(description="the version that the PBX runs; null: another one")
    unfinished: UnfinishedLoad | None
    versions: list[DialplanVersion] = Field(description="newest first")


class PlaceChange(Schema):
    """What a load would change at one place; empty where one side has nothing."""

    exten: str = Field(description="empty: `include` and the like")
    priority: int = Field(description="0: a hint")
    running: str
    wanted: str


class ContextChange(Schema):
    """A context that a load would change."""

    context: str
    state: State
    changes: list[PlaceChange]


class FileChange(Schema):
    """A file other than a dialplan that a load would change."""

    file: str
    state: State
    lines: list[str] = Field(description="`-` goes, `+` comes")


class DialplanDiff(Schema):
    """All that a load would change."""

    equal: bool
    contexts: list[ContextChange]
    files: list[FileChange]


class CheckRequest(Schema):
    """What to check: without files, what a load would load."""

    pbx: Word | None = None
    files: dict[FileName, FileText] | None = Field(
        None, description="dialplans by their name", max_length=100
    )


class CheckFinding(Schema):
    """One thing that was found."""

    file: str
    line: int = Field(description="0: the file as a whole")
    code: str
    severity: Severity
    what: str
    why: str
    what_zh: str
    why_zh: str


class CheckResult(Schema):
    """Whether it may be loaded, and everything that was found."""

    ok: bool
    errors: int
    warnings: int
    notes: int
    findings: list[CheckFinding]


class LoadRequest(Schema):
    """Load what the settings and the admin's own dialplans make."""

    pbx: Word | None = None


class RollbackRequest(Schema):
    """Put a version back; without one the version before."""

    pbx: Word | None = None
    version: int | None = Field(None, ge=1, lt=2**31)


class LoadedDialplan(Schema):
    """A load that was proven by reading back from the PBX."""

    version: DialplanVersion
    before: DialplanVersion
    changed: list[str]
    edited: list[str] = Field(
        description="files of `changed` that somebody had changed by hand; kept in `before`"
    )
    way: Literal["file", "ami"]
    seconds: float


class DoctorFinding(Schema):
    """One line of the doctor's report."""

    name: str
    state: DoctorState
    found: str
    means: str = Field(description="what it means for callers or the record")
    means_zh: str = Field(description="the same in Chinese")
    todo: str = Field(description="what to do; empty where all is well")
    todo_zh: str = Field(description="the same in Chinese")


class DoctorReport(Schema):
    """What the doctor found at a PBX."""

    pbx: str
    at: datetime | None = Field(description="null: the service has not looked yet")
    ok: bool | None = Field(description="nothing is wrong; warnings are allowed")
    checks: list[DoctorFinding]
