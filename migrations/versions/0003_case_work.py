"""What people do with cases, marks of nuisance callers, who saw what, and each case's figures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

from telephony.models import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

AT_ONCE = 500
"""How many cases' ledgers are in memory."""


def _figures() -> list[sa.Column[Any]]:
    return [
        sa.Column("handover_count", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("accepted_at", UtcDateTime(), nullable=True),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("merged_into", sa.String(), nullable=True),
        sa.Column("time_to_answer_s", sa.Float(), nullable=True),
        sa.Column("time_to_acceptance_s", sa.Float(), nullable=True),
        sa.Column("first_contact_resolution", sa.Boolean(), nullable=True),
    ]


def upgrade() -> None:
    for column in _figures():
        op.add_column("cases", column)
    op.create_index("ix_cases_merged_into", "cases", ["merged_into"])
    op.create_table(
        "case_details",
        sa.Column("case_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("matter", sa.String(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("citizen_name", sa.String(), nullable=True),
        sa.Column("citizen_phone", sa.String(), nullable=True),
        sa.Column("citizen_address", sa.String(), nullable=True),
        sa.Column("happened_at", UtcDateTime(), nullable=True),
        sa.Column("place", sa.String(), nullable=True),
        sa.Column("what", sa.Text(), nullable=True),
        sa.Column("phone", sa.String(), nullable=True),
        sa.Column("position", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("case_id"),
    )
    op.create_index("ix_case_details_kind", "case_details", ["kind"])
    op.create_table(
        "nuisance_marks",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("marked_at", UtcDateTime(), nullable=False),
        sa.Column("marked_by", sa.String(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_nuisance_marks_number", "nuisance_marks", ["number"])
    op.create_table(
        "audit_log",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("which", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at", "id"])
    _work_out_figures()


def _work_out_figures() -> None:
    """The figures of the cases that are on record already, from their ledgers."""
    connection = op.get_bind()
    cases = sa.table(
        "cases",
        sa.column("case_id"),
        sa.column("opened_at", UtcDateTime()),
        *(sa.column(one.name, one.type) for one in _figures()),
    )
    ledger = sa.table(
        "ledger",
        *(sa.column(name) for name in ("case_id", "number", "event", "leg")),
        sa.column("at", UtcDateTime()),
    )
    told = (
        sa.select(ledger.c.case_id, ledger.c.event, ledger.c.at, ledger.c.leg, cases.c.opened_at)
        .join(cases, cases.c.case_id == ledger.c.case_id)
        .where(ledger.c.event.in_(("taken", "offered", "accepted")))
        .order_by(ledger.c.case_id, ledger.c.number)
    )
    # Years of ledgers do not fit into memory: some cases at a time.
    names = sa.select(cases.c.case_id).order_by(cases.c.case_id).limit(AT_ONCE)
    last = ""
    while some := list(connection.scalars(names.where(cases.c.case_id > last))):
        last = some[-1]
        found = connection.execute(told.where(ledger.c.case_id.between(some[0], last))).all()
        _write_figures(connection, cases, found)


def _write_figures(
    connection: sa.Connection, cases: sa.TableClause, found: Sequence[sa.Row[Any]]
) -> None:
    for case, group in groupby(found, key=lambda row: row.case_id):
        rows = list(group)
        offered = [row.at for row in rows if row.event == "offered"]
        accepted = next((row.at for row in rows if row.event == "accepted"), None)
        answered = next((row.at for row in rows if row.event != "offered" and row.leg), None)
        waited = (accepted - min(offered)).total_seconds() if accepted and offered else None
        values = {
            "handover_count": len(offered),
            "accepted_at": accepted,
            "time_to_acceptance_s": None if waited is None else max(0.0, waited),
            "time_to_answer_s": (
                max(0.0, (answered - rows[0].opened_at).total_seconds()) if answered else None
            ),
        }
        connection.execute(sa.update(cases).where(cases.c.case_id == case).values(**values))


def downgrade() -> None:
    op.drop_table("audit_log")
    op.drop_table("nuisance_marks")
    op.drop_table("case_details")
    op.drop_index("ix_cases_merged_into", "cases")
    for column in _figures():
        op.drop_column("cases", column.name)
