"""A wire between the service and a PBX that can be cut and mended."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Wire:
    """Passes on every byte both ways, to a port of 127.0.0.1."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._whole = True
        self._ends: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        """Listen; ``port`` is where."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """End all connections and take no more."""
        self._whole = False
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        """Take connections again."""
        self._whole = True

    async def close(self) -> None:
        """Stop listening, end all connections."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.transport.abort()
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        ends = {writer, there_writer}
        self._ends |= ends
        serving = asyncio.create_task(_both(reader, there_writer, there_reader, writer))
        self._serving.add(serving)
        await serving
        self._serving.discard(serving)
        self._ends -= ends


async def _both(
    here: asyncio.StreamReader,
    there_writer: asyncio.StreamWriter,
    there: asyncio.StreamReader,
    here_writer: asyncio.StreamWriter,
) -> None:
    await asyncio.gather(_pump(here, there_writer), _pump(there, here_writer))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    # Either side may go at any time: that is what this is for.
    with suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.transport.abort()
