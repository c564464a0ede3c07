"""Deadlines of cases, and the mails that tell of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from telephony.models import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of cases that are there already nothing is pending: they are taken up when something happens.
    op.add_column("cases", sa.Column("due_at", UtcDateTime(), nullable=True))
    op.add_column("cases", sa.Column("due_pending", sa.Boolean(), nullable=True))
    op.create_index("ix_cases_due_at", "cases", ["due_at", "case_id"])
    pending = sa.text("due_pending IS NOT NULL")
    op.create_index(
        "ix_cases_due_pending",
        "cases",
        ["pbx", "case_id"],
        postgresql_where=pending,
        sqlite_where=pending,
    )
    op.create_table(
        "deadlines",
        sa.Column("case_id", sa.String(), primary_key=True),
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("department", sa.String(), nullable=False),
        sa.Column("since_at", UtcDateTime(), nullable=False),
        sa.Column("remind_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("head_at", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("reminded_at", UtcDateTime(), nullable=True),
        sa.Column("escalated_at", UtcDateTime(), nullable=True),
        sa.Column("head_told_at", UtcDateTime(), nullable=True),
        sa.Column("next_at", UtcDateTime(), nullable=True),
        sa.Column("basis", sa.String(), nullable=False),
    )
    runs = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_deadlines_running",
        "deadlines",
        ["due_at", "case_id", "key"],
        postgresql_where=runs,
        sqlite_where=runs,
    )
    to_do = sa.text("next_at IS NOT NULL")
    op.create_index(
        "ix_deadlines_next",
        "deadlines",
        ["pbx", "next_at"],
        postgresql_where=to_do,
        sqlite_where=to_do,
    )
    op.create_table(
        "mails",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("recipient", sa.String(), primary_key=True),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("leased_until", UtcDateTime(), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
    )
    waits = sa.text("state = 'waiting'")
    op.create_index(
        "ix_mails_due", "mails", ["next_at"], postgresql_where=waits, sqlite_where=waits
    )


def downgrade() -> None:
    op.drop_table("mails")
    op.drop_table("deadlines")
    for name in ("ix_cases_due_pending", "ix_cases_due_at"):
        op.drop_index(name, table_name="cases")
    with op.batch_alter_table("cases") as cases:
        for column in ("due_pending", "due_at"):
            cases.drop_column(column)
