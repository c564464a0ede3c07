"""A small Asterisk that makes calls by chance and knows what took place in them.

What it writes are CEL rows as Asterisk writes them; what it knows is worked out from who was in
which room when, by none of the code under test.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from telephony.cel.rows import CelRow

BEGUN = 1_795_000_000
FIRST = 1_000_000
"""Channels are counted from here while calls are made one after the other, see ``done``."""


UNIQUEID = re.compile(r"\d{10}\.\d{7}")


@dataclass
class Phone:
    """A channel, and what is true of it."""

    name: str
    uniqueid: str
    linkedid: str
    started: int
    num: str = ""
    app: str = ""
    account: str = ""
    is_person: bool = True
    answered: int | None = None
    ended: int | None = None
    cause: int | None = None
    room: str | None = None
    stays: list[tuple[str, int, int]] = field(default_factory=list)  # room, from, to
    since: int = 0
    held_us: int | None = None


class Pbx:
    """One PBX; ``at`` is its clock in microseconds since 1970."""

    def __init__(self, rng: random.Random, begun: int = BEGUN) -> None:
        self.rng = rng
        self.at = begun * 1_000_000
        self.counter = FIRST
        self.rooms = 0
        self.rows: list[CelRow] = []
        self.phones: list[Phone] = []

    def wait(self, most_s: float = 30.0) -> None:
        self.at += self.rng.randrange(30_000, int(most_s * 1_000_000))

    def write(self, phone: Phone, event: str, **more: str) -> None:
        """A row; the next one is a little later, and sometimes of the same microsecond."""
        fact = more.get("fact", "")
        row = CelRow(
            *(self.at, event, phone.name, phone.uniqueid, phone.linkedid, phone.num),
            *("s", "hotline-trunk", phone.app, "", phone.account, "", fact),
            more.get("extra", ""),
        )
        self.rows.append(row)
        self.at += self.rng.choice((0, 1, 150, 900))

    def start(self, device: str, first: Phone | None = None, app: str = "", num: str = "") -> Phone:
        uniqueid = f"{self.at // 1_000_000}.{self.counter}"
        name = device if ";" in device else f"PJSIP/{device}-{self.counter:08x}"
        self.counter += 1
        linkedid = uniqueid if first is None else first.linkedid
        phone = Phone(name, uniqueid, linkedid, self.at, num, is_person=";" not in device)
        phone.account = first.account if first is not None else ""
        self.phones.append(phone)
        self.write(phone, "CHAN_START")
        phone.app = app
        return phone

    def fact(self, phone: Phone, kind: str, **values: str) -> None:
        text = "&".join(f"{key}={value}" for key, value in values.items())
        self.write(phone, "USER_DEFINED", fact=f"HOTLINE_{kind}", extra=f'{{"extra":"{text}"}}')

    def answer(self, phone: Phone) -> None:
        phone.answered = self.at
        self.write(phone, "ANSWER")

    def new_room(self) -> str:
        self.rooms += 1
        return f"room-{self.at}-{self.rooms}"

    def enter(self, phone: Phone, room: str) -> None:
        phone.room, phone.since = room, self.at
        self.write(phone, "BRIDGE_ENTER", extra=f'{{"bridge_id":"{room}"}}')

    def leave(self, phone: Phone) -> None:
        if phone.room is not None:
            phone.stays.append((phone.room, phone.since, self.at))
            room, phone.room = phone.room, None
            self.write(phone, "BRIDGE_EXIT", extra=f'{{"bridge_id":"{room}"}}')

    def hang_up(self, phone: Phone, cause: int = 16, by: Phone | None = None) -> None:
        self.leave(phone)
        source = by.name if by is not None else ""
        text = f'{{"hangupcause":{cause},"hangupsource":"{source}","dialstatus":""}}'
        self.write(phone, "HANGUP", extra=text)
        phone.cause, phone.ended = cause, self.at
        self.write(phone, "CHAN_END")

    # --- calls

    def call(self) -> None:
        """A citizen's call: into the queue, and whatever comes of it."""
        citizen = self.start("trunk", num="138" + str(self.rng.randrange(10**8)).zfill(8))
        citizen.account = f"20261124-{citizen.uniqueid}"
        self.fact(citizen, "CASE", case=citizen.account, line="2800122")
        self.answer(citizen)
        citizen.app = "Queue"
        self.wait()
        ringing = [
            self.start(f"80{number:02}", citizen, "AppQueue")
            for number in self.rng.sample(range(20), self.rng.randrange(1, 4))
        ]
        self.wait()
        match self.rng.randrange(6):
            case 0:  # nobody answers: a message is left
                for phone in ringing:
                    self.hang_up(phone, 19)
                citizen.app = "VoiceMail"
                self.wait()
                self.end(citizen, by=citizen)
            case 1:  # the citizen gives up
                for phone in ringing:
                    self.hang_up(phone, 16)
                self.end(citizen, by=citizen)
            case 2:  # another agent picks the call up
                picker = self.start("8099")
                self.answer(picker)
                self.write(ringing[0], "PICKUP")
                picker.linkedid = citizen.linkedid
                self.talk(citizen, picker, ringing)
            case _:
                agent = ringing.pop(self.rng.randrange(len(ringing)))
                self.answer(agent)
                self.talk(citizen, agent, ringing)

    def talk(self, citizen: Phone, agent: Phone, ringing: list[Phone]) -> None:
        for phone in ringing:
            self.hang_up(phone, 26)
        room = self.new_room()
        self.enter(agent, room)
        self.enter(citizen, room)
        self.fact(citizen, "TAKEN", case=citizen.account, agent="a", leg=agent.uniqueid)
        self.wait(300)
        for _ in range(self.rng.randrange(4)):
            step = self.rng.choice((self.hold, self.transfer, self.three_way, self.park))
            agent = step(citizen, agent)
        last = [citizen, agent]
        self.rng.shuffle(last)
        self.hang_up(last[1], by=last[0])
        self.end(last[0], by=last[0])

    def end(self, phone: Phone, by: Phone) -> None:
        self.hang_up(phone, by=by)
        self.write(phone, "LINKEDID_END")

    def hold(self, citizen: Phone, agent: Phone) -> Phone:
        begun = self.at
        self.fact(agent, "HOLD")
        self.wait(60)
        held = self.at - begun
        self.fact(agent, "UNHOLD")
        for phone in (citizen, agent):
            phone.held_us = (phone.held_us or 0) + held
        self.wait(60)
        return agent

    def transfer(self, citizen: Phone, agent: Phone) -> Phone:
        """To a desk that answers, or does not: then back to the agent."""
        self.leave(agent)
        self.leave(citizen)
        desk = self.start("110", citizen, "AppDial")
        self.wait()
        if self.rng.random() < 0.4:
            self.hang_up(desk, self.rng.choice((17, 19, 21)))
            room = self.new_room()
            self.enter(citizen, room)
            self.enter(agent, room)
            self.wait(100)
            return agent
        self.answer(desk)
        room = self.new_room()
        self.enter(desk, room)
        self.enter(citizen, room)
        self.hang_up(agent, by=agent)
        self.wait(300)
        return desk

    def three_way(self, citizen: Phone, agent: Phone) -> Phone:
        """A third party behind a Local channel; then one of the two others leaves, or it does."""
        number = self.counter
        first = self.start(f"Local/122@hotline-third-{number:08x};1", citizen)
        second = self.start(f"Local/122@hotline-third-{number:08x};2", citizen)
        third = self.start("122", citizen, "AppDial")
        self.wait()
        room, tunnel = self.new_room(), self.new_room()
        self.answer(third)
        self.enter(second, tunnel)
        self.enter(third, tunnel)
        for phone in (agent, citizen):
            self.leave(phone)
            self.enter(phone, room)
        inside = self.at
        self.enter(first, room)
        self.wait(100)
        leaver = self.rng.choice((agent, third))
        over = self.at
        if leaver is agent:
            self.hang_up(agent, by=agent)
            self.wait(100)
            over = self.at
        self.leave(first)
        third.stays.append((room, inside, over))
        for phone in (third, first, second):
            self.hang_up(phone, by=third)
        third.stays = [stay for stay in third.stays if stay[0] != tunnel]
        if leaver is agent:  # the citizen is alone, and another agent takes over
            self.leave(citizen)
            return self.fetch(citizen)
        self.wait(100)
        return agent

    def park(self, citizen: Phone, agent: Phone) -> Phone:
        self.leave(agent)
        self.leave(citizen)
        self.write(
            citizen, "BRIDGE_ENTER", extra='{"bridge_id":"p","bridge_technology":"holding_bridge"}'
        )
        self.write(citizen, "PARK_START")
        self.hang_up(agent, by=agent)
        self.wait(200)
        self.write(citizen, "PARK_END")
        return self.fetch(citizen)

    def fetch(self, citizen: Phone) -> Phone:
        """Another phone dials in and is joined with the citizen, whose linkedid it takes on."""
        other = self.start("8077")
        self.answer(other)
        other.linkedid = citizen.linkedid
        room = self.new_room()
        self.enter(other, room)
        self.enter(citizen, room)
        self.wait(100)
        return other

    def call_back(self) -> None:
        """The PBX calls an agent, and then the citizen."""
        agent = self.start("8042", app="AppDial2")
        self.wait()
        self.answer(agent)
        citizen = self.start("trunk", agent, "AppDial", num="13900000000")
        self.wait()
        self.answer(citizen)
        room = self.new_room()
        self.enter(agent, room)
        self.enter(citizen, room)
        self.wait(100)
        self.hang_up(citizen, by=citizen)
        self.end(agent, by=citizen)

    def done(self) -> list[CelRow]:
        """The rows in the order of time, channels counted from 0 as they started."""
        ordered = sorted(self.phones, key=lambda phone: phone.started)
        names = {
            phone.uniqueid: f"{phone.uniqueid.partition('.')[0]}.{number}"
            for number, phone in enumerate(ordered)
        }

        def named(text: str) -> str:
            return UNIQUEID.sub(lambda found: names[found[0]], text)

        for phone in self.phones:
            phone.uniqueid, phone.linkedid = named(phone.uniqueid), named(phone.linkedid)
            phone.account = named(phone.account)
        self.rows = [
            row._replace(
                uniqueid=named(row.uniqueid),
                linkedid=named(row.linkedid),
                account=named(row.account),
                extra=named(row.extra),
            )
            for row in sorted(self.rows, key=lambda row: row.at)
        ]
        return self.rows

    # --- what is true

    def talk_us(self, phone: Phone) -> int:
        """Microseconds for which somebody else's phone was in the same room."""
        people = [one for one in self.phones if one.is_person]
        total = 0
        for room, begun, over in phone.stays:
            others = [
                (max(start, begun), min(end, over))
                for one in people
                if one is not phone
                for where, start, end in one.stays
                if where == room and start < over and end > begun
            ]
            until = begun
            for start, end in sorted(others):
                total += max(end - max(start, until), 0)
                until = max(until, end)
        return total
