"""Delivers what the outbox holds to other platforms: signed, in order per case, until it arrives.

Each platform has a task of its own, so one that is slow or down holds up nobody else. While it
cannot be reached only one message at a time is tried; when that one arrives, all that wait go out.
A message whose sender died, after the other side had it and before we noted it, goes out again
with the same key: the other side takes it once.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import httpx
import orjson
import structlog

from telephony import logs
from telephony.errors import DatabaseUnavailable
from telephony.orders.signing import HEADER, KEY_HEADER, PLATFORM_HEADER, sign

if TYPE_CHECKING:
    from telephony.orders.outbox import Message, Outbox
    from telephony.orders.settings import Outbox as Limits
    from telephony.orders.settings import Platform
    from telephony.settings import Settings

log = structlog.get_logger(__name__)

FORMAT = 1
POLL_S = 1.0
TIDY_S = 3600.0
COUNT_S = 10.0
RETRY_S = 2.0
LONGEST_ANSWER = 64 * 1024
AWAY = frozenset({408, 425, 429, 502, 503, 504})
"""HTTP statuses that say: nobody's messages now, later."""
FINAL = frozenset({400, 409, 410, 413, 415, 422})
"""HTTP statuses that the same message gets again however often it is sent."""
REPLAYED = "order-replayed"
"""The other side had exactly this message before, and took it."""

Fate = Literal["delivered", "away", "failed", "refused"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt; ``after_s``: the other side asked for so many seconds of rest."""

    fate: Fate
    error: str = ""
    after_s: float = 0.0

    @property
    def away(self) -> bool:
        """Whether it was nobody's message's fault."""
        return self.fate == "away"


class Delivery:
    """The senders of one process.

    ``waiting`` and ``dead`` are how many messages were in the outbox lately.
    """

    def __init__(
        self,
        outbox: Outbox,
        settings: Settings,
        *,
        poll_s: float = POLL_S,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self.waiting = 0
        self.dead = 0
        self._outbox = outbox
        self._platforms = {one.id: one for one in settings.platforms}
        self._limits: Limits = settings.outbox
        self._poll_s = poll_s
        self._luck = luck
        self._me = uuid4().hex
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to deliver; a database or platform that is away is waited for."""
        for platform in self._platforms.values():
            name = f"outbox {platform.id}"
            self._tasks.append(asyncio.create_task(self._serve(platform), name=name))
        self._tasks.append(asyncio.create_task(self._keep_house(), name="outbox"))

    async def stop(self) -> None:
        """Stop; what was being sent goes out again at the next start, with the same key."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self._tasks:
            return
        self._tasks.clear()
        try:
            await self._outbox.let_go(by=self._me)
        except DatabaseUnavailable:
            log.info("messages being sent are tried again when their lease has run out")

    async def _serve(self, platform: Platform) -> None:
        while True:
            try:
                # One client for each life of this task: a new CA file is read, connections close.
                # Made in a thread: reading who signs certificates takes 150 ms.
                async with await asyncio.to_thread(_client, platform) as client:
                    await self._deliver(platform, client)
            except DatabaseUnavailable as error:
                log.warning("messages wait for the database", reason=error.detail)
            except Exception as error:  # noqa: BLE001 - what is undelivered is tried again
                logs.unexpected(log, "delivery failed and starts anew", error)
            await asyncio.sleep(RETRY_S)

    async def _deliver(self, platform: Platform, client: httpx.AsyncClient) -> None:
        failures = 0
        lease_s = 2 * platform.timeout_s + 1
        while True:
            limit = 1 if failures else self._limits.at_once
            found = await self._outbox.claim(platform.id, by=self._me, limit=limit, lease_s=lease_s)
            if not found:
                await asyncio.sleep(self._poll_s)
                continue
            away = [one for one in await self._try_all(platform, client, found) if one.away]
            if away:
                failures += 1
                rest = max([self._pause(failures), *(one.after_s for one in away)])
                log.warning(
                    "a platform cannot be reached",
                    platform=platform.id,
                    error=away[0].error,
                    again_s=round(rest, 1),
                )
                await asyncio.sleep(min(rest, self._limits.longest_retry_s))
            elif failures:
                failures = 0
                log.info("a platform is back", platform=platform.id)
                await self._outbox.wake(platform.id)

    async def _try_all(
        self, platform: Platform, client: httpx.AsyncClient, found: list[Message]
    ) -> list[Outcome]:
        tries = (self._try(platform, client, one) for one in found)
        # All of them end before an error of one counts: the client is theirs.
        tried = await asyncio.gather(*tries, return_exceptions=True)
        outcomes = []
        for one in tried:
            if isinstance(one, BaseException):
                raise one
            outcomes.append(one)
        return outcomes

    async def _try(
        self, platform: Platform, client: httpx.AsyncClient, message: Message
    ) -> Outcome:
        """Send once, and note what came of it."""
        outcome = await _send(platform, client, message)
        told = {"platform": platform.id, "kind": message.kind, "message": message.id}
        if outcome.fate == "delivered":
            await self._outbox.delivered(message, by=self._me)
            log.info("message delivered", **told, attempts=message.attempts)
        elif outcome.fate == "refused" or message.attempts >= self._limits.attempts:
            await self._outbox.given_up(message, by=self._me, error=outcome.error)
            log.error("message given up", **told, error=outcome.error, attempts=message.attempts)
        else:
            again_s = max(self._pause(message.attempts), outcome.after_s)
            again_s = min(again_s, self._limits.longest_retry_s)
            await self._outbox.failed(message, by=self._me, error=outcome.error, again_s=again_s)
        return outcome

    def _pause(self, attempts: int) -> float:
        """Seconds until the next attempt: twice as long each time, and never all at once."""
        limits = self._limits
        longest = min(limits.longest_retry_s, limits.first_retry_s * 2.0 ** min(attempts - 1, 40))
        return longest * (0.5 + self._luck() / 2)

    async def _keep_house(self) -> None:
        tidied = -TIDY_S
        clock = asyncio.get_running_loop().time
        while True:
            try:
                if clock() - tidied >= TIDY_S:
                    days = self._limits.keep_days
                    strange = await self._outbox.tidy(list(self._platforms), keep_days=days)
                    tidied = clock()
                    if strange:
                        log.warning("messages for platforms not in the settings", count=strange)
                counts = await self._outbox.counts()
                self.waiting, self.dead = counts["waiting"], counts["dead"]
            except DatabaseUnavailable:
                pass  # told of by who delivers
            except Exception as error:  # noqa: BLE001 - figures are counted again
                logs.unexpected(log, "the outbox was not counted", error)
            await asyncio.sleep(COUNT_S)


def letter(message: Message) -> bytes:
    """A message as it travels: the same bytes at each attempt."""
    told = {
        "version": FORMAT,
        "id": message.key,
        "kind": message.kind,
        "case": message.case,
        "sequence": message.sequence,
        "at": message.created_at.astimezone(UTC),
        "data": message.body,
    }
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def _client(platform: Platform) -> httpx.AsyncClient:
    trust = (
        True
        if platform.ca_file is None
        else ssl.create_default_context(cafile=str(platform.ca_file))
    )
    # No proxy and no redirect: what is signed for one address is sent to that address.
    return httpx.AsyncClient(
        verify=trust, trust_env=False, follow_redirects=False, timeout=platform.timeout_s
    )


async def _send(platform: Platform, client: httpx.AsyncClient, message: Message) -> Outcome:
    body = letter(message)
    at = int(datetime.now(UTC).timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "hotline",
        PLATFORM_HEADER: platform.own_id,
        KEY_HEADER: message.key,
        HEADER: sign(body, platform.secret_texts, at),
    }
    try:
        # Well before the lease runs out, whatever the other side does in between.
        async with asyncio.timeout(platform.timeout_s):
            request = client.stream("POST", platform.url, content=body, headers=headers)
            async with request as answer:
                return _outcome(answer, await _code(answer))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
        return Outcome("away", type(error).__name__)


def _outcome(answer: httpx.Response, code: str) -> Outcome:
    status = answer.status_code
    said = f"HTTP {status} {code}".strip()
    if answer.is_success or (status == 409 and code == REPLAYED):
        return Outcome("delivered")
    if status in AWAY:
        after = answer.headers.get("retry-after", "")
        return Outcome("away", said, float(after) if re.fullmatch(r"[0-9]{1,6}", after) else 0.0)
    return Outcome("refused" if status in FINAL else "failed", said)


async def _code(answer: httpx.Response) -> str:
    """The stable code of a problem document; what else it says may hold a citizen's number."""
    if answer.is_success:
        return ""
    read = b""
    async for part in answer.aiter_bytes():
        read += part
        if len(read) > LONGEST_ANSWER:
            return ""
    try:
        code = orjson.loads(read).get("code")
    except (ValueError, AttributeError):
        return ""
    return code if isinstance(code, str) and re.fullmatch(r"[a-z-]{1,40}", code) else ""
