"""Gaps of the record: stretches of which rows are missing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from telephony.models import UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "record_gaps",
        sa.Column("pbx", sa.String(), primary_key=True),
        sa.Column("why", sa.String(), primary_key=True),
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=True),
        sa.Column("calls", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("found_at", UtcDateTime(), nullable=False),
    )
    op.create_index("ix_record_gaps_since", "record_gaps", ["since", "pbx", "why", "key"])


def downgrade() -> None:
    op.drop_table("record_gaps")
