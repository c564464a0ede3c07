"""Rows of the record as JSON, straight from the query to the wire."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson
from starlette.responses import Response

from telephony.record.queries import Page, Row


def row(found: Row) -> Response:
    """One row."""
    return _json(found)


def page(found: Page) -> Response:
    """A part of a list."""
    return _json({"items": found.items, "next": found.next})


def attached_as(name: str) -> str:
    """The header that lets a browser save the answer under this name (RFC 6266)."""
    if name.isascii():
        return f'attachment; filename="{name}"'
    return f"attachment; filename*=utf-8''{quote(name)}"


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
