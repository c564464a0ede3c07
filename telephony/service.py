"""The running service: its parts, put together, started in order and stopped in reverse."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

import structlog

from telephony import logs
from telephony.bulk.jobs import ExportJobs
from telephony.calendar.book import CalendarBook
from telephony.cases.book import CaseBook
from telephony.cases.dispatch import Dispatches
from telephony.cases.nuisance import Nuisance
from telephony.checkup.keeper import DoctorKeeper
from telephony.database import Database
from telephony.deadlines.book import DeadlineBook
from telephony.deadlines.keeper import DeadlineKeeper
from telephony.deadlines.mail import MailSender
from telephony.deadlines.notes import as_shape
from telephony.deadlines.sources import MatterHours, WaitingCitizens
from telephony.deadlines.teller import DeadlineTeller
from telephony.errors import DatabaseUnavailable
from telephony.figures.keeper import FigureKeeper
from telephony.live.joined import JoinedFeed
from telephony.matters.book import MatterBook
from telephony.messages.book import MessageBook
from telephony.metrics import Metrics
from telephony.orders.book import OrdersBook
from telephony.orders.delivery import Delivery
from telephony.orders.intake import OrdersIntake
from telephony.orders.outbox import Outbox
from telephony.orders.teller import OrdersTeller
from telephony.people.book import PeopleBook
from telephony.people.sessions import Sessions
from telephony.plans.keeper import LoadKeeper
from telephony.record.leg_pages import LegPages
from telephony.retention.book import RetentionBook
from telephony.retention.keeper import RetentionKeeper
from telephony.site import RETRY_S, Shared, Site
from telephony.sites import Sites

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telephony.deadlines.notes import News
    from telephony.live.feed import LiveFeed
    from telephony.live.joined import Outlet
    from telephony.settings import Settings

log = structlog.get_logger(__name__)

CHECK_LIMIT_S = 1.0


class Part(Protocol):
    """Something that works by itself while the service runs."""

    def start(self) -> None:
        """Begin; returns at once."""
        ...

    async def stop(self) -> None:
        """End; returns when nothing of it runs any more."""
        ...


class Service(Site):
    """Call control and the record, as one running thing.

    It is the first PBX's site itself; ``sites`` are all.

    Each part starts without waiting for the others: a PBX or a database that is away at the start
    is taken up when it comes. Raises :class:`~telephony.errors.SettingsError` for a setting that
    only shows to be wrong when it is used, such as a database URL.
    """

    def __init__(self, settings: Settings) -> None:
        self.database = Database.from_settings(settings)
        self.dispatches = Dispatches(self.database, settings)
        self.matters = MatterBook(self.database, settings)
        self.case_book = CaseBook(self.database, settings, self.dispatches, self.matters)
        self.nuisance = Nuisance(self.database)
        self.people = PeopleBook(self.database, settings)
        self.sessions = Sessions(self.database, settings)
        self.exports = ExportJobs(self.database, settings)
        self.leg_pages = LegPages(self.database)
        self.retention = RetentionBook(self.database, settings)
        self.calendar_book = CalendarBook(self.database, settings)
        self.messages = MessageBook(self.database, settings, self.calendar_book)
        shared = Shared(
            database=self.database,
            nuisance=self.nuisance,
            calendar=self.calendar_book,
            messages=self.messages,
            matters=self.matters,
            cases=self.case_book,
        )
        names = [pbx.name for pbx in settings.every_pbx]
        joined = JoinedFeed(names) if len(names) > 1 else None
        outlets: list[Outlet | None] = [*joined.outlets] if joined else [None]
        super().__init__(settings.of_pbx(names[0]), shared, outlets[0])
        self.settings = settings  # of all PBXs; ``here`` are those of the first
        self.others = [
            Site(settings.of_pbx(name), shared, outlet)
            for name, outlet in zip(names[1:], outlets[1:], strict=True)
        ]
        self.sites = Sites([self, *self.others])
        self.feed: LiveFeed = joined or self.live.single_feed
        self._migrated = shared.migrated
        self.figures = FigureKeeper(self.database)
        self.mails = MailSender(self.database, settings.mail)
        self.deadlines = self._keeper_of_deadlines()
        self.outbox = Outbox(self.database)
        self.delivery = Delivery(self.outbox, settings)
        teller = OrdersTeller(self.database, settings)
        self.database.ledger_followers.append(teller.follow)
        self.orders = OrdersBook(self.database, settings, teller, self.matters)
        self.metrics = Metrics(*(site.client for site in self.sites))
        self._show_figures()
        self.intake = OrdersIntake(self.orders, self.database, settings, self.metrics.registry)
        self.doctor = DoctorKeeper(
            settings, lambda: [site.here for site in self.sites], self.metrics.registry
        )
        self._parts: tuple[Part, ...] = (
            self.doctor,
            *(LoadKeeper(site.here, site.client) for site in self.sites),
            *(self.figures, self.delivery, self.deadlines, self.mails, self.exports),
            RetentionKeeper(self.retention, settings.retention.runs_at),
            self.sessions,
        )
        self._tasks: list[asyncio.Task[None]] = []

    def _keeper_of_deadlines(self) -> DeadlineKeeper:
        settings = self.settings
        book = DeadlineBook(
            self.database,
            settings,
            DeadlineTeller(settings),
            limits=MatterHours(),
            replies=WaitingCitizens(),
        )
        return DeadlineKeeper(book, self.calendar_book, settings, tell=self._tell_deadlines)

    def _show_figures(self) -> None:
        """What Prometheus reads, besides what is counted where it happens."""
        show = self.metrics.watch
        sites = self.sites.all
        text = "Citizens on the line now"
        show("hotline_calls", text, lambda: sum(one.calls.calls_now() for one in sites))
        text = "Channels on the PBX now"
        show("hotline_channels", text, lambda: sum(one.calls.channels_now() for one in sites))
        text = "1 while the PBX is seen: the link and the picture of its calls stand"
        self.metrics.watch_each(
            "hotline_pbx_up", text, "pbx", {one.name: one.seen for one in sites}
        )
        show("hotline_overdue", "Deadlines that have passed", lambda: self.deadlines.overdue)
        text = "Messages to platforms that wait"
        show("hotline_outbox_waiting", text, lambda: self.delivery.waiting)
        text = "Messages to platforms given up"
        show("hotline_outbox_dead", text, lambda: self.delivery.dead)
        text = "Messages that could not be written since the start"
        boxes = [site.voicemail for site in sites]
        show("hotline_messages_not_taken", text, lambda: sum(one.not_taken for one in boxes))

    async def start(self) -> None:
        """Start all parts; returns at once."""
        self.database.expect_tables()
        await super().start()
        for site in self.others:
            await site.start()
        for part in self._parts:
            part.start()
        tables = asyncio.create_task(self._prepare_database(), name="tables")
        marks = asyncio.create_task(self.nuisance.keep(), name="nuisance")
        directory = asyncio.create_task(self.matters.keep(), name="matters")
        self._tasks = [tables, marks, directory]

    async def stop(self) -> None:
        """Stop all parts. What the PBX wrote and we did not store yet is read at the next start."""
        # From the last one to the first; one that fails keeps none of the others from stopping.
        async with AsyncExitStack() as ends:
            ends.push_async_callback(self.database.close)
            ends.push_async_callback(self.leg_pages.close)
            ends.push_async_callback(self._end_tasks)
            ends.push_async_callback(super().stop)
            for site in self.others:
                ends.push_async_callback(site.stop)
            for part in self._parts:
                ends.push_async_callback(part.stop)
            ends.callback(self.feed.close)

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def not_ready(self) -> list[str]:
        """The parts that do not work at this moment; empty when all do.

        Of several PBXs one that works is enough: what is at the others is said beside it, and the
        service is needed for the calls that go on.
        """
        works = {
            "pbx": any(site.link_up for site in self.sites),
            "database": await self._database_ready(),
            "recorder": any(site.recorder_ready() for site in self.sites),
        }
        return [part for part, well in works.items() if not well]

    async def _database_ready(self) -> bool:
        try:
            async with asyncio.timeout(CHECK_LIMIT_S):
                await self.database.check()
        except (DatabaseUnavailable, TimeoutError):
            return False
        return True

    def poke_calendars(self) -> None:
        """The calendar has changed: it is pushed to all PBXs soon."""
        for site in self.sites:
            site.calendar.poke()

    def _tell_deadlines(self, news: Sequence[News]) -> None:
        self.mails.poke()
        self.feed.changed({"deadlines": [as_shape(one) for one in news]})

    async def _prepare_database(self) -> None:
        while True:
            try:
                await self.database.migrate()
            except DatabaseUnavailable as error:
                log.warning("the database cannot be used yet", reason=error.detail)
            except Exception as error:  # noqa: BLE001 - it may be put right meanwhile
                logs.unexpected(log, "the tables cannot be brought up to date", error)
            else:
                self._migrated.set()
                return
            await asyncio.sleep(RETRY_S)
