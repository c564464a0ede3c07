"""uvicorn's WebSocket, which can also be cut off: ASGI cannot end a client that takes nothing."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from api.routes.events import ABORT


class LiveSocket(WebSocketsSansIOProtocol):
    """Offers the app ``scope["extensions"]["hotline.abort"]["abort"]()``.

    Closing would first wait until everything written has been taken, which a client that is alive
    but does not read can put off for ever.
    """

    def handle_connect(self, event: Request) -> None:
        """A client asks for a WebSocket; the app starts in the next turn of the loop."""
        super().handle_connect(event)
        scope = getattr(self, "scope", None)
        if scope is not None:  # None: it was no proper request and is refused already
            scope["extensions"][ABORT] = {"abort": self.transport.abort}
