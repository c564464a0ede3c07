"""What is sent and answered when the record is exported."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from api.schemas.base import InTime, Moment, PageQuery, Schema, Word
from api.schemas.record_queries import CaseQuery, HandoverQuery, LegQuery
from telephony.bulk.tables import TABLES, Format, Headings, What


def _once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("a column is named twice")
    return names


def _known(what: What) -> Callable[[str], str]:
    names = [column.name for column in TABLES[what].columns]

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"{what} have no such column; there are: {', '.join(names)}")
        return name

    return check


def _described(what: What) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "enum": [column.name for column in TABLES[what].columns]}
    )


def _listed(what: What) -> str:
    name = "|".join(column.name for column in TABLES[what].columns)
    return rf"^({name})(,({name}))*$"


_Once = (
    AfterValidator(_once),
    Field(description="in this order; none: all", json_schema_extra={"uniqueItems": True}),
)
LegColumn = Annotated[str, AfterValidator(_known("legs")), _described("legs")]
CaseColumn = Annotated[str, AfterValidator(_known("cases")), _described("cases")]
LedgerColumn = Annotated[str, AfterValidator(_known("ledger")), _described("ledger")]
HandoverColumn = Annotated[str, AfterValidator(_known("handovers")), _described("handovers")]
_HEADINGS = "the first row: names as here, or Chinese or English; then times are China's clock"
_BOM = "for Excel: with a byte order mark, and numbers that keep their zeros"


class LegExportQuery(LegQuery):
    """Which legs, and how the file looks."""

    columns: Annotated[str, StringConstraints(pattern=_listed("legs"))] | None = Field(
        None, description="names with commas between them; all when not named"
    )
    headings: Headings = Field("names", description=_HEADINGS)
    bom: bool = Field(False, description=_BOM)


class LedgerQuery(InTime):
    """Which entries of the ledger."""

    case: Word | None = None
    event: Word | None = None
    by: Word | None = None
    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")


class _Asked(Schema):
    headings: Headings = Field("names", description=_HEADINGS)
    format: Format = "csv"
    bom: bool = Field(False, description=_BOM + "; CSV only")


class LegsExport(_Asked):
    """Legs, in bulk."""

    what: Literal["legs"]
    filters: LegQuery = LegQuery()
    columns: Annotated[list[LegColumn], *_Once] = Field(default_factory=list)


class CasesExport(_Asked):
    """Cases, in bulk."""

    what: Literal["cases"]
    filters: CaseQuery = CaseQuery()
    columns: Annotated[list[CaseColumn], *_Once] = Field(default_factory=list)


class LedgerExport(_Asked):
    """Entries of the ledger, in bulk."""

    what: Literal["ledger"]
    filters: LedgerQuery = LedgerQuery()
    columns: Annotated[list[LedgerColumn], *_Once] = Field(default_factory=list)


class HandoversExport(_Asked):
    """Hand-overs, in bulk."""

    what: Literal["handovers"]
    filters: HandoverQuery = HandoverQuery()
    columns: Annotated[list[HandoverColumn], *_Once] = Field(default_factory=list)


ExportRequest = Annotated[
    LegsExport | CasesExport | LedgerExport | HandoversExport, Field(discriminator="what")
]


class Export(Schema):
    """A large export: how far it is, and where its file is."""

    id: str
    what: What
    filters: dict[str, Any] = Field(description="a caller's number is masked")
    columns: list[str] = Field(description="empty: all")
    headings: Headings
    format: Format
    bom: bool
    whole: bool = Field(description="numbers are unmasked in it")
    state: Literal["queued", "running", "done", "failed", "cancelled", "expired"]
    asked_at: datetime
    asked_by: str
    rows: int | None = Field(description="how many there will be; null: not counted yet")
    rows_done: int
    bytes: int | None
    done_at: datetime | None
    expires_at: datetime | None = Field(description="when the file goes")
    file: str | None = Field(description="its address, once it is there")
    name: str = Field(examples=["legs-20261124-133000.csv"])
    code: str | None = Field(description="of the error, where it failed")
    detail: str | None


class ExportPageQuery(PageQuery):
    """Which part of the list of exports."""
