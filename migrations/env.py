"""Alembic's entry: runs on the connection that ``telephony.database.migrate`` hands over."""

from __future__ import annotations

from alembic import context

import telephony.bulk.models  # noqa: F401 - its tables belong to the metadata
import telephony.gap_models  # noqa: F401 - its tables belong to the metadata
import telephony.message_models  # noqa: F401 - its tables belong to the metadata
import telephony.orders_model
import telephony.outbox_model  # noqa: F401 - its tables belong to the metadata
import telephony.retention_models  # noqa: F401 - its tables belong to the metadata
import telephony.deadline_model  # noqa: F401 - its tables belong to the metadata
import telephony.matter_models  # noqa: F401 - its tables belong to the metadata
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
