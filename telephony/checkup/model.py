"""What the checks of ``hotline doctor`` share: a verdict, and the PBX as they ask about it."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from telephony.errors import HotlineError, PbxRefused

if TYPE_CHECKING:
    from telephony.ami_client import AmiClient
    from telephony.settings import Settings

State = Literal["ok", "warning", "wrong"]

Config = dict[str, list[tuple[str, str]]]
"""A configuration file of the PBX: category -> its lines as key and value, in order."""


@dataclass(frozen=True, slots=True)
class Words:
    """What is said to people, in English and in Chinese; both or neither."""

    en: str = ""
    zh: str = ""

    def __bool__(self) -> bool:
        return bool(self.en)


NOTHING = Words()
SEE_AMI = Words("see the line ami", "见“与交换机的连接”（ami）一项")
SEE_DATABASE = Words("see the line database", "见“数据库”（database）一项")
SEE_DIALPLAN = Words("see the line dialplan", "见“拨号方案”（dialplan）一项")
FIRST_THAT = Words("mend that first, then run the doctor again", "先排除这个问题，再重新检查")


class NotChecked(HotlineError):
    """A check could not be made; the detail says why, ``todo`` what would allow it."""

    code = "not-checked"
    title = "Not checked"

    def __init__(self, detail: str, todo: Words = FIRST_THAT) -> None:
        super().__init__(detail)
        self.todo = todo


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found, and what to do about it; ``means`` where it is not the check's own."""

    state: State
    found: str
    todo: Words = NOTHING
    means: Words = NOTHING


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    name: str
    state: State
    found: str
    means: str
    todo: str
    means_zh: str
    todo_zh: str


@dataclass(frozen=True, slots=True)
class Check:
    """A check by its name, what it means for callers, and how it is made."""

    name: str
    means: Words
    run: Callable[[Patient], Awaitable[Verdict]]
    needs_link: bool = True


@dataclass(slots=True)
class Patient:
    """One PBX and its record, as the settings name them; ``client`` is None without a link.

    ``actions`` are the AMI actions that our user may send, with Asterisk's own words about them
    (``ListCommands`` lists only those). ``test_call`` allows one call that no phone hears.
    """

    settings: Settings
    client: AmiClient | None = None
    actions: dict[str, str] = field(default_factory=dict)
    test_call: bool = False

    @property
    def link(self) -> AmiClient:
        """The AMI link; raises :class:`NotChecked` without one."""
        if self.client is None:
            raise NotChecked("no link to the PBX", SEE_AMI)
        return self.client

    @property
    def is_here(self) -> bool:
        """Whether the PBX is on this machine, as far as its address tells."""
        host = self.settings.pbx.host
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return host in ("localhost", socket.gethostname())
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((host, 0))
            except OSError:  # not an address of ours
                return False
        return True

    async def value(self, expression: str) -> str:
        """A dialplan function or variable outside of any channel; "" when there is none."""
        return (await self.link.action("Getvar", {"Variable": expression})).get("Value")

    async def loaded(self, modules: Iterable[str]) -> dict[str, bool]:
        """Which of these modules the PBX has loaded."""
        names = list(modules)
        self.must_be_allowed("ModuleCheck", "system")
        asks = [self.link.submit("ModuleCheck", {"Module": name}) for name in names]
        answers = await asyncio.gather(*asks, return_exceptions=True)
        result = {}
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, BaseException) and not isinstance(answer, PbxRefused):
                raise answer
            result[name] = not isinstance(answer, PbxRefused)
        return result

    async def config(self, file: str, category: str = "") -> Config | None:
        """A configuration file as it lies on the PBX's disk; None when there is no such file.

        Raises :class:`NotChecked` when our rights do not allow to read it.
        """
        self.must_be_allowed("GetConfig", "system")
        headers = {"Filename": file} | ({"Category": category} if category else {})
        try:
            answer = await self.link.action("GetConfig", headers)
        except PbxRefused as error:
            if "not found" in error.detail or "no such" in error.detail.lower():
                return None
            raise
        return _config(answer.keys)

    def must_be_allowed(self, action: str, right: str) -> None:
        """Raise :class:`NotChecked` when our AMI user may not send this action."""
        if action not in self.actions:
            raise NotChecked(
                f"our AMI user lacks the write right {right} ({action})",
                Words("see the line rights", "见“AMI 权限”（rights）一项"),
            )


def _config(headers: dict[str, str]) -> Config:
    names: dict[str, str] = {}
    config: Config = {}
    for header, value in headers.items():
        kind, _, number = header.partition("-")
        if kind == "Category":
            names[number] = value
            config.setdefault(value, [])
        elif kind == "Line":
            key, _, rest = value.partition("=")
            lines = config[names[number.partition("-")[0]]]
            lines.append((key.strip(), rest.removeprefix(">").strip()))
    return config


def setting(config: Config, category: str, key: str) -> str:
    """The last value of a key, as Asterisk takes it; "" when it is not there."""
    values = [value for name, value in config.get(category, []) if name.lower() == key]
    return values[-1] if values else ""


def ok(found: str) -> Verdict:
    """All is well."""
    return Verdict("ok", found)


def warning(found: str, todo: Words, means: Words = NOTHING) -> Verdict:
    """Calls work, but something is not as it should be, or could not be checked."""
    return Verdict("warning", found, todo, means)


def wrong(found: str, todo: Words, means: Words = NOTHING) -> Verdict:
    """Callers or the record suffer."""
    return Verdict("wrong", found, todo, means)


def is_true(value: str) -> bool:
    """Asterisk's idea of yes."""
    return value.lower() in ("yes", "true", "y", "t", "1", "on")
