"""Indexes of what is asked of the whole record: open legs, escalations, what was deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    is_open, escalated = sa.text("state = 'open'"), sa.text("event = 'escalated'")
    op.create_index("ix_legs_open", "legs", ["pbx"], postgresql_where=is_open, sqlite_where=is_open)
    op.create_index(
        "ix_ledger_escalated",
        "ledger",
        ["at"],
        postgresql_where=escalated,
        sqlite_where=escalated,
    )
    op.create_index("ix_deletions_what", "deletions", ["what", "newest"])


def downgrade() -> None:
    op.drop_index("ix_deletions_what", table_name="deletions")
    op.drop_index("ix_ledger_escalated", table_name="ledger")
    op.drop_index("ix_legs_open", table_name="legs")
