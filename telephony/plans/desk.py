"""What an admin asks about dialplans, for the command line and HTTP alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from telephony.ami_client import AmiClient
from telephony.dialplan import DialplanError
from telephony.plans.diff import PlanDiff, compare_with
from telephony.plans.load import NAMED, Loader
from telephony.plans.running import running_steps
from telephony.plans.steps import Steps, compare, contexts_of
from telephony.plans.versions import Files, Unfinished, Version, Versions
from telephony.plans.wanted import extension_steps, wanted
from telephony.plans.ways import NotReachable, way_to

if TYPE_CHECKING:
    from telephony.plans.findings import Findings
    from telephony.settings import Settings


@dataclass(frozen=True, slots=True)
class PlanState:
    """How the dialplan of a PBX stands.

    ``way``: how it would be loaded, "" when ``no_way`` says why not. ``running``: the newest kept
    version that is what the PBX runs, None when it runs something else. ``unfinished``: a load that
    has begun; it is under way (``busy``) or was cut off.
    """

    way: str
    no_way: str
    running: int | None
    unfinished: Unfinished | None
    busy: bool
    versions: tuple[Version, ...]


def versions_of(settings: Settings) -> Versions:
    """The versions of the PBX of these settings."""
    return Versions(settings.dialplan.versions, settings.pbx.name, settings.dialplan.keep)


def last_files(versions: Versions) -> Files:
    """The files that were loaded last, as far as is known here."""
    last = versions.standing()
    return versions.files(last.number) if last else {}


async def differences_now(settings: Settings, client: AmiClient) -> PlanDiff:
    """What the PBX runs against what would be loaded now. Raises as :func:`compare_with`."""
    files = await asyncio.to_thread(wanted, settings)
    before = last_files(versions_of(settings))
    return await compare_with(client, files, before, settings.trunk_context)


async def state_now(settings: Settings, client: AmiClient, actions: Iterable[str]) -> PlanState:
    """How the dialplan stands, with its versions. Raises :class:`PbxUnavailable`."""
    versions = versions_of(settings)
    history = versions.history()
    way, no_way = "", ""
    try:
        found = way_to(settings, client, actions)
        found.check_rights()
        way = found.name
    except NotReachable as error:
        no_way = error.detail
    return PlanState(
        way=way,
        no_way=no_way,
        running=await running_version(settings, client, versions, history),
        unfinished=versions.unfinished(),
        busy=versions.busy(),
        versions=tuple(history),
    )


async def running_version(
    settings: Settings, client: AmiClient, versions: Versions, history: Iterable[Version]
) -> int | None:
    """The newest kept version whose steps are those that the PBX runs, or None."""
    running = await running_steps(client)
    kept = [one for one in history if one.files]
    # Reading many of them takes a second: a service has calls to look after.
    return await asyncio.to_thread(_same_as, running, versions, kept, settings.trunk_context)


def _same_as(
    running: Steps, versions: Versions, kept: Iterable[Version], shared: str
) -> int | None:
    asked = set()
    for one in kept:
        if one.sha256 in asked:
            continue
        asked.add(one.sha256)
        steps = extension_steps(versions.files(one.number))
        names = set(contexts_of(steps))
        theirs = {place: step for place, step in running.items() if place[0] in names}
        if not compare(steps, theirs, shared):
            return one.number
    return None


@asynccontextmanager
async def linked(settings: Settings) -> AsyncIterator[tuple[AmiClient, list[str]]]:
    """A link of one's own to the PBX, and the actions that our user may send there.

    Raises :class:`~telephony.errors.PbxUnavailable`.
    """
    client = AmiClient.from_settings(settings.pbx, events=[])
    await client.start()
    try:
        await client.wait_up(settings.pbx.action_timeout_s)
        yield client, await allowed(client)
    finally:
        await client.stop()


async def allowed(client: AmiClient) -> list[str]:
    """The actions that our user may send."""
    answer = await client.action("ListCommands")
    return [name for name, about in answer.keys.items() if "(Priv:" in about]


def loader_of(settings: Settings, client: AmiClient, actions: Iterable[str]) -> Loader:
    """The loader, with the check that goes before every load."""

    async def check_first(files: Files) -> None:
        findings = await asyncio.to_thread(_checked, files, settings)
        if not findings.ok:
            raise CheckFailed(findings)

    return Loader(settings, client, actions, check_first)


class CheckFailed(DialplanError):
    """The check found what must not be loaded; ``findings`` are all that it found."""

    code = "dialplan-check-failed"
    status = 422
    title = "The dialplan was not loaded: the check found errors"

    def __init__(self, findings: Findings) -> None:
        errors = [str(one) for one in findings.errors]
        more = f"; and {len(errors) - NAMED} more" if len(errors) > NAMED else ""
        super().__init__(f"nothing was loaded: {'; '.join(errors[:NAMED])}{more}")
        self.findings = findings


async def examined(settings: Settings, drafts: Mapping[str, str] | None = None) -> Findings:
    """Everything that is known to go wrong with dialplans, or with what would be loaded.

    Raises :class:`~telephony.errors.SetupError` when there is no Asterisk to ask.
    """

    def look() -> Findings:
        if drafts is None:
            return _checked(wanted(settings), settings)
        return _checked(drafts, settings, list(drafts))

    return await asyncio.to_thread(look)


def _checked(files: Mapping[str, str], settings: Settings, roots: Sequence[str] = ()) -> Findings:
    # It brings much that nothing else of a service needs.
    from telephony.plans.check import check

    return check(files, settings, roots)
