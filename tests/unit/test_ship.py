"""Rows and sounds of a PBX on another host: nothing lost, nothing twice, whoever dies when."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import shutil
import signal
import socket
import sqlite3
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from telephony.cel.tail import identity
from telephony.errors import InvalidValue
from telephony.private_pbx import free_port
from telephony.settings import Http, Pbx, Settings, Token
from telephony.shipping import shipper as shipping
from telephony.shipping.shipper import Shipper
from telephony.shipping.spool import Spool, SpoolConflict
from telephony.shipping.wire import Away, Refused, Wire
from tests.empty_record import empty_record
from tests.pbx.scene import wait_until
from tests.unit.day_of_calls import DAY
from tests.warm import Forked, WarmService, forked_hotline

TOKEN = "a-token-of-the-shipper-in-tests"
OTHER_TOKEN = "a-token-that-names-no-pbx-in-tests"
LINES = DAY.splitlines(keepends=True)


class Receiver(WarmService):
    """The service as a process, which can be killed in the middle of anything."""

    def __init__(self, folder: Path) -> None:
        self.spool = folder / "spool"
        shutil.copy(empty_record(folder.parent), folder / "record.sqlite")
        settings = Settings(
            pbx=Pbx(name="north", ami_port=1, shipped=True),
            spool={"folder": self.spool},
            database_url=f"sqlite:///{folder / 'record.sqlite'}",
            tokens=[
                Token(name="n", role="integrator", token=SecretStr(TOKEN), ships_for=["north"]),
                Token(name="other", role="integrator", token=SecretStr(OTHER_TOKEN)),
            ],
            http=Http(port=free_port(socket.SOCK_STREAM)),
        )
        super().__init__(settings, folder / "service.log")
        self.database = folder / "record.sqlite"

    def start(self) -> None:
        """Start it; returns when it takes what is sent."""
        self.launch()
        nothing = f"/api/v1/pbxs/north/cel/{'0' * 32}"
        wait_until(lambda: self._answers(nothing), "it takes what is sent", 20)

    def _answers(self, path: str) -> bool:
        try:
            return self.http.get(path).status_code == 200
        except httpx.TransportError:
            return False

    def rows(self) -> int:
        """How many CEL rows are on record."""
        with closing(sqlite3.connect(self.database)) as connection:
            return int(connection.execute("SELECT count(*) FROM cel_rows").fetchone()[0])

    def spooled(self) -> int:
        """How many bytes are in the spool."""
        return sum(map(len, self.files().values()))

    def is_beyond(self, size: int) -> bool:
        """Whether more than so many are."""
        return self.spooled() > size

    def files(self) -> dict[str, bytes]:
        """What was spooled, each file by what it is."""
        found = (self.spool / "north").glob("cel.csv*")
        return {identity(one) or "": one.read_bytes() for one in found}


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    one = Receiver(tmp_path)
    one.start()
    yield one
    one.kill()
    one.http.close()


def shipper(receiver: Receiver, pbx: Path, **more: Any) -> Shipper:
    return Shipper("north", pbx / "hotline.csv", [Wire(receiver.url, TOKEN)], **more)


def test_given_both_die_and_the_file_is_rotated_then_the_spool_is_the_same_bytes_once(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "PART", 3000)
    pbx = tmp_path / "pbx"
    pbx.mkdir()
    cel, parts = pbx / "hotline.csv", 12
    each, place = len(LINES) // parts, 0
    for step in range(parts):
        with cel.open("ab") as file:
            file.writelines(LINES[place : place + each])
        place += each
        one = shipper(receiver, pbx)  # it died, and remembers nothing
        match step:
            case 2:  # half a line is written
                with cel.open("ab") as file:
                    file.write(LINES[place][:20])
                one.round()
                with cel.open("ab") as file:
                    file.write(LINES[place][20:])
                place += 1
            case 4:  # rotated with rows unsent
                cel.rename(pbx / "hotline.csv.2")
            case 6:  # copied and cut, with rows unsent
                (pbx / "hotline.csv.1").write_bytes(cel.read_bytes())
                os.truncate(cel, 0)
            case 8:  # packed
                packed = gzip.compress((pbx / "hotline.csv.2").read_bytes())
                (pbx / "hotline.csv.2.gz").write_bytes(packed)
                (pbx / "hotline.csv.2").unlink()
            case 3 | 5 | 9:  # the service dies while parts come in
                sending = threading.Thread(target=_round, args=(one,))
                sending.start()
                before = receiver.spooled()
                wait_until(partial(receiver.is_beyond, before), "parts come in")
                receiver.kill()
                sending.join()
                receiver.start()
            case _:
                one.round()
    with cel.open("ab") as file:
        file.writelines(LINES[place:-1])
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    before = receiver.spooled()
    command = start_ship(receiver, cel, tmp_path)
    wait_until(partial(receiver.is_beyond, before), "the command sends", 20)
    command.send_signal(signal.SIGKILL)
    command.wait(5)
    command = start_ship(receiver, cel, tmp_path)
    with cel.open("ab") as file:
        file.write(LINES[-1])
    whole = {
        identity(path): (gzip.decompress if path.suffix == ".gz" else bytes)(path.read_bytes())
        for path in pbx.iterdir()
    }
    assert len(whole) == 3
    wait_until(lambda: receiver.files() == whole, "the spool is the same bytes", 20)
    command.send_signal(signal.SIGTERM)
    assert command.wait(10) == 0
    wait_until(lambda: receiver.rows() >= len(set(LINES)), "all is on record", 20)
    assert receiver.rows() == len(set(LINES))
    assert shipper(receiver, pbx).round().bytes == 0


def start_ship(receiver: Receiver, cel: Path, folder: Path) -> Forked:
    """``hotline ship`` as a process."""
    log = folder / "ship.log"
    where = ["--pbx", "north", "--to", receiver.url, "--token-file", str(folder / "token")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOTLINE_")}
    return forked_hotline(["ship", *where, "--cel", str(cel)], environment, folder, log, log)


def _round(one: Shipper) -> None:
    with suppress(Away, Refused):  # what the test is about: it is sent the next time
        one.round()


def test_given_sounds_then_they_arrive_whole_once_and_do_not_come_back(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "PART", 5000)
    box = tmp_path / "pbx" / "messages"
    box.mkdir(parents=True)
    sound = box / "20261124-1764000000.12-m1.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(random.Random(1).randbytes(16000))
    os.utime(sound, (1764000100, time.time() - 60))
    (box / "passwd.wav").write_bytes(b"none of ours")
    spoken = box / "20261124-1764000000.13-m1.wav"
    spoken.write_bytes(b"still spoken to")
    state = tmp_path / "sent"
    folder = receiver.spool / "north" / "messages"

    def sent() -> int:
        return shipper(receiver, box.parent, sounds={"messages": box}, state=state).round().sounds

    assert sent() == 1
    assert [one.name for one in folder.iterdir()] == [sound.name]
    assert (folder / sound.name).read_bytes() == sound.read_bytes()
    assert abs((folder / sound.name).stat().st_mtime - sound.stat().st_mtime) < 0.001
    (folder / sound.name).unlink()  # by rule
    assert sent() == 0
    assert not list(folder.iterdir())
    os.utime(spoken, (time.time() - 30,) * 2)
    assert sent() == 1


def test_given_no_room_for_sounds_then_rows_go_on_and_the_sound_comes_when_there_is(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, state, said = tmp_path / "pbx" / "messages", tmp_path / "sent", list[str]()
    box.mkdir(parents=True)
    sound = box / "20261124-1764000000.12-m1.wav"
    sound.write_bytes(b"RIFF" * 5000)
    os.utime(sound, (time.time() - 60,) * 2)
    (box.parent / "hotline.csv").write_bytes(LINES[0])
    receiver.kill()
    roomy = receiver.settings
    spool = roomy.spool.model_copy(update={"keep_free_mb": 10**9})
    receiver.settings = roomy.model_copy(update={"spool": spool})
    receiver.start()

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            with (box.parent / "hotline.csv").open("ab") as file:
                file.write(LINES[2])
            self.set()
            return True

    one = shipper(receiver, box.parent, sounds={"messages": box}, state=state, say=said.append)
    one.round()
    one.run(Stop())
    assert len(said) == 1
    assert said[0].startswith("sounds wait, rows go on: 507 spool-full")
    assert "spool.keep_free_mb" in said[0]
    assert one.round().bytes == len(LINES[2])
    folder = receiver.spool / "north" / "messages"
    assert list(folder.iterdir()) == []
    assert not state.exists()
    receiver.kill()
    receiver.settings = roomy
    receiver.start()
    _round(one)  # its connection was to the one that was killed
    assert one.round().sounds == 0  # not asked again for half a minute
    monkeypatch.setattr(one, "_no_sounds_before", 0.0)
    assert one.round().sounds == 1
    assert (folder / sound.name).read_bytes() == sound.read_bytes()
    assert receiver.files() == {identity(box.parent / "hotline.csv"): LINES[0] + LINES[2]}


def test_given_who_may_not_or_what_does_not_fit_then_it_is_refused_and_nothing_is_kept(
    receiver: Receiver, tmp_path: Path
) -> None:
    first = LINES[0]
    name = hashlib.blake2b(first, digest_size=16).hexdigest()
    path = f"/api/v1/pbxs/north/cel/{name}"
    http = receiver.http

    def query(data: bytes, offset: int = 0) -> dict[str, Any]:
        return {"offset": offset, "sha256": hashlib.sha256(data).hexdigest()}

    assert http.put(path, content=first, params=query(b"x")).status_code == 422
    half = http.put(path, content=first[:9], params=query(first[:9]))
    assert half.status_code == 422
    late = http.put(path, content=first, params=query(first, 10))
    assert (late.status_code, late.json()["code"]) == (409, "spool-conflict")
    huge = b"x" * (4 * 2**20 + 1)
    assert http.put(path, content=huge, params=query(huge)).status_code == 422
    assert receiver.files() == {}
    for _ in range(2):  # the same twice is there once
        kept = http.put(path, content=first, params=query(first))
        assert kept.json() == {"file": name, "size": len(first)}
    assert receiver.files() == {name: first}
    strange = http.put(path, content=b"y", params=query(b"y", 3))
    assert strange.json()["code"] == "spool-conflict"
    assert http.get(path).json()["spooled"] == len(first)
    nobody = http.get(f"/api/v1/pbxs/south/cel/{name}")  # not even whether there is one
    assert (nobody.status_code, nobody.json()["code"]) == (403, "pbx-not-allowed")
    with pytest.raises(Refused, match="ships_for names which") as refused:
        Wire(receiver.url, OTHER_TOKEN).ask("PUT", ["pbxs", "north", "cel", name], query(b""))
    assert (refused.value.status, refused.value.code) == (403, "pbx-not-allowed")
    out = "/api/v1/pbxs/north/sounds/messages/..%2F..%2Fx.wav"
    more = {"total": 1, "whole_sha256": "0" * 64, "at": 0, **query(b"z")}
    assert http.put(out, content=b"z", params=more).status_code in (404, 422)
    assert httpx.get(receiver.url + path, trust_env=False).status_code == 401
    # A second process on the same record: it says who keeps it, and the shipper goes there.
    settings = receiver.settings.model_copy(
        update={"http": Http(port=free_port(socket.SOCK_STREAM))}
    )
    second = WarmService(settings, tmp_path / "second.log")
    second.launch()
    try:
        wait_until(lambda: _refusal(second, path) == "not-owner", "it says so", 20)
        (tmp_path / "pbx").mkdir()
        (tmp_path / "pbx" / "hotline.csv").write_bytes(first + LINES[1])
        wires = [Wire(second.url, TOKEN), Wire(receiver.url, TOKEN)]
        Shipper("north", tmp_path / "pbx" / "hotline.csv", wires).round()
        assert receiver.files() == {name: first + LINES[1]}
    finally:
        second.kill()
        second.http.close()


def _refusal(service: WarmService, path: str) -> str:
    try:
        return str(service.http.get(path).json().get("code"))
    except httpx.TransportError:
        return ""


def test_given_the_service_is_away_then_it_says_so_once_waits_longer_and_ends_when_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hotline.csv").write_bytes(LINES[0])
    said: list[str] = []
    waited: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0)
            if len(waited) == 8:
                self.set()
            return self.is_set()

    wire = Wire("http://127.0.0.1:9", TOKEN)
    Shipper("north", tmp_path / "hotline.csv", [wire, wire], say=said.append).run(Stop())
    assert len(said) == 1
    assert said[0].startswith("waits: http://127.0.0.1:9")
    assert waited == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_spool_goes_on_in_a_file_that_was_set_aside_and_sweeps_what_is_on_record(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path / "cel.csv", {})
    names = [hashlib.blake2b(line, digest_size=16).hexdigest() for line in LINES[:2]]
    spool.put_cel(names[0], 0, LINES[0])
    spool.put_cel(names[1], 0, LINES[1])
    assert (tmp_path / "cel.csv").read_bytes() == LINES[1]
    assert spool.put_cel(names[0], len(LINES[0]), LINES[2]) == len(LINES[0] + LINES[2])
    assert (tmp_path / "cel.csv").read_bytes() == LINES[0] + LINES[2]
    with pytest.raises(SpoolConflict):
        spool.put_cel(names[0], 5, b"other")
    with pytest.raises(InvalidValue):
        spool.put_cel("../../etc", 0, LINES[0])
    later = time.time() + 60
    assert spool.sweep({}, later) == []
    assert len(spool.sweep({names[1]: len(LINES[1])}, later)) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["cel.csv"]
