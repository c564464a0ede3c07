"""What a person may be, what a password must be, and how long one waits after wrong ones. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from telephony.errors import HotlineError, InvalidValue, NotFound, WrongState
from telephony.setting_types import Role

NAME = re.compile(r"\w[\w.-]{0,31}")
LONGEST_PASSWORD = 200
DIFFERENT = 5
"""So many different characters a password has at least."""
FORGOTTEN_AFTER = timedelta(hours=1)
"""Wrong passwords count together unless so long passes without one."""
KNOWN_FOR = timedelta(days=30)
"""Where a name has signed in within so long, others' wrong passwords do not keep it out."""
WIDER = 4
"""A name over all addresses, and an address over all names, may fail so many times as often."""
PAGES: tuple[tuple[Role, str], ...] = (
    ("admin", "/admin"),
    ("supervisor", "/console"),
    ("agent", "/desk"),
    ("auditor", "/console"),
    ("integrator", "/admin"),
)


class PersonNotFound(NotFound):
    """Nobody with this name may sign in."""

    code = "person-not-found"
    title = "No such person"


class PersonExists(WrongState):
    """Somebody has this name already."""

    code = "person-exists"
    title = "The name is taken"


class LastAdmin(WrongState):
    """Nobody could change people any more."""

    code = "last-admin"
    title = "The last admin stays"


class PersonInvalid(InvalidValue):
    """Something about a person cannot be; ``extra['field']`` names what."""

    code = "person-invalid"
    title = "This person cannot be so"


class PasswordWeak(InvalidValue):
    """A new password that is too easily guessed; ``extra['rule']`` says which rule it breaks."""

    code = "password-weak"
    title = "The password is too weak"


class WrongPassword(InvalidValue):
    """The present password was given wrongly by somebody who is signed in."""

    code = "wrong-password"
    title = "The password is wrong"


class SignInRefused(HotlineError):
    """Name or password are wrong, or the person may not sign in any more; which is not said."""

    code = "sign-in-refused"
    status = 401
    title = "Name or password is wrong"


class TooManyTries(HotlineError):
    """Too many wrong passwords; ``extra['wait_s']`` says for how many seconds no more are read."""

    code = "locked-out"
    status = 429
    title = "Too many wrong passwords"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in. ``sees_numbers`` None: as the roles say."""

    name: str
    display_name: str
    roles: tuple[Role, ...]
    agent: str | None = None
    department: str = ""
    active: bool = True
    may_monitor: bool = False
    sees_numbers: bool | None = None

    @property
    def page(self) -> str:
        """Where the person's work is."""
        return next(page for role, page in PAGES if role in self.roles)


def name_of(typed: str) -> str:
    """A name in the one spelling in which it is stored: width and case do not matter."""
    return unicodedata.normalize("NFKC", typed).strip().casefold()


def check_person(person: Person, phones: Collection[str]) -> None:
    """Raise :class:`PersonInvalid` for what cannot be.

    ``phones`` are the extensions of the settings' agents and supervisors; without any, none is
    looked for.
    """
    if not NAME.fullmatch(person.name):
        rule = "1 to 32 letters, digits, dots and hyphens, beginning with a letter or digit"
        raise PersonInvalid(f"a name is {rule}", field="name")
    if person.name in phones and person.agent != person.name:
        # The record would take what this person does for what that agent did.
        raise PersonInvalid(f"{person.name} is somebody's phone; take another name", field="name")
    if not person.display_name.strip():
        raise PersonInvalid("what others call this person must not be empty", field="display_name")
    for field, value in (("display_name", person.display_name), ("department", person.department)):
        if any(one in value for one in "\r\n\x00"):
            raise PersonInvalid("must be one line without control characters", field=field)
    if not person.roles:
        raise PersonInvalid("a person has at least one role", field="roles")
    if person.agent is None and "agent" in person.roles:
        raise PersonInvalid("the role agent needs the number of an agent's phone", field="agent")
    if person.agent is not None and phones and person.agent not in phones:
        known = ", ".join(sorted(phones))
        raise PersonInvalid(
            f"no phone {person.agent} in the settings; there are: {known}", field="agent"
        )
    if person.may_monitor and not {"supervisor", "admin"} & set(person.roles):
        raise PersonInvalid("only supervisors and admins may listen to calls", field="may_monitor")
    if person.sees_numbers and "auditor" in person.roles and not _works(person):
        raise PersonInvalid("an auditor sees numbers masked", field="sees_numbers")


def _works(person: Person) -> bool:
    return bool({"agent", "supervisor", "admin"} & set(person.roles))


def check_password(password: str, name: str, shortest: int) -> None:
    """Raise :class:`PasswordWeak` unless it is long enough and not easily guessed."""
    if len(password) < shortest:
        raise PasswordWeak(f"a password has at least {shortest} characters", rule="short")
    if len(password) > LONGEST_PASSWORD:
        raise PasswordWeak(f"a password has at most {LONGEST_PASSWORD} characters", rule="long")
    if len(set(password)) < DIFFERENT:
        raise PasswordWeak(f"at least {DIFFERENT} of its characters differ", rule="uniform")
    if len(name) >= DIFFERENT - 2 and name in name_of(password):
        raise PasswordWeak("it must not contain the name", rule="name")


def wait_after(failures: int, allowed: int, first_s: int, longest_s: int) -> int:
    """Seconds until the next password is read after so many wrong ones in a row."""
    if failures < allowed:
        return 0
    doubled: int = first_s << min(failures - allowed, 20)
    return min(longest_s, doubled)


def counted(name: str, address: str, tries: int) -> dict[str, int]:
    """What a wrong password counts against, the narrowest first, and how many each may have."""
    known = digest_of(name)
    return {
        f"both {known} {address}": tries,
        f"name {known}": tries * WIDER,
        f"address {address}": tries * WIDER,
    }


def known_at(name: str, address: str) -> str:
    """Under what it is kept that a name has signed in from an address."""
    return f"known {digest_of(name)} {address}"


def digest_of(name: str) -> str:
    """What is kept of a name that was typed: people type their password there by mistake."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def in_order(roles: Iterable[str]) -> tuple[Role, ...]:
    """Roles without doubles, the one with the most work first."""
    wanted = set(roles)
    return tuple(role for role, _ in PAGES if role in wanted)


def next_failures(before: int, last: datetime | None, now: datetime) -> int:
    """How many wrong passwords in a row there are with this one."""
    return before + 1 if last is not None and now - last < FORGOTTEN_AFTER else 1
