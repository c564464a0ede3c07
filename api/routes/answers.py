"""Rows of the record as JSON, straight from the query to the wire."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from telephony.queries import Page, Row


def row(found: Row) -> Response:
    """One row."""
    return _json(found)


def page(found: Page) -> Response:
    """A part of a list."""
    return _json({"items": found.items, "next": found.next})


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
