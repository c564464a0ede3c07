"""Several PBXs in one service: how their settings agree, and which settings hold at one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from telephony.errors import SettingsError
from telephony.setting_types import Section, no_doubles

if TYPE_CHECKING:
    from telephony.partners import Group
    from telephony.people_settings import Token
    from telephony.settings import Pbx, Settings

CEL_FILE = "cel.csv"
MESSAGES, RECORDINGS = "messages", "recordings"
"""What a PBX's folder in the spool holds."""


class Spool(Section):
    """Where rows and sounds are kept that `hotline ship` sends."""

    folder: Path | None = Field(None, description="one folder a PBX is made in it")
    keep_days: int = Field(
        30, ge=1, le=3650, description="rotated CEL files that are on record are kept so long"
    )
    keep_free_mb: int = Field(
        1000, ge=0, description="so much of the disk stays free: sounds that need it wait outside"
    )


def pbxs_agree(
    pbxs: Sequence[Pbx], spool: Spool, desks: Sequence[str], agents: Sequence[str]
) -> None:
    """Raise ValueError for PBXs of one name, people who are nobody, and rows sent to nowhere."""
    no_doubles("pbxs", [pbx.name for pbx in pbxs])
    no_doubles("pbxs' agents", [one for pbx in pbxs for one in pbx.agents])
    for pbx in pbxs:
        for one in pbx.agents:
            if one not in agents:
                raise ValueError(f"pbx {pbx.name}: {one} is not in agents")
        for one in (*pbx.desks, *pbx.dials):
            if one not in desks:
                raise ValueError(f"pbx {pbx.name}: {one} is not in desks")
        if pbx.shipped and spool.folder is None:
            raise ValueError(f"pbx {pbx.name} is shipped: set spool.folder, where its rows go")
        if pbx.shipped and pbx.cel_file is not None:
            raise ValueError(f"pbx {pbx.name}: it is shipped, so it has no cel_file here")


def ships_agree(tokens: Sequence[Token], pbxs: Sequence[Pbx]) -> None:
    """Raise ValueError for a token that may ship for a PBX that there is not."""
    names = [pbx.name for pbx in pbxs]
    for token in tokens:
        for name in token.ships_for:
            if name not in names:
                raise ValueError(f"token {token.name}: ships_for names {name}, which is no PBX")


def spool_of(settings: Settings, pbx: str) -> Path:
    """The folder of what a PBX sends; raises :class:`SettingsError` without one."""
    if settings.spool.folder is None:
        raise SettingsError(["spool.folder: not set, so nothing can be sent here"])
    return settings.spool.folder / pbx


def settings_of(settings: Settings, name: str) -> Settings:
    """The settings that hold at this PBX: its own people, keys and folders.

    Raises :class:`SettingsError` for a PBX that is not in them.
    """
    pbx = next((one for one in settings.every_pbx if one.name == name), None)
    if pbx is None:
        known = ", ".join(one.name for one in settings.every_pbx)
        raise SettingsError([f"pbx: there is none named {name!r}; there are {known}"])
    update: dict[str, Any] = {}
    messages, recordings = messages_folder(settings, name), recordings_folder(settings, name)
    if pbx.shipped:
        pbx = pbx.model_copy(update={"cel_file": spool_of(settings, name) / CEL_FILE})
    if pbx != settings.pbx:
        update["pbx"] = pbx
    if messages != settings.messages.folder:
        update["messages"] = settings.messages.model_copy(update={"folder": messages})
    if recordings != settings.recording.folder:
        update["recording"] = settings.recording.model_copy(update={"folder": recordings})
    if settings.pbxs or pbx.dials:
        update |= _people(settings, pbx)
    return settings.model_copy(update=update) if update else settings


def messages_folder(settings: Settings, pbx: str) -> Path | None:
    """Where the messages of this PBX are found."""
    return _folder(settings, pbx, settings.messages.folder, "messages_folder", MESSAGES)


def recordings_folder(settings: Settings, pbx: str) -> Path | None:
    """Where the recordings of this PBX are found."""
    return _folder(settings, pbx, settings.recording.folder, "recordings_folder", RECORDINGS)


def folders(settings: Settings, what: str) -> list[Path]:
    """All folders of `messages` or `recordings`, each once."""
    of = messages_folder if what == MESSAGES else recordings_folder
    found = [of(settings, pbx.name) for pbx in settings.every_pbx]
    return list(dict.fromkeys(one for one in found if one is not None))


def _folder(
    settings: Settings, pbx: str, first: Path | None, setting: str, below: str
) -> Path | None:
    one = next((one for one in settings.every_pbx if one.name == pbx), None)
    if one is None:  # a PBX of former times: what is left of it
        return first
    own: Path | None = getattr(one, setting)
    if own is not None:
        return own
    if one.shipped:
        return spool_of(settings, pbx) / below
    return first if one.name == settings.pbx.name else None


def home_of(settings: Settings, agent: str) -> str:
    """The name of the PBX at which this agent's phone is: the first one if none names them."""
    found = (pbx.name for pbx in settings.pbxs if agent in pbx.agents)
    return next(found, settings.pbx.name)


def _people(settings: Settings, pbx: Pbx) -> dict[str, Any]:
    agents = [one for one in settings.agents if home_of(settings, one.id) == pbx.name]
    desks = [
        one.model_copy(update={"dial": pbx.dials[one.id], "dial_backup": None})
        if one.id in pbx.dials
        else one
        for one in settings.desks
        if not pbx.desks or one.id in pbx.desks
    ]
    here = {agent.id for agent in agents} | {desk.id for desk in desks}
    groups = [_of_group(group, here) for group in settings.groups]
    there = [group for group in groups if group is not None]
    here |= {group.id for group in there}
    keys = [key for key in settings.keys if key.desk in here]
    partners = [side for side in settings.partners if side.desk in here]
    return {"agents": agents, "desks": desks, "groups": there, "keys": keys, "partners": partners}


def _of_group(group: Group, here: set[str]) -> Group | None:
    members = [one for one in group.members if one in here]
    return group.model_copy(update={"members": members}) if members else None
