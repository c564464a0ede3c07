"""What comes from other platforms, before it is believed: signature, time, format; then the book.

What is refused is logged, counted and in the audit log, so that somebody who tries is seen. Nothing
that was sent is logged but the platform's name and the order's number.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter
from pydantic import ValidationError

from telephony import audit
from telephony.errors import DatabaseUnavailable, HotlineError, InvalidValue
from telephony.orders.format import LETTERS
from telephony.orders.signing import PLATFORM_HEADER, SignatureWrong, verify
from telephony.orders.teller import PLATFORM
from telephony.plain_words import in_plain_words

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from telephony.database import Database
    from telephony.orders.book import OrdersBook, Received
    from telephony.orders.format import AnyLetter
    from telephony.settings import Settings

log = structlog.get_logger(__name__)

AUDITED_A_MINUTE = 60
"""Of refused messages; who sends more fills neither the log nor the database."""
_NOBODY = ["nobody signs with this, but it takes as long"]
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")


class LetterInvalid(InvalidValue):
    """Signed, but no message of the published format; ``fields`` says where and why."""

    code = "request-invalid"
    title = "The message is not valid"

    def __init__(self, fields: list[dict[str, str]]) -> None:
        super().__init__("; ".join(f"{one['field']}: {one['message']}" for one in fields))
        self.fields = fields


class OrdersIntake:
    """The door for other platforms."""

    def __init__(
        self,
        book: OrdersBook,
        database: Database,
        settings: Settings,
        registry: CollectorRegistry,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._book = book
        self._database = database
        self._platforms = {one.id: one for one in settings.platforms}
        self._now = now
        self._audited: deque[float] = deque(maxlen=AUDITED_A_MINUTE)
        self._refused = Counter(
            "hotline_orders_refused", "Messages of platforms refused", ["code"], registry=registry
        )

    async def take(
        self, *, name: str | None, signature: str | None, key: str | None, body: bytes
    ) -> Received:
        """Take a message: the headers of it, and its body as it came.

        Raises :class:`SignatureWrong`, :class:`SignatureExpired`, :class:`LetterInvalid`, and as
        :meth:`telephony.orders.book.OrdersBook.receive`.
        """
        number = ""
        try:
            platform = self._platforms.get(name or "")
            known = platform.secret_texts if platform is not None else _NOBODY
            tolerance_s = platform.tolerance_s if platform is not None else 1
            right = verify(signature, body, known, now=self._now(), tolerance_s=tolerance_s)
            if platform is None:
                raise SignatureWrong(f"{PLATFORM_HEADER} names no platform of ours")
            letter = _letter(body, key)
            number = letter.data.order
            return await self._book.receive(platform, letter, body=body, signature=right)
        except DatabaseUnavailable:
            raise
        except HotlineError as error:
            await self._note(name or "", error.code, number)
            raise

    async def _note(self, name: str, code: str, number: str) -> None:
        self._refused.labels(code).inc()
        now = self._now()
        full = len(self._audited) == AUDITED_A_MINUTE
        if full and now - self._audited[0] < 60:
            return
        self._audited.append(now)
        who = name if _NAME.fullmatch(name) else "unknown"
        log.warning("message refused", platform=who, code=code)
        which = f"{code} {number}".strip()
        try:
            await audit.note(
                self._database, who=who, role=PLATFORM, what="order-refused", which=which
            )
        except DatabaseUnavailable as error:
            log.warning("a refused message is not in the audit log", reason=error.detail)


def _letter(body: bytes, key: str | None) -> AnyLetter:
    try:
        letter = LETTERS.validate_json(body)
    except ValidationError as error:
        raise LetterInvalid(
            [
                {
                    "field": ".".join(str(part) for part in item["loc"]),
                    "message": in_plain_words(item, unknown="is not known here"),
                }
                for item in error.errors(include_input=False)
            ]
        ) from None
    if key is not None and key != letter.id:
        raise LetterInvalid([{"field": "id", "message": "is not the Idempotency-Key"}])
    return letter
