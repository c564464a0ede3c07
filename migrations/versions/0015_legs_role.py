"""An index of legs by role: a page of a rare one (supervisor, mailbox) does not read all legs."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_legs_role", "legs", ["role", "at", "uniqueid"])


def downgrade() -> None:
    op.drop_index("ix_legs_role", table_name="legs")
