"""Keeping a link to one PBX up: connect, greet, sign in, watch for silence, come back.

The link half of :class:`telephony.ami_client.AmiClient`. It takes the place of asterisk-ami's
socket, reader thread and ``AutoReconnect``, which do not survive an idle PBX, a reset or a link
that falls silent.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import random
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, cast

import structlog

from telephony.ami.actions import PendingActions
from telephony.ami.listeners import Backlog, IsolatedHooks
from telephony.ami.packets import PacketStream
from telephony.errors import HotlineError, PbxRefused, PbxUnavailable

Hook = Callable[[], Awaitable[object] | object]

BANNER_LIMIT = 512
BOOT_NOTICE_S = 0.05
"""How long a login waits for FullyBooted, which a PBX that is up sends at once."""
CLOSE_S = 0.5
"""How long a closing link may take to send what is still to be sent."""

log = structlog.get_logger(__name__)


class LinkRefused(PbxUnavailable):
    """The PBX is there but does not let us in: a wrong secret, or a certificate not trusted."""


def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """TLS with verification of certificate and host name, by ``ca_file`` or the system's CAs."""
    return ssl.create_default_context(cafile=ca_file)


class AmiLink(IsolatedHooks, asyncio.Protocol):
    """A link that keeps itself up; what travels on it is the subclass's."""

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        secret: str,
        *,
        tls: ssl.SSLContext | None,
        server_hostname: str | None,
        action_timeout: float,
        connect_timeout: float,
        ping_interval: float,
        ping_timeout: float,
        retry_first: float,
        retry_max: float,
        retry_refused: float,
        backlog_limit: int,
    ) -> None:
        super().__init__(address=host, port=port, timeout=action_timeout)
        self._where = f"The PBX at {host}:{port}"
        self._username, self._secret = username, secret
        self._tls, self._server_hostname = tls, server_hostname
        self._connect_timeout = connect_timeout
        self._ping_interval, self._ping_timeout = ping_interval, ping_timeout
        self._retry_first, self._retry_max = retry_first, retry_max
        self._retry_refused = retry_refused

        self._futures: PendingActions = PendingActions()
        self._backlog = Backlog(self._regulate)
        self._backlog_limit = backlog_limit
        self._id_prefix = f"hotline-{secrets.token_hex(4)}-"  # no two processes share it
        self._links = 0
        self._up_hooks: list[Hook] = []
        self._down_hooks: list[Hook] = []

        self.up = False
        self._signed_in = False
        self._supervisor: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failure = PbxUnavailable("The AMI client was not started")
        self._reason = ""  # why the link was lost
        self._banner = b""
        self._settled = asyncio.Event()  # up, or refused
        self._greeted = asyncio.Event()
        self._booted = asyncio.Event()
        self._lost = asyncio.Event()

    # -- for who uses it -----------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to keep the link up; returns at once (:meth:`wait_up` waits)."""
        if self._supervisor is None:
            self._failure = PbxUnavailable(f"{self._where} was not reached yet")
            self._settled.clear()
            self._supervisor = asyncio.create_task(self.listen(), name="ami-link")

    async def wait_up(self, timeout: float) -> None:  # noqa: ASYNC109 (kept on purpose)
        """Wait until the link is up and every ``on_up`` hook has run.

        Raises :class:`PbxUnavailable` with the reason when it is not within ``timeout`` seconds,
        and at once when the PBX refuses us or the client is not running.
        """
        try:
            async with asyncio.timeout(timeout):
                while not self.up:
                    if self._supervisor is None or isinstance(self._failure, LinkRefused):
                        raise type(self._failure)(self._failure.detail)
                    await self._settled.wait()
        except TimeoutError:
            raise PbxUnavailable(self._failure.detail) from None

    async def stop(self) -> None:
        """Close the link for good; leaves no task and no socket. Waiting actions fail."""
        supervisor, self._supervisor = self._supervisor, None
        self._failure = PbxUnavailable("The AMI client was stopped")
        self._settled.set()
        if supervisor is not None:
            self._reason = self._reason or "the client was stopped"
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)
        await self.disconnect()

    def on_up(self, hook: Hook) -> None:
        """Run ``hook()`` after each login, before :meth:`wait_up` returns: the time to ask the PBX
        what is true now. It runs again when a PBX that was still starting has fully booted."""
        self._up_hooks.append(hook)

    def on_down(self, hook: Hook) -> None:
        """Run ``hook()`` after each loss of a link that was up, before the next attempt."""
        self._down_hooks.append(hook)

    # -- the supervisor ------------------------------------------------------------------------

    async def listen(self) -> None:
        """Keep the link up until cancelled: sign in, run the hooks, wait for the loss, again."""
        failures, told = 0, ""
        while True:
            self._up_since = math.inf
            self._failure = await self._one_link()
            held = time.monotonic() - self._up_since  # -inf for a link that never was up
            # A link that is lost as soon as it is up must not be tried ten times a second.
            failures = 0 if held > self._retry_max else min(failures + 1, 10)
            pause = min(self._retry_first * 2**failures, self._retry_max)
            if isinstance(self._failure, LinkRefused):
                self._settled.set()
                pause = self._retry_refused
            if held >= 0 or told != self._failure.detail:  # once, not at every attempt
                log.warning("no link to the PBX, trying again", reason=self._failure.detail)
                told = self._failure.detail
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))

    async def _one_link(self) -> PbxUnavailable:
        """The life of one link from connecting to its loss; returns why it ended."""
        try:
            await self._sign_in()
            await self._stay_up()
        except PbxUnavailable as error:
            return error
        except Exception as error:
            log.exception("the AMI link failed")
            return PbxUnavailable(f"{self._where} cannot be used: {error}")
        finally:
            await self.disconnect()
            if self._up_since < math.inf and self._supervisor is not None:  # lost, not stopped
                await self._run_hooks(self._down_hooks)

    async def connect(self) -> None:
        """Open the link and wait for the PBX's greeting, within ``connect_timeout``.

        Raises :class:`PbxUnavailable`; :class:`LinkRefused` for a certificate not to be trusted.
        """
        self._loop = asyncio.get_running_loop()
        self._links += 1
        self._reason = ""
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._loop.create_connection(
                    lambda: self,
                    self._address,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._server_hostname if self._tls else None,
                )
                await self._while_linked(self._greeted.wait())
        except ssl.SSLCertVerificationError as error:
            raise LinkRefused(
                f"{self._where} has a certificate that is not trusted: {error.verify_message} "
                "Check the CA file (ami_ca_file) and that the certificate names this host"
            ) from None
        except TimeoutError:
            raise PbxUnavailable(
                f"{self._where} did not greet within {self._connect_timeout:g} s"
            ) from None
        except OSError as error:
            raise PbxUnavailable(
                f"{self._where} cannot be reached: {error.strerror or error}. "
                "Is Asterisk running, with enabled = yes in its manager.conf?"
            ) from None

    async def disconnect(self) -> None:
        """Close the link and wait until its socket is gone."""
        if self._transport is None:
            return
        self._transport.close()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._lost.wait()
        except TimeoutError:
            self._abort("it did not close in time")
            await self._lost.wait()

    async def _sign_in(self) -> None:
        await self._finish_last_link()
        await self.connect()
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self.login(self._username, self._secret)
        except TimeoutError:
            raise PbxUnavailable(
                f"{self._where} did not answer the login within {self._connect_timeout:g} s"
            ) from None
        except PbxRefused as error:
            raise LinkRefused(
                f"{self._where} refused the login of {self._username!r} "
                f"({error.detail.rpartition(': ')[2]}); compare ami_user, ami_secret and the "
                "permit lines with its manager.conf"
            ) from None
        self._signed_in = True

    async def _finish_last_link(self) -> None:
        """Let slow listeners hear the last link's events before hooks ask for the state of now."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._backlog.drained()
        except TimeoutError:
            log.warning("event listeners are slow: old events wait", waiting=self._backlog.size)

    async def _stay_up(self) -> NoReturn:
        """Run the hooks, be up, wait for the loss; raises :class:`PbxUnavailable` then."""
        self._up_since = time.monotonic()
        self._heard_at = self._loop.time()
        self._arm(self._heard_at + self._ping_interval)
        with suppress(TimeoutError):
            async with asyncio.timeout(BOOT_NOTICE_S):
                await self._booted.wait()
        while True:
            self._booted.clear()
            await self._while_linked(self._run_hooks(self._up_hooks))
            if not self.up:
                self.up = True
                self._failure = PbxUnavailable(f"{self._where} is gone")
                self._settled.set()
                log.info("linked to the PBX", host=self._address, port=self._port)
            await self._while_linked(self._booted.wait())

    async def _while_linked(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something; raises :class:`PbxUnavailable` as soon as the link is lost."""
        task, lost = asyncio.ensure_future(work), asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait({task, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            lost.cancel()
            await asyncio.gather(task, lost, return_exceptions=True)
        if not task.cancelled():
            task.result()
        if self._lost.is_set():
            raise PbxUnavailable(f"The link to {self._where[4:]} was lost: {self._reason}")

    async def _run_hooks(self, hooks: list[Hook]) -> None:
        for hook in list(hooks):
            try:
                result = hook()
                if inspect.isawaitable(result):
                    await result
            except Exception as error:
                # A hook that asked while the link went down has nothing wrong with it.
                expected = isinstance(error, HotlineError)
                log.error("hook failed", hook=repr(hook), error=str(error), exc_info=not expected)

    # -- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open (asyncio)."""
        self._transport = cast(asyncio.Transport, transport)
        self._stream = PacketStream()
        self._banner, self._ami_version = b"", None
        self._paused = False
        self._heard_at, self._pinged_at = self._loop.time(), -math.inf
        for event in (self._greeted, self._booted, self._lost):
            event.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed (asyncio): every waiting action fails now."""
        self._reason = self._reason or (str(exc) if exc else "the PBX closed it")
        self._transport = None
        self._signed_in = self.up = False
        self._settled.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._futures.fail_all(self._reason)
        self._lost.set()
        self._fire_on_disconnect(error=exc)

    def _abort(self, reason: str) -> None:
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()

    def _read_banner(self, data: bytes) -> bytes:
        """Wait for the greeting's line; returns the bytes after it."""
        self._banner += data
        line, crlf, rest = self._banner.partition(b"\r\n")
        if not crlf and len(line) < BANNER_LIMIT:
            return b""
        match = self.asterisk_start_regex.match(self._decode_pack(line))
        if match is None:
            self._abort("what answers there is no Asterisk manager; is the port right?")
            return b""
        self._ami_version = match.group("version")
        self._greeted.set()
        self._fire_on_connect()
        return rest

    # -- time ----------------------------------------------------------------------------------

    def _arm(self, when: float) -> None:
        """Sweep no later than at this time; there is one timer for everything."""
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = self._loop.time()
        check_at = self._watch(now) if self._signed_in else math.inf
        next_at = min(self._futures.expire(now), check_at)
        if next_at < math.inf and self._transport is not None:
            self._arm(next_at)

    def _watch(self, now: float) -> float:
        """Ask a silent PBX whether it is there, and give up a link that stays silent."""
        if self._transport is None or self._transport.is_closing():
            return math.inf
        unsent = self._transport.get_write_buffer_size()
        if self._paused:
            self._heard_at = now  # it is we who do not listen
        if self._pinged_at <= self._heard_at:
            if now < self._heard_at + self._ping_interval:
                return self._heard_at + self._ping_interval
            self._pinged_at, self._unsent = now, unsent
            self.send_ping()
        elif now >= self._pinged_at + self._ping_timeout:
            if unsent >= self._unsent:
                self._abort(f"the PBX was silent for {now - self._heard_at:.1f} s")
                return math.inf
            self._pinged_at, self._unsent = now, unsent  # it still takes what we send
        return self._pinged_at + self._ping_timeout

    # -- what the subclass knows ---------------------------------------------------------------

    def send_ping(self) -> None:
        """Ask for a sign of life."""
        raise NotImplementedError

    def _regulate(self) -> None:
        """Stop reading while slow listeners are too far behind, and go on when they caught up."""
        if self._transport is None or self._transport.is_closing():
            return
        # A listener that waits for the PBX's answer must get it, or nothing would move on.
        limit = self._backlog_limit * (10 if self._futures else 1)
        low = limit - 1 if self._futures else limit // 2
        if self._paused and self._backlog.size <= low:
            self._paused = False
            self._transport.resume_reading()
        elif not self._paused and self._backlog.size >= limit:
            self._paused = True
            self._transport.pause_reading()
            log.info("event listeners are slow: not reading on", waiting=self._backlog.size)
