"""One PBX as a service has it: call control, the picture for those who watch, and its record.

A service has one site for each PBX of the settings. Of several services on one database, one owns a
PBX at a time (``telephony/ownership``): it reads the PBX's CEL, pushes its calendar and lights its
lamps. Commands (transfer, three-way call …) work at each, for each has a link of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import structlog

from telephony import logs
from telephony.around.dead_phones import DeadPhones
from telephony.around.hold_notes import HoldNotes
from telephony.calendar.keeper import CalendarKeeper
from telephony.calendar.push import Switch
from telephony.call_control import CallControl
from telephony.errors import DatabaseUnavailable, PbxRefused, PbxUnavailable, WrongState
from telephony.live.watch import LiveWatch
from telephony.matters.proposals import Proposals
from telephony.ownership.keeper import Ownership
from telephony.record.store import RecordStore
from telephony.recorder import Recorder
from telephony.rooms.outcome import RoomOutcomes
from telephony.shipping.spool import Kind, NotShipped, Spool
from telephony.voicemail import Voicemail

if TYPE_CHECKING:
    from telephony.ami_client import Event
    from telephony.calendar.book import CalendarBook
    from telephony.cases.book import CaseBook
    from telephony.cases.nuisance import Nuisance
    from telephony.database import Database
    from telephony.live.joined import Outlet
    from telephony.matters.book import MatterBook
    from telephony.messages.book import MessageBook
    from telephony.settings import Settings

log = structlog.get_logger(__name__)


class NotOwner(WrongState):
    """Another process keeps the record of this PBX; ``extra['owner']`` names it."""

    code = "not-owner"
    title = "Another process keeps the record of this PBX"


RETRY_S = 2.0
SWEEP_EVERY_S = 3600.0
FINISH_S = 3.0
"""How long what is being recorded may take when another process takes over."""
LAG_LIMIT_S = 60.0
"""How far behind the PBX the record may be before the service counts as not ready."""


class Shared:
    """What all sites of a service have in common."""

    def __init__(
        self,
        *,
        database: Database,
        nuisance: Nuisance,
        calendar: CalendarBook,
        messages: MessageBook,
        matters: MatterBook,
        cases: CaseBook,
    ) -> None:
        self.database = database
        self.nuisance = nuisance
        self.calendar = calendar
        self.messages = messages
        self.matters = matters
        self.cases = cases
        self.migrated = asyncio.Event()
        """Set once the database has our tables."""


class Site(CallControl):
    """Call control and the record of one PBX; ``settings`` are those that hold there."""

    def __init__(self, settings: Settings, shared: Shared, outlet: Outlet | None = None) -> None:
        """``outlet``: this PBX's part of the feed, where there are several."""
        super().__init__(settings)
        self.here = settings
        self._shared = shared
        self.name = settings.pbx.name
        self.owner = Ownership(shared.database, self.name)
        self.room_outcomes = RoomOutcomes(self, shared.database)
        self.calendar = CalendarKeeper(self.pbx, shared.calendar, self._acts)
        self.switch = Switch(self.pbx, settings)
        self.voicemail = Voicemail(
            *(self.pbx, self.calls, self.callbacks, shared.database, settings, shared.messages),
            acts=self._acts,
        )
        self.live = LiveWatch(
            self.pbx, self.calls, self.live_agents, shared.nuisance.shape_of, outlet
        )
        self.proposals = Proposals(
            *(shared.matters, self.pbx, self.calls, shared.cases.sides.same),
            tell=lambda shape: self.live.feed.changed({"proposals": [shape]}),
        )
        self.hold_notes = HoldNotes(self.pbx, self.calls, self._acts)
        self.dead_phones = DeadPhones(self.pbx, self.calls, self._acts)
        self.recorder: Recorder | None = None
        self.system_name: str | None = None
        """What Asterisk puts in front of its channels' ids; None: not known, or the only PBX."""
        if settings.pbxs:
            self.client.on_up(self._ask_name)
        self.spool: Spool | None = None
        if settings.pbx.shipped and settings.pbx.cel_file is not None:
            where: dict[Kind, Path | None] = {
                "messages": settings.messages.folder,
                "recordings": settings.recording.folder,
            }
            sounds: dict[Kind, Path] = {
                kind: folder for kind, folder in where.items() if folder is not None
            }
            keep_free = settings.spool.keep_free_mb * 10**6
            self.spool = Spool(settings.pbx.cel_file, sounds, keep_free=keep_free)
        self._spooling = asyncio.Lock()
        self.records = settings.pbx.cel_file is not None
        """Whether legs of this PBX are recorded at all."""
        self._record: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        if self.records:
            self.recorder = Recorder(settings, shared.database)
            self.client.add_event_listener(self._on_news, {"Hangup", "UserEvent"})

    async def start(self) -> None:
        """Start all parts; returns at once."""
        await super().start()
        if not self.records:
            log.warning("no legs are recorded: pbx.cel_file is not set", pbx=self.name)
        for part in (self.calendar, self.voicemail, self.proposals):
            part.start()
        self._record = asyncio.create_task(self._keep_record(), name="record")
        if self.spool is not None:
            tokens = self.here.tokens
            if not any(one.role == "admin" or self.name in one.ships_for for one in tokens):
                log.warning("no token may send for this PBX: name it in ships_for", pbx=self.name)
            self._sweeping = asyncio.create_task(self._sweep(self.spool), name="spool")

    async def stop(self) -> None:
        """Stop all parts. What the PBX wrote and we did not store yet is read at the next start."""
        # From the last one to the first; one that fails keeps none of the others from stopping.
        async with AsyncExitStack() as ends:
            ends.push_async_callback(self.owner.stop)
            ends.push_async_callback(self._end_record)
            ends.push_async_callback(super().stop)
            ends.callback(self.room_outcomes.close)
            ends.push_async_callback(self.dead_phones.close)
            ends.push_async_callback(self.hold_notes.close)
            for part in (self.calendar, self.voicemail, self.proposals):
                ends.push_async_callback(part.stop)
            ends.callback(self.live.close)

    @property
    def link_up(self) -> bool:
        """Whether the PBX is seen now: the link stands and the picture of its calls is whole."""
        return self.client.up and self.calls.ready

    def seen(self) -> bool:
        """As ``link_up``, for who looks again and again."""
        return self.link_up

    def record_kept(self) -> Literal["here", "elsewhere", "nobody", "off"]:
        """Which process keeps the record of this PBX, as far as this one knows."""
        if not self.records:
            return "off"
        if self.owner.is_owner:
            return "here"
        return "elsewhere" if self.owner.state == "waiting" else "nobody"

    def recorder_ready(self) -> bool:
        """Whether the record of this PBX is kept, here or by another process."""
        if not self.records or self.owner.state == "waiting":
            return True
        if not self._shared.migrated.is_set():
            return False
        if self.recorder is None or (self._record is not None and self._record.done()):
            return False
        return self.recorder.lag.seconds < LAG_LIMIT_S

    @asynccontextmanager
    async def spooling(self) -> AsyncIterator[Spool]:
        """The spool of this PBX, for one at a time.

        Raises :class:`NotShipped`, and :class:`NotOwner`: rows belong where they are read.
        """
        if self.spool is None:
            raise NotShipped(f"PBX {self.name} is read here, and not sent (setting pbx.shipped)")
        if not self.owner.is_owner:
            owner = await self.owner.holder()
            raise NotOwner(f"the record of {self.name} is kept by {owner}", owner=owner or "")
        async with self._spooling:
            yield self.spool

    async def recorded(self, file: str) -> int:
        """How many bytes of a CEL file are on record. Raises :class:`DatabaseUnavailable`."""
        positions = await RecordStore(self._shared.database, self.name).positions()
        return positions[file][0] if file in positions else 0

    async def _sweep(self, spool: Spool) -> None:
        """Rotated files that are on record go after a while."""
        keep_s = self.here.spool.keep_days * 86400
        while True:
            try:
                await asyncio.to_thread(spool.prepare)
                positions = await RecordStore(self._shared.database, self.name).positions()
                recorded = {file: offset for file, (offset, _) in positions.items()}
                async with self._spooling:
                    before = time.time() - keep_s
                    gone = await asyncio.to_thread(spool.sweep, recorded, before)
                if gone:
                    log.info("spool-swept", pbx=self.name, files=len(gone))
            except (DatabaseUnavailable, OSError) as error:
                log.warning("the spool was not swept", pbx=self.name, reason=str(error))
            await asyncio.sleep(SWEEP_EVERY_S)

    def _acts(self) -> bool:
        return self.owner.acts

    def _on_news(self, _event: Event) -> None:
        if self.recorder is not None:
            self.recorder.poke()

    async def _ask_name(self) -> None:
        """Two PBXs without names of their own may make the same id, and then the same case."""
        try:
            answer = await self.client.action("CoreSettings")
        except (PbxRefused, PbxUnavailable) as error:
            log.info("the PBX does not say its system name", pbx=self.name, reason=error.detail)
            return
        self.system_name = answer.get("SystemName") or ""
        if self.system_name != self.name:
            log.warning(
                "set systemname in asterisk.conf to the PBX's name: ids are to differ",
                pbx=self.name,
                systemname=self.system_name,
            )

    async def _end_record(self) -> None:
        for task in (self._record, self._sweeping):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _keep_record(self) -> None:
        await self._shared.migrated.wait()
        self.owner.start()
        while True:
            await self.owner.owned()
            # What fell due while another process was the owner is done now.
            self.calendar.poke()
            self.voicemail.poke()
            if self.records:
                await self._record_while_owned()
            else:
                await self.owner.lost()

    async def _record_while_owned(self) -> None:
        lost = asyncio.create_task(self.owner.lost(), name="owner lost")
        try:
            while not lost.done():
                # Always anew: what another process stored meanwhile is looked up.
                self.recorder = Recorder(self.here, self._shared.database)
                running = asyncio.create_task(self.recorder.run(), name="recorder")
                try:
                    await asyncio.wait([running, lost], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    # In order: a transaction that is cut in the middle may keep SQLite's lock.
                    self.recorder.finish()
                    await asyncio.wait([running], timeout=FINISH_S)
                    running.cancel()
                    error = (await asyncio.gather(running, return_exceptions=True))[0]
                if isinstance(error, Exception):
                    logs.unexpected(log, "the record failed and starts anew", error)
                    self.recorder = None
                    await asyncio.sleep(RETRY_S)
        finally:
            lost.cancel()
