"""The running service: its parts, put together, started in order and stopped in reverse."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

import structlog

from telephony import logs
from telephony.around.dead_phones import DeadPhones
from telephony.around.hold_notes import HoldNotes
from telephony.bulk.jobs import ExportJobs
from telephony.calendar.book import CalendarBook
from telephony.calendar.keeper import CalendarKeeper
from telephony.calendar.push import Switch
from telephony.call_control import CallControl
from telephony.cases.book import CaseBook
from telephony.cases.dispatch import Dispatches
from telephony.cases.nuisance import Nuisance
from telephony.database import Database
from telephony.deadlines.book import DeadlineBook
from telephony.deadlines.keeper import DeadlineKeeper
from telephony.deadlines.mail import MailSender
from telephony.deadlines.notes import as_shape
from telephony.deadlines.sources import MatterHours, WaitingCitizens
from telephony.deadlines.teller import DeadlineTeller
from telephony.errors import DatabaseUnavailable
from telephony.figures.keeper import FigureKeeper
from telephony.live.watch import LiveWatch
from telephony.matters.book import MatterBook
from telephony.matters.proposals import Proposals
from telephony.messages.book import MessageBook
from telephony.metrics import Metrics
from telephony.orders.book import OrdersBook
from telephony.orders.delivery import Delivery
from telephony.orders.intake import OrdersIntake
from telephony.orders.outbox import Outbox
from telephony.orders.teller import OrdersTeller
from telephony.record.leg_pages import LegPages
from telephony.recorder import Recorder
from telephony.retention.book import RetentionBook
from telephony.retention.keeper import RetentionKeeper
from telephony.rooms.outcome import RoomOutcomes
from telephony.voicemail import Voicemail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telephony.ami_client import Event
    from telephony.deadlines.notes import News
    from telephony.settings import Settings

log = structlog.get_logger(__name__)

CHECK_LIMIT_S = 1.0
RETRY_S = 2.0
LAG_LIMIT_S = 60.0
"""How far behind the PBX the record may be before the service counts as not ready."""


class Part(Protocol):
    """Something that works by itself while the service runs."""

    def start(self) -> None:
        """Begin; returns at once."""
        ...

    async def stop(self) -> None:
        """End; returns when nothing of it runs any more."""
        ...


class Service(CallControl):
    """Call control and the record, as one running thing.

    Each part starts without waiting for the others: a PBX or a database that is away at the start
    is taken up when it comes. Raises :class:`~telephony.errors.SettingsError` for a setting that
    only shows to be wrong when it is used, such as a database URL.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.database = Database.from_settings(settings)
        self.dispatches = Dispatches(self.database, settings)
        self.matters = MatterBook(self.database, settings)
        self.case_book = CaseBook(self.database, settings, self.dispatches, self.matters)
        self.room_outcomes = RoomOutcomes(self, self.database)
        self.nuisance = Nuisance(self.database)
        self.exports = ExportJobs(self.database, settings)
        self.leg_pages = LegPages(self.database)
        self.retention = RetentionBook(self.database, settings)
        self.calendar_book = CalendarBook(self.database, settings)
        self.calendar = CalendarKeeper(self.pbx, self.calendar_book)
        self.switch = Switch(self.pbx, settings)
        self.messages = MessageBook(self.database, settings, self.calendar_book)
        self.voicemail = Voicemail(
            self.pbx, self.calls, self.callbacks, self.database, settings, self.messages
        )
        self.live = LiveWatch(self.pbx, self.calls, self.live_agents, self.nuisance.shape_of)
        self.proposals = Proposals(
            self.matters,
            self.pbx,
            self.calls,
            self.case_book.sides.same,
            tell=lambda shape: self.live.feed.changed({"proposals": [shape]}),
        )
        self.figures = FigureKeeper(self.database)
        self.hold_notes = HoldNotes(self.pbx, self.calls)
        self.dead_phones = DeadPhones(self.pbx, self.calls)
        self.mails = MailSender(self.database, settings.mail)
        self.deadlines = self._keeper_of_deadlines()
        self.outbox = Outbox(self.database)
        self.delivery = Delivery(self.outbox, settings)
        teller = OrdersTeller(self.database, settings)
        self.database.ledger_followers.append(teller.follow)
        self.orders = OrdersBook(self.database, settings, teller, self.matters)
        self.metrics = Metrics(self.client)
        self._show_figures()
        self.intake = OrdersIntake(self.orders, self.database, settings, self.metrics.registry)
        self._parts: tuple[Part, ...] = (
            *(self.calendar, self.figures, self.voicemail, self.delivery, self.deadlines),
            *(
                self.mails,
                self.exports,
                RetentionKeeper(self.retention, settings.retention.runs_at),
            ),
            self.proposals,
        )
        self.recorder: Recorder | None = None
        self._record: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._recording = settings.pbx.cel_file is not None
        if self._recording:
            self.recorder = Recorder(settings, self.database)
            self.client.add_event_listener(self._on_news, {"Hangup", "UserEvent"})

    def _keeper_of_deadlines(self) -> DeadlineKeeper:
        settings = self.settings
        book = DeadlineBook(
            self.database,
            settings,
            DeadlineTeller(settings),
            limits=MatterHours(),
            replies=WaitingCitizens(settings.line.number),
        )
        return DeadlineKeeper(book, self.calendar_book, settings, tell=self._tell_deadlines)

    def _show_figures(self) -> None:
        """What Prometheus reads, besides what is counted where it happens."""
        show = self.metrics.watch
        show("hotline_calls", "Citizens on the line now", self.calls.calls_now)
        show("hotline_channels", "Channels on the PBX now", self.calls.channels_now)
        show("hotline_overdue", "Deadlines that have passed", lambda: self.deadlines.overdue)
        text = "Messages to platforms that wait"
        show("hotline_outbox_waiting", text, lambda: self.delivery.waiting)
        text = "Messages to platforms given up"
        show("hotline_outbox_dead", text, lambda: self.delivery.dead)
        text = "Messages that could not be written since the start"
        show("hotline_messages_not_taken", text, lambda: self.voicemail.not_taken)

    async def start(self) -> None:
        """Start all parts; returns at once."""
        await super().start()
        if not self._recording:
            log.warning("no legs are recorded: pbx.cel_file is not set")
        for part in self._parts:
            part.start()
        self._record = asyncio.create_task(self._keep_record(), name="record")
        marks = asyncio.create_task(self.nuisance.keep(), name="nuisance")
        directory = asyncio.create_task(self.matters.keep(), name="matters")
        self._tasks = [self._record, marks, directory]

    async def stop(self) -> None:
        """Stop all parts. What the PBX wrote and we did not store yet is read at the next start."""
        # From the last one to the first; one that fails keeps none of the others from stopping.
        async with AsyncExitStack() as ends:
            ends.push_async_callback(self.database.close)
            ends.push_async_callback(self.leg_pages.close)
            ends.push_async_callback(self._end_tasks)
            ends.push_async_callback(super().stop)
            ends.callback(self.room_outcomes.close)
            ends.push_async_callback(self.dead_phones.close)
            ends.push_async_callback(self.hold_notes.close)
            for part in self._parts:
                ends.push_async_callback(part.stop)
            ends.callback(self.live.close)

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def not_ready(self) -> list[str]:
        """The parts that do not work at this moment; empty when all do."""
        works = {
            "pbx": self.client.up and self.calls.ready,
            "database": await self._database_ready(),
            "recorder": self._recorder_ready(),
        }
        return [part for part, well in works.items() if not well]

    async def _database_ready(self) -> bool:
        try:
            async with asyncio.timeout(CHECK_LIMIT_S):
                await self.database.check()
        except (DatabaseUnavailable, TimeoutError):
            return False
        return True

    def _recorder_ready(self) -> bool:
        if not self._recording:
            return True
        if self.recorder is None or (self._record is not None and self._record.done()):
            return False
        return self.recorder.lag.seconds < LAG_LIMIT_S

    def _tell_deadlines(self, news: Sequence[News]) -> None:
        self.mails.poke()
        self.live.feed.changed({"deadlines": [as_shape(one) for one in news]})

    def _on_news(self, _event: Event) -> None:
        if self.recorder is not None:
            self.recorder.poke()

    async def _keep_record(self) -> None:
        while True:
            try:
                await self._prepare_database()
                if not self._recording:
                    return
                self.recorder = self.recorder or Recorder(self.settings, self.database)
                await self.recorder.run()
            except Exception as error:  # noqa: BLE001 - recording goes on from what is stored
                logs.unexpected(log, "the record failed and starts anew", error)
                self.recorder = None
                await asyncio.sleep(RETRY_S)

    async def _prepare_database(self) -> None:
        while True:
            try:
                await self.database.migrate()
            except DatabaseUnavailable as error:
                log.warning("the database cannot be used yet", reason=error.detail)
                await asyncio.sleep(RETRY_S)
            else:
                return
