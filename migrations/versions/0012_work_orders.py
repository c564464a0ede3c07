"""Work orders with other platforms, and which of their messages were taken."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from telephony.models import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "work_orders",
        sa.Column("platform", sa.String(), primary_key=True),
        sa.Column("given_by", sa.String(), primary_key=True),
        sa.Column("number", sa.String(), primary_key=True),
        sa.Column("case_id", sa.String(), nullable=False),
        sa.Column("their_case", sa.String(), nullable=True),
        sa.Column("handover", sa.String(), nullable=False),
        sa.Column("desk", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
    )
    op.create_index("ix_work_orders_case_id", "work_orders", ["case_id"])
    op.create_index(
        "ix_work_orders_opened_at", "work_orders", ["opened_at", "platform", "given_by", "number"]
    )
    op.create_table(
        "order_messages",
        sa.Column("platform", sa.String(), primary_key=True),
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("answer", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=True),
    )
    op.create_index(
        "ux_order_messages_signature", "order_messages", ["platform", "signature"], unique=True
    )
    op.create_index("ix_order_messages_at", "order_messages", ["received_at"])


def downgrade() -> None:
    op.drop_table("order_messages")
    op.drop_table("work_orders")
