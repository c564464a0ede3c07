"""What the service does about messages: looks at their sound, lights the lamp, calls back.

Messages are taken by the PBX (``hotline-message``) and come on record by the recorder, with or
without this. Here each sound is looked at once (is it there, is it whole, its digest); what is
missing or damaged is said in the ledger of its case. The lamp on agents' phones shows messages that
nobody has heard; the PBX lights it by itself, here it is set right and put out.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
import wave
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl

import structlog
from sqlalchemy import select, update

from telephony import logs
from telephony.background import end, woken
from telephony.cases.store import CASES, CaseStore, micros_of, parts, table
from telephony.cel.rows import Fact
from telephony.errors import (
    CaseNotFound,
    DatabaseUnavailable,
    HotlineError,
    InvalidValue,
    PbxUnavailable,
    WrongState,
)
from telephony.messages.rules import CUT_OFF, Waiting
from telephony.messages.store import MESSAGES, OPEN, MessageStore
from telephony.models import LegRecord
from telephony.pbx import ask_originate

if TYPE_CHECKING:
    from telephony.ami_client import Event
    from telephony.callbacks import Callback, Callbacks
    from telephony.database import Database
    from telephony.line_settings import Line
    from telephony.live_calls import LiveCalls
    from telephony.messages.book import Hand, MessageBook
    from telephony.pbx import Pbx
    from telephony.settings import Settings

log = structlog.get_logger(__name__)

LEGS = table(LegRecord)
SoundState = Literal["ok", "missing", "damaged"]

EVERY_S = 2.0
"""How often sounds that nobody has looked at are looked for when no event came."""
GRACE = timedelta(seconds=5)
"""A file may come into sight of another machine a little later than the news of it."""
SENT_GRACE = timedelta(days=2)
"""One that is sent from another host comes when that can reach us."""
SLACK_S = 0.05
"""By how much the length of a whole sound may differ from what the PBX found."""
AT_ONCE = 50
ADOPT_EVERY_S = 60.0
"""How often files are looked for that belong to no message."""
LEFT_ALONE_S = 30.0
"""A file that changed later than this may still be spoken to."""
HEADER, BYTES_S = 44, 16_000
"""Of a WAV file as Record() writes it: bytes before the sound, and of each second (8 kHz, mono)."""
_NAME = re.compile(r"([0-9]{8}-[A-Za-z0-9._-]{1,80})-m[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class Sound:
    """A message's sound as it was found. ``length_s``: of what can be heard."""

    state: SoundState
    sha256: str | None = None
    length_s: float | None = None


def examine(file: Path, length_s: float | None) -> Sound:
    """Look at a sound; ``length_s`` is what the PBX said of it. Blocks; not for an event loop."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return Sound("missing")
    digest = hashlib.sha256(content).hexdigest()
    try:
        with wave.open(str(file), "rb") as sound:
            form = (sound.getnchannels(), sound.getsampwidth(), sound.getframerate())
            said_s = sound.getnframes() / sound.getframerate()
    except (wave.Error, EOFError, ZeroDivisionError):
        return Sound("damaged", digest)
    there_s = max(len(content) - HEADER, 0) / BYTES_S
    whole = form == (1, 2, 8000) and abs(said_s - there_s) < SLACK_S
    if length_s is not None and abs(there_s - length_s) > SLACK_S:
        whole = False
    return Sound("ok" if whole else "damaged", digest, round(min(said_s, there_s), 3))


def _shortest(line: Line) -> int:
    """The bytes from which on a file of this line is a message that somebody can listen to."""
    return HEADER + BYTES_S * max(line.message_min_s, 1)


def _settled(folder: Path, shortest: int) -> dict[str, tuple[datetime, int]]:
    """Sounds that nobody speaks to any more, by name: when they changed last, and their bytes."""
    if not folder.is_dir():
        return {}
    before = time.time() - LEFT_ALONE_S
    found = {}
    for file in folder.glob("*.wav"):
        try:
            seen = file.stat()
        except FileNotFoundError:  # deleted by rule in this moment
            continue
        if seen.st_mtime < before and seen.st_size >= shortest:
            found[file.name] = (datetime.fromtimestamp(seen.st_mtime, UTC), seen.st_size)
    return found


class Voicemail:
    """Keeps messages in order while the service runs."""

    def __init__(
        self,
        pbx: Pbx,
        calls: LiveCalls,
        callbacks: Callbacks,
        database: Database,
        settings: Settings,
        book: MessageBook,
        acts: Callable[[], bool] = lambda: True,
    ) -> None:
        """``acts``: whether it is this process that looks, of several on one database."""
        self._acts = acts
        self.not_taken = 0
        """Messages that the PBX could not write since this service started."""
        self._pbx = pbx
        self._calls = calls
        self._callbacks = callbacks
        self._database = database
        self._settings = settings
        self._book = book
        self._cases = CaseStore(database, settings.pbx.name)
        self._grace = SENT_GRACE if settings.pbx.shipped else GRACE
        self._due = asyncio.Event()
        self._lamp: int | None = None
        self._adopted_at: float | None = None
        self._unreadable: set[str] = set()
        self._store = MessageStore(database, settings.pbx.name, settings.messages.tries)
        self._task: asyncio.Task[None] | None = None
        self._stop_listening = pbx.client.add_event_listener(self._on_event, {"UserEvent"})
        pbx.client.on_up(self._on_up)

    def start(self) -> None:
        """Begin; returns at once."""
        self._task = asyncio.create_task(self._run(), name="messages")

    async def stop(self) -> None:
        """Stop. Messages are taken all the same."""
        self._stop_listening()
        await end(self._task)

    def poke(self) -> None:
        """Something changed: look soon."""
        self._due.set()

    # -- calling back

    async def call_back(self, message: str, agent: str, hand: Hand) -> Callback:
        """Ring this agent, then the citizen, who sees the hotline's number; the agent has it then.

        Raises what :meth:`MessageBook.take` and :meth:`Callbacks.call_back` raise,
        :class:`InvalidValue` when there is no number, and :class:`WrongState` when the citizen is
        on the line or being called back at this moment.
        """
        row = await self._book.get(message)
        number = row["number"]
        if not number:
            raise InvalidValue(f"the citizen of message {message} showed no number")
        fresh = await self._book.take(message, agent)
        try:
            self._must_be_free(number)
            line = await self._line_of(row["case"])
            return await self._callbacks.call_back(number, agent, case=row["case"], line=line)
        except BaseException:
            if fresh:
                with suppress(HotlineError):  # the reason is the first error; it stays theirs then
                    await self._book.give_back(message, hand)
            raise

    async def _line_of(self, case: str) -> str | None:
        async with self._database.reading() as connection:
            line: str | None = await connection.scalar(
                select(CASES.c.line).where(CASES.c.case_id == case)
            )
            return line

    def _must_be_free(self, number: str) -> None:
        key = self._key(number)
        for call in self._calls.calls():
            citizen = call.citizen
            if citizen is not None and key in (
                self._key(citizen.caller),
                self._key(citizen.party),
            ):
                raise WrongState("this citizen is on the line now")
        if self._callbacks.is_calling(number):
            raise WrongState("this citizen is being called back now")

    def _key(self, number: str) -> str:
        return self._book.key_of(number) or ""

    # -- the sound, and the lamp

    def _on_event(self, event: Event) -> None:
        kind = event.get("Kind")
        if event.get("UserEvent") != "Hotline":
            return
        if kind == "HOTLINE_MESSAGE":
            self._due.set()
        elif kind == "HOTLINE_ALARM":
            fact = dict(parse_qsl(event.get("Facts")))
            self.not_taken += fact.get("what") == "message-not-taken"
            log.error("the PBX could not write a message", case=fact.get("case"))

    async def _on_up(self) -> None:
        self._lamp = None
        self._due.set()

    async def _run(self) -> None:
        told = ""
        while True:
            await woken(self._due, EVERY_S)
            if not self._acts():
                self._lamp = None
                continue
            try:
                await self._adopt()
                while await self._look():
                    pass
                await self._light()
                told = ""
            except PbxUnavailable:
                pass  # the lamp is set when the link is up again
            except DatabaseUnavailable as error:
                if error.detail != told:
                    log.warning("messages cannot be looked at yet", reason=error.detail)
                told = error.detail
            except Exception as error:  # noqa: BLE001 - the next message is looked at all the same
                logs.unexpected(log, "messages cannot be looked at", error)

    async def _adopt(self) -> None:
        """Files of which no fact tells become messages: the PBX crashed while they were spoken."""
        folder, now = self._settings.messages.folder, time.monotonic()
        if folder is None or (self._adopted_at or -ADOPT_EVERY_S) + ADOPT_EVERY_S > now:
            return
        self._adopted_at = now
        shortest = min(map(_shortest, self._settings.every_line))
        files = await asyncio.to_thread(_settled, folder, shortest)
        async with self._database.reading() as connection:
            for part in parts(sorted(files)):
                query = select(MESSAGES.c.file).where(MESSAGES.c.file.in_(part))
                for name in (await connection.execute(query)).scalars():
                    files.pop(name, None)
        for name, (changed, size) in files.items():
            await self._take_up(name, changed, size)

    async def _take_up(self, file: str, changed: datetime, size: int) -> None:
        name = file.removesuffix(".wav")
        found = _NAME.fullmatch(name)
        if found is None:
            return
        case = found[1]
        async with self._database.reading() as connection:
            query = select(CASES.c.caller, CASES.c.line).where(CASES.c.case_id == case)
            row = (await connection.execute(query)).first()
            if row is None or size < _shortest(self._settings.line_called(row.line)):
                return
            goes_on = select(LEGS.c.uniqueid).where(LEGS.c.case_id == case, LEGS.c.state == "open")
            if await connection.scalar(goes_on.limit(1)) is not None:
                return
        folder = self._settings.messages.folder
        if folder is None or not (folder / file).is_file():
            return  # it was deleted by rule in this moment, with its message
        async with self._database.writing() as connection:
            one = Waiting(
                name=name,
                kind="message",
                case=case,
                caller=row.caller,
                number=row.caller,
                at=micros_of(changed),
                why=CUT_OFF,
                length_s=(size - HEADER) / BYTES_S,
                file=file,
            )
            await self._store.add(connection, [one])
            missed = OPEN & (MESSAGES.c.name == f"{case}-missed")
            await connection.execute(
                update(MESSAGES)
                .where(missed)
                .values(state="served", closed_at=datetime.now(UTC), result="its message was found")
            )
        log.warning("a message was found of which the PBX told nothing", name=name)

    async def _look(self) -> bool:
        """Look at sounds that nobody has looked at; returns whether there may be more."""
        folder = self._settings.messages.folder
        if folder is None:
            return False
        query = (
            select(MESSAGES)
            .where(MESSAGES.c.sound_state == "unchecked", MESSAGES.c.pbx == self._pbx.name)
            .order_by(MESSAGES.c.at)
            .limit(AT_ONCE)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
        done = 0
        for row in rows:
            file = folder / Path(row["file"]).name
            try:
                found = await asyncio.to_thread(examine, file, row["length_s"])
            except OSError as error:  # of this one alone: the others are looked at
                if row["name"] not in self._unreadable:
                    self._unreadable.add(row["name"])
                    reason = error.strerror or type(error).__name__
                    log.error("a sound cannot be read", name=row["name"], reason=reason)
                continue
            if found.state == "missing" and datetime.now(UTC) - row["at"] < self._grace:
                continue
            await self._note(dict(row), found)
            done += 1
        return done > 0 and len(rows) == AT_ONCE

    async def _note(self, row: dict[str, Any], found: Sound) -> None:
        values: dict[str, Any] = {"sound_state": found.state, "sha256": found.sha256}
        if found.length_s is not None:
            values["length_s"] = found.length_s
        async with self._database.writing() as connection:
            if found.state != "ok":
                log.error(
                    "the sound of a message is not whole", name=row["name"], state=found.state
                )
                said = {"case": row["case_id"], "id": row["name"], "state": found.state}
                # Before the message, as the recorder does: so neither waits for the other.
                with suppress(CaseNotFound):  # a record that was cut away has no ledger any more
                    case, entries = await self._cases.locked(connection, row["case_id"])
                    fact = Fact(time.time_ns() // 1000, "SOUND", said, "")
                    await self._cases.append(connection, case, entries, fact)
            await connection.execute(
                update(MESSAGES).where(MESSAGES.c.id == row["id"]).values(**values)
            )

    async def _light(self) -> None:
        """Show on the phones how many messages nobody has heard."""
        if not self._settings.messages.lamp or not self._pbx.up:
            return
        new = await self._book.new(self._pbx.name)
        if new == self._lamp:
            return
        await self._pbx.ask(
            ask_originate(
                "Local/s@hotline-lamp-set/n",
                "hotline-third-idle",
                "s",
                variables={"NEW": str(new)},
                ring_s=10,
            )
        )
        self._lamp = new
