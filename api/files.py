"""Files as answers, of which a part may be asked for (RFC 9110, 14)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import FileResponse

from api.errors import MEDIA_TYPE, problem

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

RANGE: dict[int | str, Any] = {
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: {
        "description": "`Range` lies outside of the file; code: range-not-there",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
"""What a route may answer to a ``Range`` besides what ``problems`` says."""


class SentFile(FileResponse):
    """A file; a ``Range`` that cannot be answered is a problem document as every other error."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = False

        async def watch(message: Message) -> None:
            nonlocal refused
            if message["type"] != "http.response.start":
                if not refused:
                    await send(message)
                return
            headers = {name.decode(): value.decode() for name, value in message["headers"]}
            if message["status"] == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                refused = True
                size = headers.get("content-range", "*")
                told = problem(
                    416,
                    "range-not-there",
                    "There is no such part",
                    f"the part that Range asks for lies outside of the file, which is {size}",
                    headers={"Content-Range": size},
                )
                await told(scope, receive, send)
            elif message["status"] == HTTPStatus.BAD_REQUEST:
                refused = True
                told = problem(
                    400,
                    "range-invalid",
                    "The part is not named as it must be",
                    "Range must be like bytes=0-1023",
                )
                await told(scope, receive, send)
            else:
                await send(message)

        await super().__call__(scope, receive, watch)
