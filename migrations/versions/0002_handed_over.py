"""Cases that another side handed over to us: who, and its case number there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cases", sa.Column("handed_over_by", sa.String(), nullable=True))
    op.add_column("cases", sa.Column("their_case", sa.String(), nullable=True))
    op.create_index("ix_cases_their_case", "cases", ["their_case", "opened_at"])


def downgrade() -> None:
    op.drop_index("ix_cases_their_case", "cases")
    op.drop_column("cases", "their_case")
    op.drop_column("cases", "handed_over_by")
