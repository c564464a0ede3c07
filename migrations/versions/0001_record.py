"""The first tables: CEL rows, legs, cases, hand-overs, ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from telephony.models import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "cases",
        sa.Column("case_id", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("caller", sa.String(), nullable=True),
        sa.Column("caller_e164", sa.String(), nullable=True),
        sa.Column("line", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("first_contact", sa.String(), nullable=True),
        sa.Column("first_leg", sa.String(), nullable=True),
        sa.Column("taken_at", UtcDateTime(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("head", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("case_id"),
    )
    op.create_index("ix_cases_caller", "cases", ["caller", "opened_at"])
    op.create_index("ix_cases_caller_e164", "cases", ["caller_e164", "opened_at"])
    op.create_index("ix_cases_opened_at", "cases", ["opened_at", "case_id"])
    op.create_index("ix_cases_owner", "cases", ["owner", "opened_at"])
    op.create_table(
        "cel_broken_rows",
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pbx", "file", "offset"),
    )
    op.create_table(
        "cel_positions",
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("pbx", "file"),
    )
    op.create_table(
        "cel_rows",
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("uniqueid", sa.String(), nullable=False),
        sa.Column("linkedid", sa.String(), nullable=False),
        sa.Column("case_id", sa.String(), nullable=True),
        sa.Column("line", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("at", "digest", "pbx"),
    )
    op.create_index("ix_cel_rows_case_id", "cel_rows", ["case_id"])
    op.create_index("ix_cel_rows_linkedid", "cel_rows", ["pbx", "linkedid"])
    op.create_index("ix_cel_rows_uniqueid", "cel_rows", ["pbx", "uniqueid"])
    op.create_table(
        "handovers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("case_id", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("desk", sa.String(), nullable=True),
        sa.Column("by", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("caller", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("offered_at", UtcDateTime(), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("leg", sa.String(), nullable=True),
        sa.Column("route", sa.Integer(), nullable=False),
        sa.Column("cause", sa.Integer(), nullable=True),
        sa.Column("returned_to", sa.String(), nullable=True),
        sa.Column("returned_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_handovers_case_id", "handovers", ["case_id"])
    op.create_index("ix_handovers_desk", "handovers", ["desk", "offered_at"])
    op.create_index("ix_handovers_offered_at", "handovers", ["offered_at", "id"])
    op.create_table(
        "ledger",
        sa.Column("case_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=True),
        sa.Column("to", sa.String(), nullable=True),
        sa.Column("responsible", sa.String(), nullable=True),
        sa.Column("leg", sa.String(), nullable=True),
        sa.Column("handover", sa.String(), nullable=True),
        sa.Column("detail", sa.String(), nullable=True),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", "number"),
    )
    op.create_index("ux_ledger_key", "ledger", ["case_id", "key"], unique=True)
    op.create_table(
        "legs",
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uniqueid", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("linkedid", sa.String(), nullable=False),
        sa.Column("case_id", sa.String(), nullable=True),
        sa.Column("role", sa.String(), nullable=True),
        sa.Column("party", sa.String(), nullable=True),
        sa.Column("party_e164", sa.String(), nullable=True),
        sa.Column("caller", sa.String(), nullable=True),
        sa.Column("caller_e164", sa.String(), nullable=True),
        sa.Column("agent", sa.String(), nullable=True),
        sa.Column("department", sa.String(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("answered_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("ring_s", sa.Float(), nullable=True),
        sa.Column("talk_s", sa.Float(), nullable=True),
        sa.Column("hold_s", sa.Float(), nullable=True),
        sa.Column("cause", sa.Integer(), nullable=True),
        sa.Column("cause_text", sa.String(), nullable=True),
        sa.Column("hung_up_by", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("handover", sa.String(), nullable=True),
        sa.Column("channels", JSON, nullable=False),
        sa.Column("channel_names", JSON, nullable=False),
        sa.Column("segments", JSON, nullable=False),
        sa.PrimaryKeyConstraint("epoch", "uniqueid", "pbx"),
    )
    op.create_index("ix_legs_agent", "legs", ["agent", "at", "uniqueid"])
    op.create_index("ix_legs_at", "legs", ["at", "pbx", "uniqueid"])
    op.create_index("ix_legs_caller", "legs", ["caller", "at", "uniqueid"])
    op.create_index("ix_legs_caller_e164", "legs", ["caller_e164", "at", "uniqueid"])
    op.create_index("ix_legs_case_id", "legs", ["case_id"])
    op.create_index("ix_legs_department", "legs", ["department", "at"])
    op.create_index("ix_legs_linkedid", "legs", ["linkedid"])


def downgrade() -> None:
    op.drop_table("legs")
    op.drop_table("ledger")
    op.drop_table("handovers")
    op.drop_table("cel_rows")
    op.drop_table("cel_positions")
    op.drop_table("cel_broken_rows")
    op.drop_table("cases")
