"""Alembic's entry: runs on the connection that ``telephony.database.migrate`` hands over."""

from __future__ import annotations

from alembic import context

import telephony.bulk.models
import telephony.deadline_model
import telephony.figures.models
import telephony.gap_models
import telephony.matter_models
import telephony.message_models
import telephony.orders_model
import telephony.outbox_model
import telephony.retention_models  # noqa: F401 - its tables belong to the metadata
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
