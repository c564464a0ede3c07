"""One owner for each PBX: the lock, taking over, and a network that falls silent."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from telephony.database import Database
from telephony.errors import DatabaseUnavailable
from telephony.ownership.keeper import Ownership
from telephony.ownership.locks import FileLock, key_of, lock_for, name_of_process

WITHIN_S = 5.0
"""What is promised: taken over within so long after the owner's death."""


async def becomes(one: Ownership, state: str, within_s: float = WITHIN_S) -> float:
    """Wait for this state; returns after how many seconds."""
    began = time.monotonic()
    async with asyncio.timeout(within_s):
        while one.state != state:  # noqa: ASYNC110 - a state is looked at from outside
            await asyncio.sleep(0.02)
    return time.monotonic() - began


@asynccontextmanager
async def two(database: Database, other: Database) -> AsyncIterator[tuple[Ownership, Ownership]]:
    """Two processes' views of one PBX; the first is the owner."""
    first, second = Ownership(database, "pbx1"), Ownership(other, "pbx1")
    first.start()
    await becomes(first, "owner")
    second.start()
    await becomes(second, "waiting")
    try:
        yield first, second
    finally:
        await first.stop()
        await second.stop()
        await other.close()


async def test_given_two_processes_then_one_owns_the_pbx_and_hands_it_over_as_it_stops(
    database: Database, database_url: str
) -> None:
    async with two(database, Database(database_url)) as (first, second):
        assert (first.acts, second.acts) == (True, False)
        assert await first.holder() == await second.holder() == name_of_process()
        elsewhere = Ownership(database, "pbx2")  # another PBX is another lock
        elsewhere.start()
        await becomes(elsewhere, "owner")
        await elsewhere.stop()
        await first.stop()
        await becomes(second, "owner", 1.5)
        await asyncio.wait_for(second.owned(), 1)
    assert await Ownership(database, "pbx1").holder() is None


DIES = """
import asyncio, sys
from telephony.database import Database
from telephony.ownership.keeper import Ownership
async def main():
    one = Ownership(Database(sys.argv[1]), "pbx1")
    one.start()
    await one.owned()
    print("owner", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_given_the_owner_is_killed_then_another_process_takes_over_within_five_seconds(
    database: Database, database_url: str
) -> None:
    process = await asyncio.to_thread(
        subprocess.Popen, [sys.executable, "-c", DIES, database_url], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        said = process.stdout
        while await asyncio.to_thread(said.readline) != b"owner\n":
            assert process.poll() is None
        second = Ownership(database, "pbx1")
        second.start()
        await becomes(second, "waiting")
        assert str(await second.holder()).endswith(f":{process.pid}")
    finally:
        process.kill()
    await becomes(second, "owner")
    await second.stop()
    await asyncio.to_thread(process.wait)


class Swallower:
    """A wire to PostgreSQL that can fall silent: it stays open and passes nothing on any more."""

    def __init__(self, url: str) -> None:
        self.straight = url
        self._target = Path(parse_qs(urlsplit(url).query)["host"][0]) / ".s.PGSQL.5432"
        self.silent = False
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        port = self._server.getsockname()[1]
        parts = urlsplit(url)
        self.url = f"{parts.scheme}://postgres@127.0.0.1:{port}{parts.path}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in [*self._open, self._server]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._server.accept()
                there = socket.socket(socket.AF_UNIX)
                there.connect(str(self._target))
                self._open += [here, there]
                for source, sink in ((here, there), (there, here)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not self.silent:
                    sink.sendall(data)


@pytest.fixture
def swallower(postgres_database: str) -> Iterator[Swallower]:
    with closing(Swallower(postgres_database)) as one:
        yield one


@pytest.mark.postgres
async def test_given_the_owners_network_falls_silent_then_another_takes_over_within_five_seconds(
    swallower: Swallower,
) -> None:
    partitioned, other = Database(swallower.url), Database(swallower.straight)
    async with two(partitioned, other) as (first, second):
        swallower.silent = True
        took_s = await becomes(second, "owner")
        assert took_s > 1, "the network fell silent, it was not cut"
        assert not first.is_owner, "the silent one knows before another has taken over"
        swallower.silent = False
        await becomes(first, "waiting")  # mended: it finds that another has it
        assert second.is_owner
    await partitioned.close()


async def test_given_no_database_then_who_was_the_owner_goes_on_and_a_lone_process_acts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(f"sqlite:///{tmp_path}/record.sqlite")
    one, other = Ownership(database, "pbx1"), Ownership(database, "pbx1")
    assert one.acts
    one.start()
    await becomes(one, "owner")
    other.start()
    await becomes(other, "waiting")

    async def away(_self: FileLock) -> bool:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(FileLock, "take", away)
    await becomes(one, "unknown")
    await becomes(other, "unknown")
    assert (one.acts, other.acts) == (True, False)
    await one.stop()
    await other.stop()


def test_keys_differ_and_stay_the_same_over_versions() -> None:
    assert key_of("pbx1") != key_of("pbx2")
    assert -(2**63) <= key_of("pbx1") < 2**63
    assert key_of("pbx1") == key_of("pbx1")


async def test_a_database_in_memory_is_nobody_elses(tmp_path: Path) -> None:
    database = Database("sqlite://")
    lock = lock_for(database, "pbx1")
    assert await lock.take()
    assert await lock.holder() == name_of_process()
    assert isinstance(lock, FileLock)
    await lock.close()
    await database.close()
