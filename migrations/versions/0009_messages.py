"""Messages, missed calls, and the tries to call back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from telephony.models import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "messages",
        sa.Column("id", sa.String(), primary_key=True),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("pbx", "name", "kind")),
        sa.Column("case_id", sa.String(), nullable=False),
        *(sa.Column(name, sa.String()) for name in ("caller", "number", "number_key")),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("waited_s", sa.Float()),
        sa.Column("length_s", sa.Float()),
        *(sa.Column(name, sa.String()) for name in ("file", "sha256")),
        sa.Column("sound_state", sa.String(), nullable=False),
        sa.Column("heard_by", sa.String()),
        sa.Column("heard_at", UtcDateTime()),
        sa.Column("holder", sa.String()),
        sa.Column("held_at", UtcDateTime()),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("last_try_at", UtcDateTime()),
        sa.Column("last_outcome", sa.String()),
        sa.Column("closed_at", UtcDateTime()),
        sa.Column("closed_by", sa.String()),
        sa.Column("result", sa.Text()),
    )
    op.create_index("ux_messages_name", "messages", ["pbx", "name"], unique=True)
    for columns in (("at", "id"), ("state", "at", "id"), ("number_key", "state")):
        name = columns[0].removesuffix("_key")
        op.create_index(f"ix_messages_{name}", "messages", list(columns))
    op.create_index("ix_messages_case_id", "messages", ["case_id"])
    op.create_index("ix_messages_sound_state", "messages", ["sound_state"])
    op.create_table(
        "message_tries",
        sa.Column("callback", sa.String(), primary_key=True),
        sa.Column("message", sa.String(), primary_key=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("agent", sa.String()),
        sa.Column("outcome", sa.String(), nullable=False),
    )
    op.create_index("ix_message_tries_message", "message_tries", ["message", "at"])


def downgrade() -> None:
    op.drop_table("message_tries")
    op.drop_table("messages")
