"""Passwords, kept as argon2id hashes only (RFC 9106; pwdlib's recommended costs)."""

from __future__ import annotations

import secrets
from functools import cache

from pwdlib import PasswordHash

_hash = PasswordHash.recommended()


def hashed(password: str) -> str:
    """The hash that is stored. Takes a fifth of a second on purpose: not for an event loop."""
    return _hash.hash(password)


def verified(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Whether the password is right, and a newer hash of it if the stored one is of older costs.

    Without a stored hash it takes as long and is wrong: nobody learns by the clock who there is.
    """
    right, newer = _hash.verify_and_update(password, stored or _nobody())
    return (right, newer) if stored is not None else (False, None)


def invented() -> str:
    """A password that nobody can guess."""
    return secrets.token_urlsafe(12)


@cache
def _nobody() -> str:
    return _hash.hash(secrets.token_urlsafe(32))
