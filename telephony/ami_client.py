"""The link to one PBX over AMI: actions in, events out.

asterisk-ami's ``AMIClient`` with its link replaced by asyncio: its containers, listener registry,
hooks and ActionID table are kept; connecting, reading, sending and waiting are ours. What Asterisk
sends and what the library makes of it: https://docs.asterisk.org, "AMI v2 Specification".

Two things hold always. An action is sent once or not at all: nothing is ever sent again after a
reconnect, because a doubled Redirect moves a caller twice. And events of an outage are gone: who
needs to know what is true now registers an ``on_up`` hook and asks.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from asterisk.ami.action import Action, LoginAction

from telephony import settings
from telephony.ami.actions import LIST_ID, PendingAction, PendingList
from telephony.ami.link import AmiLink, LinkRefused, tls_context
from telephony.ami.listeners import Listener, Subscription
from telephony.ami.packets import (
    Event,
    PacketTooLong,
    Response,
    event_filter,
    parse_event,
    parse_packet,
    render_action,
    select_packets,
    split_packets,
)
from telephony.errors import InvalidValue, PbxUnavailable

__all__ = ["AmiClient", "Event", "LinkRefused", "Response", "tls_context"]

Headers = Mapping[str, str | int | Sequence[str]]


class AmiClient(AmiLink):
    """A link that keeps itself up: signs in, watches for silence, comes back after a loss.

    ``events``: names of the events to deliver; the others are dropped before they are decoded.
    None delivers every event. Times are in seconds; ``ping_interval`` is how long the PBX may be
    silent before it is asked, ``ping_timeout`` how long it may then stay silent; ``retry_first``
    doubles up to ``retry_max`` between attempts, ``retry_refused`` is for a refused login.
    ``backlog_limit`` events may wait for slow listeners before reading stops (ten times as many
    while actions wait, so that a listener which asks the PBX gets its answer).
    """

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        secret: str,
        *,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        events: Iterable[str] | None = None,
        action_timeout: float = 5.0,
        connect_timeout: float = 5.0,
        ping_interval: float = 5.0,
        ping_timeout: float = 5.0,
        retry_first: float = 0.1,
        retry_max: float = 2.0,
        retry_refused: float = 10.0,
        backlog_limit: int = 1000,
    ) -> None:
        super().__init__(
            host,
            port,
            username,
            secret,
            tls=tls,
            server_hostname=server_hostname,
            action_timeout=action_timeout,
            connect_timeout=connect_timeout,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            retry_first=retry_first,
            retry_max=retry_max,
            retry_refused=retry_refused,
            backlog_limit=backlog_limit,
        )
        self._held_back: list[bytes] | None = None
        self._own_ids = f"\r\nActionID: {self._id_prefix}".encode()
        self._event_listeners: list[Subscription] = []
        self._routes: dict[str, tuple[Subscription, ...]] = {}
        self._events = None if events is None else frozenset(events) | {"FullyBooted"}
        self._filter = None if self._events is None else event_filter(self._events)
        self.add_event_listener(lambda event: self._booted.set(), ["FullyBooted"])

    @classmethod
    def from_settings(cls, pbx: settings.Pbx, *, events: Iterable[str] | None = None) -> Self:
        """The client for the PBX that the settings name."""
        return cls(
            pbx.host,
            pbx.ami_port,
            pbx.ami_user,
            pbx.ami_secret.get_secret_value(),
            tls=tls_context(pbx.ami_ca_file) if pbx.ami_tls else None,
            events=events,
            action_timeout=pbx.action_timeout_s,
        )

    async def stop(self) -> None:
        """Close the link for good; leaves no task and no socket. Waiting actions fail."""
        await super().stop()
        for subscription in self._event_listeners:
            await subscription.close()

    # -- asking --------------------------------------------------------------------------------

    def submit(
        self, name: str, headers: Headers | None = None, *, timeout: float | None = None
    ) -> asyncio.Future[Response]:
        """Send an action now and return the future of its answer.

        The bytes are written when this returns, so actions submitted one after the other reach
        the PBX together and in order. A list value is a repeated header. Raises (before anything
        is sent) :class:`InvalidValue` for CR, LF or NUL and :class:`PbxUnavailable` without a
        link; the future fails with :class:`PbxTimeout`, :class:`PbxRefused` or
        :class:`PbxUnavailable` (the link was lost meanwhile).
        """
        pending = PendingAction(name, self._timeout if timeout is None else timeout)
        return self._ask(name, headers, pending, self.next_action_id())

    @contextmanager
    def in_one_write(self) -> Iterator[None]:
        """Actions submitted inside leave together when the block ends, in one segment.

        The block must not await. When it raises, those submitted before the error leave all the
        same: their answers are being waited for.
        """
        self._held_back = []
        try:
            yield
        finally:
            data, self._held_back = b"".join(self._held_back), None
            if data:
                self._open_transport().write(data)

    async def action(  # a time-out of their own would cost more than the action
        self,
        name: str,
        headers: Headers | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Response:
        """Send an action and wait for its answer; errors as in :meth:`submit`."""
        return await self.submit(name, headers, timeout=timeout)

    async def list_action(
        self,
        name: str,
        headers: Headers | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> list[Event]:
        """Send an action that answers with a list; return its events in order.

        ``timeout`` is for the whole list, up to ``EventList: Complete`` (whose own event is not
        returned). The events of a list go to nobody else. Errors as in :meth:`submit`.
        """
        pending = PendingList(name, self._timeout if timeout is None else timeout)
        events: list[Event] = await self._ask(
            name, headers, pending, self.next_action_id() + LIST_ID
        )
        return events

    def _ask(
        self, name: str, headers: Headers | None, pending: PendingAction, action_id: str
    ) -> asyncio.Future[Any]:
        keys = dict(headers or {})
        for key in keys:
            if str(key).lower() in ("action", "actionid"):
                raise InvalidValue(f"{key} is given by the client, not by who asks")
        return self._send_pending(Action(name, keys), pending, action_id)

    def next_action_id(self) -> str:
        """A string that no other process and no other link of this one ever used."""
        self._action_counter += 1
        return f"{self._id_prefix}{self._links}-{self._action_counter}"

    def login(self, username: str, secret: str, callback: Any = None) -> asyncio.Future[Response]:
        """Sign in on the open link; the supervisor does this by itself."""
        return self.send_action(LoginAction(username, secret), callback)

    def send_action(self, action: Action, callback: Any = None) -> asyncio.Future[Response]:
        """The library's way to send an action; ``callback(response)`` is called if it succeeds."""
        pending = PendingAction(action.name, self._timeout)
        if callback is not None:
            pending.future.add_done_callback(
                lambda future: future.cancelled() or future.exception() or callback(future.result())
            )
        return self._send_pending(action, pending, self.next_action_id())

    def _send_pending(
        self, action: Action, pending: PendingAction, action_id: str
    ) -> asyncio.Future[Any]:
        action.keys["ActionID"] = action_id
        data = render_action(action)
        if not (self._signed_in or isinstance(action, LoginAction)):
            raise PbxUnavailable(self._failure.detail)
        transport = self._open_transport()
        self._futures[action_id] = pending
        self._fire_on_action(action=action)
        if self._held_back is None:
            transport.write(data)
        else:
            self._held_back.append(data)
        self._arm(pending.deadline)
        self._regulate()
        return pending.future

    def send_ping(self) -> None:
        """Ask the PBX for a sign of life; that anything comes back is what counts."""
        self.send_action(Action("Ping")).add_done_callback(
            lambda future: future.cancelled() or future.exception()
        )

    def send(self, pack: Action) -> None:
        """Write an action of which no answer is expected."""
        data = render_action(pack)
        self._open_transport().write(data)

    def _open_transport(self) -> asyncio.Transport:
        if self._transport is None or self._transport.is_closing():
            raise PbxUnavailable(self._failure.detail)
        return self._transport

    # -- hearing -------------------------------------------------------------------------------

    def add_event_listener(
        self, listener: Listener, names: Iterable[str] | None = None, **rules: Any
    ) -> Callable[[], None]:
        """Call ``listener(event)`` for events with these names (None: all that are delivered).

        ``rules`` are the library's: ``black_list`` and header names with a value, a pattern or a
        list of them. A listener may be async; each one gets its events one after the other.
        Returns a function that removes it. Raises ValueError for a name that the client's own
        filter drops, since that listener would wait for ever.
        """
        names = None if names is None else frozenset([names] if isinstance(names, str) else names)
        if names and self._events is not None and names - self._events:
            raise ValueError(f"events not in this client's filter: {sorted(names - self._events)}")
        subscription = Subscription(listener, names, self._backlog, **rules)
        super().add_event_listener(subscription)
        self._routes.clear()
        return lambda: self.remove_event_listener(subscription)

    def remove_event_listener(self, event_listener: Subscription) -> None:
        """Call this listener no more; removing it twice is no error."""
        if event_listener in self._event_listeners:
            super().remove_event_listener(event_listener)
            self._routes.clear()
            event_listener.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes came: read every packet that is whole (asyncio)."""
        self._heard_at = self._loop.time()
        for packet in self._next_pack(data):
            if packet.startswith("Event: "):  # nearly all; saves a call for each
                self.fire_recv_event(parse_event(packet))
            else:
                self.fire_recv_pack(packet)
        if self._backlog.size:
            self._regulate()

    def _next_pack(self, data: bytes) -> list[str]:
        if self._ami_version is None:
            data = self._read_banner(data)
            if self._ami_version is None:
                return []
        try:
            packets = self._stream.feed(data)
        except PacketTooLong as error:
            self._abort(str(error))
            return []
        if not packets:
            return []
        if self._filter is None:
            return split_packets(packets)
        return select_packets(packets, self._filter, self._own_ids)

    def fire_recv_pack(self, pack: str) -> None:
        """Read one packet and hand it to those who wait for it."""
        if pack.startswith("Event: "):
            self.fire_recv_event(parse_event(pack))
            return
        packet = parse_packet(pack)
        if isinstance(packet, Event):
            self.fire_recv_event(packet)
        elif isinstance(packet, Response):
            self.fire_recv_reponse(packet)
        elif pack.strip("\r\n"):
            self._fire_on_unknown(pack=pack)

    def fire_recv_reponse(self, response: Response) -> None:  # the library's spelling
        """Hand a response to the action that waits for it."""
        self._fire_on_response(response=response)
        self._futures.answer(response)

    def fire_recv_event(self, event: Event) -> None:
        """Hand an event to the list that collects it, or to its listeners."""
        if self._listeners:
            self._fire_on_event(event=event)
        action_id = event.keys.get("ActionID")
        if action_id is not None and action_id.startswith(self._id_prefix):
            # A list's late events, after it was given up, are nobody's.
            if self._futures.collect(event, action_id) or action_id.endswith(LIST_ID):
                return
            if self._events is not None and event.name not in self._events:
                return
        routes = self._routes.get(event.name)
        if routes is None:
            routes = self._route(event.name)
        for subscription in routes:
            subscription.deliver(event)

    def _route(self, name: str) -> tuple[Subscription, ...]:
        routes = tuple(sub for sub in self._event_listeners if sub.check_event_name(name))
        self._routes[name] = routes
        return routes
