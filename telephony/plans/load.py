"""Load a dialplan on a PBX that serves people, prove that it is there, and take it back.

The order is always the same: check; keep what is there as a version; write; reload; read back from
the PBX what it has now (``ShowDialPlan``) and compare it step by step with what was sent. Whatever
goes wrong after the first write, the old one is put back by itself. Calls in progress go on: a
reload ends none, and each goes on at the next step of the place where it stands.

Before each of these steps a line about it is on disk (:class:`~telephony.plans.versions.
Unfinished`), so that after a crash it is known what was being done, and it is undone by the next
load, by ``hotline dialplan rollback`` or by the service as soon as the PBX is back.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from telephony.dialplan import DialplanError, is_edited
from telephony.errors import HotlineError, PbxUnavailable, WrongState
from telephony.plans.running import config_text, running_steps
from telephony.plans.steps import Difference, Steps, compare, contexts_of
from telephony.plans.versions import (
    Files,
    Unfinished,
    Version,
    VersionNotFound,
    Versions,
    VersionsUnusable,
    What,
)
from telephony.plans.wanted import EXTENSIONS, extension_steps, wanted
from telephony.plans.ways import (
    NotReachable,
    Way,
    modules_of,
    plain,
    same,
    way_to,
)

if TYPE_CHECKING:
    from telephony.ami_client import AmiClient
    from telephony.settings import Settings

log = structlog.get_logger(__name__)

RELOAD_LIMIT_S = 15.0
NEEDED = ("Reload", "ShowDialPlan", "GetConfig")
NAMED = 5
"""How many differences an error names."""

PROMISE = {
    "file": "The old files are back in its folder, so it has the old dialplan once it answers; "
    "`hotline doctor` says when",
    "ami": "`hotline dialplan rollback`, or the running service, puts the old one back once it "
    "answers; `hotline doctor` says which dialplan it has until then",
}

Check = Callable[[Files], Awaitable[None]]
"""Raises when the files must not be loaded."""


class ContextNotOurs(WrongState):
    """A context that would be loaded is on the PBX already and stands in no file of ours."""

    code = "dialplan-context-not-ours"
    title = "A context of somebody else"


class NotLoaded(DialplanError):
    """The PBX did not take the dialplan as it was sent; the old one is back and was read back."""

    code = "dialplan-not-loaded"
    status = 502
    title = "The dialplan was not loaded"


class StateUnknown(DialplanError):
    """The PBX stopped answering in the middle, and could not be asked what it has now."""

    code = "dialplan-state-unknown"
    status = 503
    title = "It is not known which dialplan the PBX has"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A load that was proven by reading back.

    ``before`` is the version that was there, ``changed`` the files that were written (none: the
    PBX had it all already), ``edited`` those of them that somebody had changed there by hand (they
    are kept in ``before``), ``seconds`` how long it took, check included.
    """

    version: Version
    before: Version
    changed: tuple[str, ...]
    way: str
    seconds: float
    edited: tuple[str, ...] = ()


class Loader:
    """Loads, rolls back and repairs the dialplan of one PBX over a link that is up.

    ``actions`` are the AMI actions that our user may send. ``check`` raises when files must not
    be loaded. Nothing is written before all of it is known to be allowed.
    """

    def __init__(
        self, settings: Settings, client: AmiClient, actions: Iterable[str], check: Check
    ) -> None:
        self._settings = settings
        self._client = client
        self._actions = list(actions)
        self._check = check
        kept = settings.dialplan
        self.versions = Versions(kept.versions, settings.pbx.name, kept.keep)

    async def load(self, *, by: str) -> Loaded:
        """Load what the settings and ``dialplans/custom`` make.

        Raises what the check says, :class:`~telephony.plans.wanted.CustomRefused`,
        :class:`ContextNotOurs`, :class:`~telephony.plans.ways.NotReachable`,
        :class:`~telephony.plans.versions.LoadRunning`,
        :class:`~telephony.plans.versions.VersionsUnusable` and
        :class:`~telephony.errors.PbxUnavailable` with nothing changed; :class:`NotLoaded` with the
        old one back; :class:`StateUnknown` when that could not be proven.
        """
        began = time.monotonic()
        with self._alone() as way:
            # Rendering takes some tenths of a second: a service has calls to look after.
            files = await asyncio.to_thread(wanted, self._settings)
            await self._check(files)
            await self._undo_unfinished(way)
            return await self._bring(way, files, by=by, what="loaded", began=began)

    async def rollback(self, number: int | None = None, *, by: str) -> Loaded:
        """Put a version back; without a number the one before what is there.

        A load that was cut off is undone first, and that is all when no number is given. Raises as
        :meth:`load`, and :class:`~telephony.plans.versions.VersionNotFound`.
        """
        began = time.monotonic()
        with self._alone() as way:
            files = self.versions.files(number) if number is not None else None
            if files and number is not None and self.versions.get(number).what == "failed":
                # The PBX never had it: nobody knows that it serves.
                await self._check(files)
            undone = await self._undo_unfinished(way)
            if files is None:
                if undone is not None:
                    return Loaded(undone, undone, (), way.name, time.monotonic() - began)
                number = self._one_before(await self._there(way, {}), by)
                files = self.versions.files(number)
            of = number or 0
            return await self._bring(way, files, by=by, what="rolled-back", of=of, began=began)

    async def recover(self) -> Version | None:
        """Undo a load that was cut off; the version that is there then, None when none was.

        Raises :class:`~telephony.plans.versions.LoadRunning` while a load is under way.
        """
        with self._alone() as way:
            return await self._undo_unfinished(way)

    # -- one load -------------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[Way]:
        with self.versions.alone():
            way = self._way()
            with way.alone():
                yield way

    def _way(self) -> Way:
        way = way_to(self._settings, self._client, self._actions)
        way.check_rights()
        missing = [one for one in NEEDED if one not in self._actions]
        if missing:
            raise NotReachable(
                f"our AMI user may not use {', '.join(missing)}, so nothing could be read back; "
                "`hotline doctor` says which right is missing"
            )
        return way

    async def _there(self, way: Way, files: Mapping[str, str]) -> Files:
        """What lies on the PBX now."""
        last = self.versions.standing()
        names = {*files, *(self.versions.files(last.number) if last else ())}
        return await way.read(names or wanted(self._settings))

    async def _bring(
        self, way: Way, files: Files, *, by: str, what: What, began: float, of: int = 0
    ) -> Loaded:
        there = await self._there(way, files)
        await self._refuse_foreign(files, there)
        before = self._keep_found(there, by)
        changed = sorted(name for name, text in files.items() if there.get(name) != text)
        gone = sorted(there.keys() - files.keys())
        if way.name == "ami":
            changed = [one for one in changed if plain(there.get(one, "")) != plain(files[one])]
        # It stays so if all of this ends here.
        kept = self.versions.keep(files, by=by, what="failed", of=of)
        note = Unfinished(
            stage="writing",
            way=way.name,
            by=by,
            at=datetime.now(UTC),
            pid=os.getpid(),
            before=before.number,
            after=kept.number,
        )
        self.versions.begin(note)
        try:
            await way.write({name: files[name] for name in changed}, gone)
            self.versions.begin(replace(note, stage="reloading"))
            # What is on disk may never have been loaded, so the dialplan is read in any case.
            await self._reload([*changed, *gone, EXTENSIONS])
            self.versions.begin(replace(note, stage="verifying"))
            await self._prove(files, there, changed, strict=what == "loaded")
            kept = self.versions.settle(kept.number, what)
        except BaseException as error:
            # Whoever gives up meanwhile leaves the PBX as it was.
            task = asyncio.ensure_future(self._put_back(way, note, there, files, error))
            await asyncio.shield(task)
            raise
        self.versions.end()
        took = time.monotonic() - began
        log.info("dialplan loaded", version=kept.number, by=by, way=way.name, files=changed)
        edited = tuple(one for one in [*changed, *gone] if is_edited(there.get(one, "")))
        return Loaded(kept, before, tuple(changed + gone), way.name, took, edited)

    async def _refuse_foreign(self, files: Files, there: Files) -> None:
        ours = {*contexts_of(extension_steps(there)), self._settings.trunk_context}
        on_pbx = set(contexts_of(await running_steps(self._client)))
        foreign = [one for one in contexts_of(extension_steps(files)) if one in on_pbx - ours]
        if foreign:
            raise ContextNotOurs(
                f"the PBX has {', '.join(foreign[:NAMED])} already, and not from a file in "
                "hotline/extensions of its folder; rename yours, or take them out of its own "
                "files and `dialplan reload` there"
            )

    def _keep_found(self, there: Files, by: str) -> Version:
        last = self.versions.standing()
        if last is not None and same(self.versions.files(last.number), there):
            return last
        return self.versions.keep(there, by=by, what="found")

    def _one_before(self, there: Files, by: str) -> int:
        now = self._keep_found(there, by)
        base = now.of or now.number
        for one in self.versions.history():
            # What failed never served anybody.
            if one.number >= base or one.what == "failed":
                continue
            if not same(self.versions.files(one.number), there):
                return one.number
        raise VersionNotFound(
            "no older version is kept; `hotline dialplan history` shows what there is"
        )

    async def _reload(self, names: Iterable[str]) -> None:
        for module in modules_of(names):
            await self._client.action("Reload", {"Module": module}, timeout=RELOAD_LIMIT_S)

    async def _prove(
        self, files: Files, before: Files, changed: Iterable[str], *, strict: bool
    ) -> None:
        """Read back what the PBX has; raises :class:`NotLoaded` with what differs."""
        found = [str(one) for one in await self._differences(files, before, strict=strict)]
        for name in changed:
            if name.startswith(EXTENSIONS):
                continue
            if await config_text(self._client, name) != plain(files[name]):
                found.append(f"{name}: the PBX reads other lines than were written")
        if found:
            more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
            raise NotLoaded(f"{'; '.join(found[:NAMED])}{more}")

    async def _differences(
        self, files: Files, before: Files, *, strict: bool = False
    ) -> list[Difference]:
        """``strict``: a line that Asterisk leaves out is one; else it is as it always was."""
        return differences(
            extension_steps(files, strict=strict),
            extension_steps(before),
            await running_steps(self._client),
            self._settings.trunk_context,
        )

    # -- and back -------------------------------------------------------------------------------

    async def _put_back(
        self, way: Way, note: Unfinished, old: Files, new: Files, why: BaseException
    ) -> None:
        """Put the old files back and prove it; raises what the caller of a load is told."""
        said = why.detail if isinstance(why, HotlineError) else f"{type(why).__name__}: {why}"
        self._note(replace(note, stage="putting-back", said=said))
        await self._restore(way, old, new, said)
        self.versions.end()
        log.warning("dialplan put back", version=note.before, why=said)
        if isinstance(why, Exception):
            raise NotLoaded(
                f"{said}. The old dialplan (version {note.before}) is back and was read back"
            ) from why

    def _note(self, note: Unfinished) -> None:
        """Say how far it is, if that can be: a full disk must not keep the old dialplan away."""
        try:
            self.versions.begin(note)
        except VersionsUnusable as error:
            log.warning("not noted that a dialplan is put back", why=error.detail)

    async def _restore(self, way: Way, old: Files, new: Files, said: str) -> None:
        deadline = time.monotonic() + self._settings.dialplan.return_wait_s
        while True:
            try:
                left = await self._write_old(way, old, new, deadline)
                break
            except PbxUnavailable as error:
                if time.monotonic() > deadline:
                    raise StateUnknown(
                        f"{said}; then {error.detail}. {PROMISE[way.name]}"
                    ) from error
            except (HotlineError, OSError) as error:
                why = error.detail if isinstance(error, HotlineError) else str(error)
                raise StateUnknown(
                    f"{said}; then putting the old one back failed: {why}"
                ) from error
        if left:
            raise StateUnknown(f"{said}. The old files are back, but the PBX has: {left}")

    async def _write_old(self, way: Way, old: Files, new: Files, deadline: float) -> str:
        """Put the old files back; what the PBX has else than they say, "" if nothing."""
        gone = new.keys() - old.keys()
        if way.name == "file":
            # This can be done while the PBX is away: it starts with the old one then.
            await way.write(old, gone)
        await self._client.wait_up(max(deadline - time.monotonic(), 0.1))
        if way.name != "file":
            await way.write(old, gone)
        await self._reload([*old, *gone, EXTENSIONS])
        # What was sent before it stopped answering may have been carried out only now.
        if not same(await way.read({*old, *new}), old):
            return "files other than those that were put back"
        return "; ".join(str(one) for one in (await self._differences(old, new))[:NAMED])

    async def _undo_unfinished(self, way: Way) -> Version | None:
        """Undo a load whose process died; the version that is there then."""
        note = self.versions.unfinished()
        if note is None:
            return None
        old, new = self.versions.files(note.before), self.versions.files(note.after)
        said = note.said or f"the load of version {note.after} by {note.by} was cut off"
        self._note(replace(note, stage="putting-back", said=said))
        await self._restore(way, old, new, said)
        self.versions.end()
        if self.versions.get(note.after).what != "failed":
            # It died between the last two lines of a load.
            self.versions.settle(note.after, "failed")
        log.warning("a load that was cut off was undone", version=note.before, stage=note.stage)
        return self.versions.get(note.before)


def differences(ours: Steps, before: Steps, running: Steps, shared: str) -> list[Difference]:
    """Where the PBX has something else than ``ours``, in contexts of ours now or ``before``.

    In ``shared``, the trunk's context, only places of ours count.
    """
    contexts = {*contexts_of(ours), *contexts_of(before)}
    theirs = {place: step for place, step in running.items() if place[0] in contexts}
    stale = [
        Difference(place, "", theirs[place])
        for place in before
        if place[0] == shared and place not in ours and theirs.get(place) == before[place]
    ]
    return compare(ours, theirs, shared) + stale
