"""Taking over from a process whose spool has what this one's has not; damage on the way."""

from __future__ import annotations

import gzip
import hashlib
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest

from telephony.cel.files import CelFiles
from telephony.cel.tail import Batch
from telephony.errors import SettingsError
from telephony.shipping.shipper import Shipper
from telephony.shipping.spool import Spool
from telephony.shipping.wire import Away, Refused, Wire
from tests.unit.day_of_calls import DAY

LINES = DAY.splitlines(keepends=True)


def name_of(first: bytes) -> str:
    return hashlib.blake2b(first, digest_size=16).hexdigest()


class Process:
    """A process of the service as the shipper sees it: its spool, and the record of all."""

    def __init__(self, folder: Path, recorded: dict[str, int]) -> None:
        self.spool = Spool(folder / "cel.csv", {})
        self.recorded = recorded
        self.owns = True
        self.asked: list[str] = []

    def ask(
        self, method: str, parts: list[str], query: dict[str, Any], body: bytes = b""
    ) -> dict[str, Any]:
        if not self.owns:
            raise Refused(409, "not-owner", "another process is")
        file = parts[-1]
        self.asked.append(file)
        if method == "GET":
            return {"spooled": self.spool.cel_size(file), "recorded": self.recorded.get(file, 0)}
        return {"size": self.spool.put_cel(file, query["offset"], body)}

    def files(self) -> set[bytes]:
        return {one.read_bytes() for one in self.spool.path.parent.glob("cel.csv*")}


def test_given_the_owner_dies_with_rows_in_its_spool_alone_then_the_next_one_gets_them_all(
    tmp_path: Path,
) -> None:
    recorded: dict[str, int] = {}
    first, second = (Process(tmp_path / one, recorded) for one in ("first", "second"))
    cel = tmp_path / "pbx" / "hotline.csv"
    cel.parent.mkdir()
    old, new = b"".join(LINES[:6]), b"".join(LINES[6:9])
    cel.write_bytes(old)
    cel.rename(cel.with_name("hotline.csv.1"))
    cel.write_bytes(LINES[6])
    wires = cast("list[Wire]", [first, second])
    shipper = Shipper("north", cel, wires)
    shipper.round()
    assert first.files() == {old, LINES[6]}
    recorded[name_of(old[: len(LINES[0])])] = len(LINES[0] + LINES[1])  # and then it dies
    first.owns = False
    cel.write_bytes(new)
    shipper.round()
    assert second.files() == {old, new}
    recorded |= {name_of(LINES[0]): len(old), name_of(LINES[6]): len(new)}
    assert shipper.round().bytes == 0
    second.asked.clear()
    assert shipper.round().bytes == 0
    assert set(second.asked) == {name_of(LINES[6])}, "what is on record is asked for no more"


async def everything(files: CelFiles) -> list[Batch]:
    found = []
    while (batch := await files.next_batch()) is not None:
        found.append(batch)
        files.done(batch, datetime.now(UTC))
    return found


async def test_given_another_process_read_further_then_this_one_waits_and_finds_no_gap(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path / "cel.csv", {})
    ends = [sum(map(len, LINES[:count])) for count in range(10)]
    one, two = name_of(LINES[0]), name_of(LINES[6])
    spool.put_cel(one, 0, b"".join(LINES[:2]))
    now = datetime.now(UTC)
    files = CelFiles(spool.path, {one: (ends[4], now), "0" * 32: (9, now)}, takes_all=True)
    assert await everything(files) == []  # it comes bit by bit: it was not cut short
    spool.put_cel(one, ends[2], b"".join(LINES[2:6]))
    [batch] = await everything(files)
    assert (batch.start, batch.end, batch.again) == (ends[4], ends[6], False)
    spool.put_cel(two, 0, LINES[6])
    assert [batch.file for batch in await everything(files)] == [two]
    # A late row of the one that was set aside, and the other goes on, before anybody looks.
    spool.put_cel(one, ends[6], LINES[7])
    spool.put_cel(two, len(LINES[6]), LINES[8])
    assert {batch.file for batch in await everything(files)} == {one, two}
    assert files.found == []
    assert files.behind() == 0


def test_given_a_packed_file_that_breaks_off_then_it_is_said_and_the_rest_is_sent(
    tmp_path: Path,
) -> None:
    process, said = Process(tmp_path / "spool", {}), list[str]()
    cel = tmp_path / "hotline.csv"
    packed = gzip.compress(b"".join(LINES[:50]))
    (tmp_path / "hotline.csv.1.gz").write_bytes(packed[:-200])
    cel.write_bytes(LINES[60])
    shipper = Shipper("north", cel, cast("list[Wire]", [process]), say=said.append)
    for _ in range(2):
        shipper.round()
    assert LINES[60] in process.files()
    assert said == ["hotline.csv.1.gz cannot be unpacked to its end, so its rest is not sent"]


class Proxy(BaseHTTPRequestHandler):
    """Says that all is well, with a page of its own."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>back soon</html>")

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


def test_given_an_answer_that_is_not_ours_then_it_is_tried_again() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        wire = Wire(f"http://127.0.0.1:{server.server_port}", "token")
        with pytest.raises(Away, match="no answer of ours"):
            wire.ask("GET", ["pbxs"], {})
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(SettingsError, match="no address"):
        Wire("https://hotline.example:99999", "token")
