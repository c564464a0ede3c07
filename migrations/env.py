"""Alembic's entry: runs on the connection that ``telephony.database.migrate`` hands over."""

from __future__ import annotations

from alembic import context

import telephony.bulk.models
import telephony.deadlines.models
import telephony.figures.models
import telephony.matters.models
import telephony.messages.models
import telephony.orders.models
import telephony.orders.outbox_models
import telephony.people.models
import telephony.record.gap_models
import telephony.retention.models  # noqa: F401 - its tables belong to the metadata
from telephony.models import Record

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run migrations through telephony.database.migrate(url)")
context.configure(
    connection=connection,
    target_metadata=Record.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
)
context.run_migrations()
