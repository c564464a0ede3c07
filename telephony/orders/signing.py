"""Signed messages between platforms: HMAC-SHA256 over a time and the body, as sent (pure).

``Hotline-Signature: t=1795496800,v1=<hex>``: ``t`` is when it was signed, in whole seconds since
1970; ``v1`` is the HMAC-SHA256 (RFC 2104) of ``<t>.<body>``, the body byte for byte. While a secret
is being changed there may be a ``v1`` for each of several secrets; one that is right is enough.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from telephony.errors import HotlineError

HEADER = "Hotline-Signature"
PLATFORM_HEADER = "Hotline-Platform"
"""Who sends it, as the receiver calls them."""
KEY_HEADER = "Idempotency-Key"
LONGEST = 1024
_PARTS = re.compile(r"t=([0-9]{1,12})((?:,v1=[0-9a-f]{64}){1,8})")


class SignatureWrong(HotlineError):
    """No signature, or none that any secret of that platform makes."""

    code = "signature-wrong"
    status = 401
    title = "The signature is wrong"


class SignatureExpired(HotlineError):
    """Signed too long ago, or in the future: an old message, or clocks that differ."""

    code = "signature-expired"
    status = 401
    title = "The signature's time is too far from ours"


def sign(body: bytes, secrets: Sequence[str], at: int) -> str:
    """The header's value; ``at``: seconds since 1970. A signature for each of the secrets."""
    made = [f"v1={_digest(body, secret, at)}" for secret in secrets]
    return ",".join([f"t={at}", *made])


def verify(
    header: str | None, body: bytes, secrets: Sequence[str], *, now: float, tolerance_s: float
) -> str:
    """The signature that is right: by it a message that is sent twice is known.

    Takes the same time whichever secret is meant, and however much of a signature is right. Raises
    :class:`SignatureWrong`, and :class:`SignatureExpired` for a right one that was made longer than
    ``tolerance_s`` before or after ``now`` (seconds since 1970).
    """
    found = _PARTS.fullmatch((header or "")[:LONGEST])
    if found is None:
        raise SignatureWrong(f"send {HEADER}: t=<seconds since 1970>,v1=<HMAC-SHA256 as hex>")
    at = int(found[1])
    given = found[2].removeprefix(",v1=").split(",v1=")
    right = ""
    for secret in secrets:
        expected = _digest(body, secret, at)
        for one in given:
            if hmac.compare_digest(expected, one):
                right = expected
    if not right:
        raise SignatureWrong("no secret of this platform makes this signature of this body")
    if abs(now - at) > tolerance_s:
        apart = f"{abs(now - at):.0f} s {'ago' if now > at else 'ahead'}"
        raise SignatureExpired(f"signed {apart}; {tolerance_s:.0f} s are allowed: check the clocks")
    return right


def _digest(body: bytes, secret: str, at: int) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
