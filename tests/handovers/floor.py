"""Where the cells of the table are played: one PBX and one service for many calls at once.

Each cell has a seat of its own (a citizen, agents, desks, tones), so that cells of one process can
run at the same time and still tell whose sound they hear.
"""

from __future__ import annotations

import os
import queue
import socket
import tempfile
import threading
import wave
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from telephony.asterisk_program import find_asterisk
from telephony.call_legs import Directory
from telephony.demo.stage import Service
from telephony.dialplan import SOUNDS, Phone
from telephony.private_pbx import PrivatePbx, free_port
from telephony.settings import Agent, Desk, Http, Key, Line, Settings, Token
from telephony.sip.message import SipMessage
from telephony.softphone import SoftCall, Softphone
from tests.handovers.record import Record
from tests.pbx.scene import assert_quiet, set_hours
from tests.pbx.test_service import Cutter
from tests.warm import WarmService

SEATS = 12
RING_S = 2
SLOW_RING_S = 60
ACK_LIMIT_S = 5.0
PASSWORD = "a-secret-of-the-tests"
_STEPS_BYTES = 20_000_000
PROMPT_S = 0.2
"""What is spoken is cut to this: the cells are about who is with whom."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Who takes part in a cell. All numbers end with the seat's own."""

    number: int

    def _id(self, kind: str) -> str:
        return f"{kind}{self.number:02d}"

    @property
    def citizen(self) -> str:
        return self._id("138042100")

    @property
    def agent(self) -> str:
        return self._id("81")

    @property
    def other(self) -> str:
        """Another agent."""
        return self._id("82")

    @property
    def fading(self) -> str:
        """An agent whose silence is noticed after two seconds."""
        return self._id("83")

    @property
    def supervisor(self) -> str:
        return self._id("84")

    @property
    def desks(self) -> tuple[str, str, str]:
        """Three desks with a phone each."""
        return self._id("31"), self._id("32"), self._id("33")

    @property
    def ring_all(self) -> str:
        """A desk that rings the phones of the first two."""
        return self._id("34")

    @property
    def absent(self) -> str:
        """A desk whose phone is not there."""
        return self._id("35")

    @property
    def slow(self) -> str:
        """The first desk's phone, which may ring for long."""
        return self._id("36")

    @property
    def targets(self) -> tuple[str, ...]:
        return (*self.desks, self.ring_all, self.absent, self.slow)

    def key(self, desk: str) -> str:
        """What is pressed for a one-key transfer; ``#..9`` is no key."""
        place = self.targets.index(desk) if desk in self.targets else 9
        return f"#{self.number:02d}{place}"

    @property
    def tones(self) -> tuple[float, float, float]:
        """Citizen's, agent's and target's tone in Hz, unlike those of any other seat."""
        return tuple(300.0 + 100 * (SEATS * who + self.number) for who in range(3))  # type: ignore[return-value]

    @property
    def roles(self) -> dict[str, str]:
        """The role of the leg of each phone that may be in a call."""
        return {
            self.citizen: "citizen",
            **dict.fromkeys((self.agent, self.other, self.fading), "agent"),
            **dict.fromkeys(self.desks, "target"),
            self.supervisor: "supervisor",
        }


def floor_settings(folder: Path, seats: list[Seat]) -> Settings:
    """The line, its agents and desks, with ring times of seconds."""

    def desk(desk_id: str, dial: str = "", ring_s: int = RING_S) -> Desk:
        password = None if dial else SecretStr(PASSWORD)
        dial = dial or f"PJSIP/{desk_id}"
        return Desk(id=desk_id, name=desk_id, dial=dial, ring_s=ring_s, password=password)

    desks: list[Desk] = []
    agents: list[Agent] = []
    for seat in seats:
        first, second, _ = seat.desks
        desks += [desk(one) for one in seat.desks]
        desks.append(desk(seat.ring_all, f"PJSIP/{first}&PJSIP/{second}"))
        desks += [desk(seat.absent), desk(seat.slow, f"PJSIP/{first}", SLOW_RING_S)]
        agents += [Agent(id=one, password=SecretStr(PASSWORD)) for one in (seat.agent, seat.other)]
        agents.append(Agent(id=seat.fading))
    return Settings(
        database_url=f"sqlite:///{folder / 'record.sqlite'}",
        line=Line(queue_wait_s=10, agent_ring_s=RING_S),
        agents=agents,
        desks=desks,
        keys=[
            Key(code=seat.key(one), action="transfer", desk=one)
            for seat in seats
            for one in seat.targets
        ],
        tokens=[Token(name="tests", role="admin", token=SecretStr(PASSWORD))]
        + [
            Token(name=seat.other, role="agent", agent=seat.other, token=agent_token(seat.other))
            for seat in seats
        ],
        http=Http(port=free_port(socket.SOCK_STREAM)),
    )


def agent_token(agent: str) -> SecretStr:
    """The token with which this agent asks."""
    return SecretStr(f"{PASSWORD}-{agent}")


class FloorPhone(Softphone):
    """A phone that notes for which of its answers the PBX has sent its ACK."""

    acked: frozenset[str] = frozenset()

    def ack_received(self, ack: SipMessage) -> None:
        """The PBX has heard our 200."""
        super().ack_received(ack)
        self.acked |= {ack.call_id}
        self.changed.notify_all()

    def wait_acked(self, call: SoftCall) -> None:
        """Wait until this call may be hung up (RFC 3261 section 15: not before the ACK)."""
        with self.changed:
            if not self.changed.wait_for(lambda: call.dialog.call_id in self.acked, ACK_LIMIT_S):
                raise TimeoutError(f"the PBX did not acknowledge the answer of {self.username}")


class Floor:
    """A PBX, a service, and seats for ``SEATS`` cells at once."""

    def __init__(self, *, with_wire: bool = False) -> None:
        """``with_wire``: the service's link to the PBX goes over a wire that can be cut."""
        self._exit = ExitStack()
        self._phones: dict[str, FloorPhone] = {}
        self._lock = threading.Lock()
        self.queue_lock = threading.Lock()
        """Held while a citizen waits in the queue: it has one free agent then, whom we know."""
        self.calls: dict[str, list[SoftCall]] = {}
        """Every call that came to a phone, by the phone."""
        seats = [Seat(number) for number in range(SEATS)]
        self._free: queue.Queue[Seat] = queue.Queue()
        for seat in seats:
            self._free.put(seat)
        # Not below pytest's own folder: that is closed to the unprivileged user Asterisk runs as.
        self.folder = Path(
            self._exit.enter_context(tempfile.TemporaryDirectory(prefix="hotline-table-"))
        )
        self.folder.chmod(0o755)
        extra = [Phone(seat.citizen, PASSWORD, "hotline-trunk") for seat in seats]
        extra += [
            Phone(seat.fading, PASSWORD, "hotline-agents", silence_s=2, held_silence_s=2)
            for seat in seats
        ]
        extra += [Phone(seat.supervisor, PASSWORD, "hotline-agents") for seat in seats]
        settings = floor_settings(self.folder, seats)
        self.pbx = PrivatePbx(find_asterisk(), self.folder / "pbx", settings, extra, rtp_ports=600)
        settings = self.pbx.settings
        self.wire: Cutter | None = None
        if with_wire:
            self.wire = self._exit.enter_context(closing(Cutter(settings.pbx.ami_port)))
            link = settings.pbx.model_copy(update={"ami_port": self.wire.port})
            settings = settings.model_copy(update={"pbx": link})
        # Where it is killed and comes back, it starts from nothing.
        kind = Service if with_wire else WarmService
        self.service = kind(settings, self.folder / "service.log")
        self.record = Record(self.pbx.cel_file, Directory.from_settings(settings))

    def __enter__(self) -> Self:
        try:
            self.pbx.start()
            self._exit.callback(self.pbx.stop)
            self._shorten_prompts()
            self.pbx.console("logger add channel steps verbose(3),notice,warning,error")
            set_hours(self.pbx, "0000-2400")
            self.service.start()
            self._exit.callback(self.service.http.close)
            self._exit.callback(self.service.stop)
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self._exit:
            for phone in self._phones.values():
                phone.stop()
            assert_quiet(self.pbx)

    @contextmanager
    def seat(self) -> Iterator[Seat]:
        """A seat that no other cell has now; waits for one."""
        seat = self._free.get()
        try:
            yield seat
        finally:
            self._free.put(seat)

    def phone(self, who: str) -> FloorPhone:
        """This phone, registered."""
        with self._lock:
            phone = self._phones.get(who)
            if phone is None or not phone.NSD:
                calls = self.calls.setdefault(who, [])
                phone = FloorPhone(
                    "127.0.0.1", self.pbx.sip_port, who, PASSWORD, on_call=calls.append
                )
                phone.start()
                self._phones[who] = phone
            return phone

    def join_queue(self, agent: str) -> None:
        """Sign an agent in; the caller holds ``queue_lock``."""
        self.pbx.console(f"queue add member PJSIP/{agent} to hotline")

    def leave_queue(self, agent: str) -> None:
        """Sign an agent out, who keeps the call they are in."""
        self.pbx.console(f"queue remove member PJSIP/{agent} from hotline")

    def steps(self, marks: tuple[str, ...], since: str) -> str:
        """What the PBX did since then in calls in which one of these names appears."""
        with (self.pbx.places.log / "steps").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _STEPS_BYTES))
            text = file.read().decode(errors="replace")
        lines = [line for line in text.splitlines() if line[1:20] >= since]
        ids = {_call_id(line) for line in lines if any(mark in line for mark in marks)} - {""}
        kept = [line[:230] for line in lines if _call_id(line) in ids]
        return "\n".join(kept[-300:])

    def _shorten_prompts(self) -> None:
        for language in ("zh", "en"):
            short = self.folder / "prompts" / language
            short.mkdir(parents=True)
            for file in (SOUNDS / language / "hotline").glob("*.wav"):
                with wave.open(str(file)) as whole, wave.open(str(short / file.name), "wb") as cut:
                    cut.setparams(whole.getparams())
                    cut.writeframes(whole.readframes(int(whole.getframerate() * PROMPT_S)))
            link = self.pbx.places.data / "sounds" / language / "hotline"
            link.unlink()
            link.symlink_to(short)


def _call_id(line: str) -> str:
    start = line.find("[C-")
    return line[start : line.find("]", start)] if start >= 0 else ""
