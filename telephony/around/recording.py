"""Recordings of ordinary calls: pause and go on, and the sound of those on record.

The PBX records (``hotline-record``); the service only stops and starts that while something
sensitive is said, and reads the files. A recording is named ``<case>~<leg>``, and is given out only
when the ledger of that case says that it was made: a name alone opens nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl

import structlog
from sqlalchemy import select

from telephony.cases.store import LEDGER
from telephony.errors import NotFound, PbxRefused, PbxUnavailable, WrongState
from telephony.pbx import Ask, ask_originate, ask_set_var

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from telephony.ami_client import Event
    from telephony.around.settings import Recording as RecordingSetting
    from telephony.database import Database
    from telephony.handover import Offers
    from telephony.live.model import Channel
    from telephony.pbx import Pbx

log = structlog.get_logger(__name__)

EVENTS = frozenset({"UserEvent"})
Change = Literal["paused", "resumed"]

NAME = re.compile(r"([0-9]{8}-[A-Za-z0-9._-]{1,80})~([A-Za-z0-9._-]{1,80})")
STATES = {"paused": "on", "resumed": "paused"}
"""What a recording must be for a change."""


class RecordingNotFound(NotFound):
    """No recording with this id is on record, or its file is not there any more."""

    code = "recording-not-found"
    title = "No such recording"


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording on record: of which case and leg, since when, how often it was paused."""

    id: str
    case: str
    leg: str
    started: datetime
    pauses: int


class Recordings:
    """Pause and go on, over HTTP; and the one recording that the dialplan cannot begin.

    A desk that was asked on an agent's second line and is joined with the citizen afterwards has a
    leg on which nothing of the dialplan runs any more, and what was begun before goes silent for
    the citizen's side (issue 507 of Asterisk). So its recording is begun from here.
    """

    def __init__(self, offers: Offers, setting: RecordingSetting) -> None:
        self._offers = offers
        self._pbx: Pbx = offers.pbx
        self._stop_listening: Callable[[], None] | None = None
        if setting.on and setting.after_transfer:
            listen = self._pbx.client.add_event_listener
            self._stop_listening = listen(self._on_event, EVENTS)

    def close(self) -> None:
        """Stop listening."""
        if self._stop_listening is not None:
            self._stop_listening()

    async def _on_event(self, event: Event) -> None:
        fact = dict(parse_qsl(event.get("Facts")))
        if event.get("Kind") != "HOTLINE_ACCEPTED" or fact.get("way") != "joined":
            return
        leg = self._offers.calls.channel(fact.get("leg", ""))
        if leg is None:
            return
        name = f"{fact.get('case', '')}~{leg.uniqueid}"
        if not NAME.fullmatch(name):
            return
        try:
            if not await self._pbx.get_var(leg.name, "RECORDING"):
                mark = ask_set_var(leg.name, "RECORDING", name)
                await self._pbx.together(mark, *_asks(leg, name, "started", ""))
        except (PbxRefused, PbxUnavailable) as error:
            log.warning("a joined call is not recorded", leg=leg.uniqueid, reason=error.detail)

    async def change(self, call_id: str, what: Change, *, agent: str | None = None) -> str:
        """Pause the recording of a call, or go on; returns its id.

        ``agent`` limits it to calls of this agent. Raises :class:`WrongState` when it is not
        recorded, or paused (going on) already, and what
        :meth:`telephony.handover.Offers.press` raises.
        """
        pressed = self._offers.press(call_id, "-", agent)
        leg = pressed.agent
        with self._offers.offer(pressed.call.id):
            name = await self._pbx.get_var(leg.name, "RECORDING")
            state = await self._pbx.get_var(leg.name, "RECORDING_STATE")
            if not name or state != STATES[what]:
                raise WrongState(f"the recording of call {pressed.call.id} is {state or 'off'}")
            try:
                await self._pbx.together(*_asks(leg, name, what, pressed.agent.party))
            except PbxRefused as error:
                raise WrongState(f"call {pressed.call.id} changed: {error.detail}") from error
        return name


def _asks(leg: Channel, name: str, what: Change | Literal["started"], by: str) -> list[Ask]:
    change = (
        Ask("StopMixMonitor", {"Channel": leg.name})
        if what == "paused"
        else Ask(
            "MixMonitor",
            {"Channel": leg.name, "File": f"hotline/{name}.wav", "Options": "ab"},
        )
    )
    case = name.partition("~")[0]
    facts = f"case={case}&what={what}&recording={name}&leg={leg.uniqueid}"
    note = ask_originate(
        "Local/s@hotline-note/n",
        "hotline-third-idle",
        "s",
        variables={
            "__CASE_ID": case,
            "__NOTE": "HOTLINE_RECORDING",
            "__FACTS": f"{facts}&by={by}" if by else facts,
        },
        ring_s=10,
    )
    state = "paused" if what == "paused" else "on"
    return [change, ask_set_var(leg.name, "RECORDING_STATE", state), note]


async def of_case(database: Database, case: str) -> list[Recording]:
    """The recordings of a case, by its ledger; the first to begin first."""
    query = (
        select(LEDGER.c.at, LEDGER.c.leg, LEDGER.c.detail)
        .where(LEDGER.c.case_id == case, LEDGER.c.event == "recorded")
        .order_by(LEDGER.c.number)
    )
    async with database.reading() as connection:
        rows = (await connection.execute(query)).all()
    begun: dict[str, tuple[datetime, str]] = {}
    pauses: dict[str, int] = {}
    for at, leg, detail in rows:
        what, _, name = str(detail).partition(" ")
        if what == "started":
            begun[name] = (at, leg)
        elif what == "paused":
            pauses[name] = pauses.get(name, 0) + 1
    return [
        Recording(name, case, leg, at, pauses.get(name, 0)) for name, (at, leg) in begun.items()
    ]


async def sound_of(database: Database, folders: Sequence[Path], name: str) -> Path:
    """The file of a recording on record; raises :class:`RecordingNotFound` for anything else."""
    found = NAME.fullmatch(name)
    known = await of_case(database, found[1]) if found is not None else []
    if not folders or name not in {one.id for one in known}:
        raise RecordingNotFound(f"no recording {name!r} is on record")
    for folder in folders:
        file = folder / f"{name}.wav"
        if not file.is_symlink() and file.is_file():
            return file
    raise RecordingNotFound(f"recording {name!r} is on record, but its file is not there")
