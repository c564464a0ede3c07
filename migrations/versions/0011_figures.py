"""Figures by day, week and month, and triggers that note which days are to be counted anew.

The triggers stand in the database because many write to these tables, some of them in bulk: none
of them can forget it. They note when something is written, not when it is deleted: what retention
takes away was counted while it was there.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Table -> the moments whose days are touched, as SQL over the row: as it was written, and as it was
# before, for a moment that moves to another day leaves its old one.
SOURCES = {
    "cases": ("SELECT {new}.opened_at AS at",),
    "legs": ("SELECT {new}.at AS at",),
    "handovers": ("SELECT {new}.offered_at AS at",),
    "messages": ("SELECT {new}.at AS at",),
    "case_details": (
        "SELECT t.opened_at AS at FROM cases t WHERE t.case_id = {new}.case_id",
        "SELECT t.at AS at FROM legs t WHERE t.case_id = {new}.case_id",
        "SELECT t.offered_at AS at FROM handovers t WHERE t.case_id = {new}.case_id",
        "SELECT t.at AS at FROM messages t WHERE t.case_id = {new}.case_id",
    ),
}


def upgrade() -> None:
    op.create_table(
        "figures",
        *(
            sa.Column(name, sa.String(), primary_key=True)
            for name in ("grain", "period", "dimension", "member", "measure")
        ),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Float(), nullable=False),
    )
    op.create_table(
        "figure_days_touched",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("day", sa.String(), nullable=False),
    )
    op.create_index("ix_figure_days_touched_day", "figure_days_touched", ["day"])
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table, moments in SOURCES.items():
        (_on_sqlite if sqlite else _on_postgres)(table, moments)
    _touch_what_is_there(sqlite)


def _on_sqlite(table: str, moments: tuple[str, ...]) -> None:
    for event, rows in (("INSERT", ("NEW",)), ("UPDATE", ("NEW", "OLD"))):
        days = " UNION ".join(
            f"SELECT date(at, '+8 hours') AS day FROM ({moment.format(new=row)})"
            for moment in moments
            for row in rows
        )
        op.execute(
            f"CREATE TRIGGER touch_{table}_{event.lower()} AFTER {event} ON {table} BEGIN "
            f"INSERT INTO figure_days_touched (day) SELECT day FROM ({days}) AS found "
            "WHERE NOT EXISTS (SELECT 1 FROM figure_days_touched WHERE day = found.day); END"
        )


def _on_postgres(table: str, moments: tuple[str, ...]) -> None:
    # Once for a whole statement, however many rows it writes.
    def touch(*rows: str) -> str:
        found = " UNION ALL ".join(
            f"SELECT s.at FROM {row} w, LATERAL ({moment.format(new='w')}) s"
            for moment in moments
            for row in rows
        )
        return (
            "INSERT INTO figure_days_touched (day) SELECT DISTINCT "
            f"to_char(at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD') FROM ({found}) f; "
        )

    op.execute(
        f"CREATE FUNCTION touch_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP = 'INSERT' THEN {touch('written')} ELSE {touch('written', 'before')} END IF; "
        "RETURN NULL; END $$"
    )
    for event, before in (("INSERT", ""), ("UPDATE", "OLD TABLE AS before ")):
        op.execute(
            f"CREATE TRIGGER touch_{table}_{event.lower()} AFTER {event} ON {table} "
            f"REFERENCING {before}NEW TABLE AS written FOR EACH STATEMENT "
            f"EXECUTE FUNCTION touch_{table}()"
        )


def _touch_what_is_there(sqlite: bool) -> None:
    day = (
        "date(at, '+8 hours')"
        if sqlite
        else "to_char(at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD')"
    )
    op.execute(
        f"INSERT INTO figure_days_touched (day) SELECT DISTINCT {day} FROM ("
        "SELECT opened_at AS at FROM cases UNION ALL SELECT at FROM legs UNION ALL "
        "SELECT offered_at FROM handovers UNION ALL SELECT at FROM messages) AS written"
    )


def downgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table in SOURCES:
        for event in ("insert", "update"):
            op.execute(f"DROP TRIGGER touch_{table}_{event}" + ("" if sqlite else f" ON {table}"))
        if not sqlite:
            op.execute(f"DROP FUNCTION touch_{table}()")
    op.drop_table("figure_days_touched")
    op.drop_table("figures")
