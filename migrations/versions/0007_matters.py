"""The directory of matters in versions, and the matter of a case."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from telephony.models import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    words = sa.JSON().with_variant(JSONB(), "postgresql")
    op.create_table(
        "matter_versions",
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("imported_at", UtcDateTime(), nullable=False),
        sa.Column("imported_by", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("matters", sa.Integer(), nullable=False),
        sa.Column("restored_from", sa.Integer(), nullable=True),
    )
    op.create_table(
        "matters",
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("code", sa.String(), primary_key=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("desk", sa.String(), nullable=False),
        sa.Column("urgency", sa.String(), nullable=False),
        sa.Column("feedback_h", sa.Integer(), nullable=True),
        sa.Column("keywords", words, nullable=False),
        sa.Column("stability", sa.Boolean(), nullable=False),
        sa.Column("danger", sa.Boolean(), nullable=False),
        sa.Column("sounds", words, nullable=False),
        sa.ForeignKeyConstraint(["version"], ["matter_versions.version"]),
    )
    op.create_table(
        "case_matters",
        sa.Column("case_id", sa.String(), primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("set_at", UtcDateTime(), nullable=False),
        sa.Column("set_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["version", "code"], ["matters.version", "matters.code"]),
    )
    op.create_index("ix_case_matters_code", "case_matters", ["code"])


def downgrade() -> None:
    op.drop_table("case_matters")
    op.drop_table("matters")
    op.drop_table("matter_versions")
