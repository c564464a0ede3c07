"""What routes are given: the running service."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError

from telephony.service import Service


# Not plain functions: FastAPI would run those in a thread, and a key press would wait for it.
async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(_service)]


async def each_once(request: Request) -> None:
    """Refuse a query that names something twice: only one of the two could count."""
    names = Counter(name for name, _ in request.query_params.multi_items())
    doubled = [name for name, times in names.items() if times > 1]
    if doubled:
        raise RequestValidationError(
            [{"loc": ("query", name), "msg": "stands there more than once"} for name in doubled]
        )
