"""Settings: environment (``HOTLINE_…``) over ``hotline.toml`` over the defaults, checked at start.

Environment names follow the table in the README: ``HOTLINE_DATABASE_URL``,
``HOTLINE_PBX__AMI_PORT`` (two underscores step into a section).
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, Self

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as EnvError

from telephony.agent_settings import DEFAULT_PAUSE_REASONS, Callback, PauseReason, Survey
from telephony.around.settings import Parking, Recording, Supervisor, around_agrees
from telephony.browser_settings import Browser
from telephony.bulk.settings import Exports, Retention
from telephony.checkup.settings import Checkup
from telephony.deadlines.settings import Deadlines, Mail
from telephony.errors import (
    DeskNotFound,
    LineNotFound,
    NumberNotAllowed,
    SettingsError,
    SettingsFileBroken,
)
from telephony.line_settings import FurtherLine, Line, lines_agree, spread_lines
from telephony.matters.settings import MatterSettings
from telephony.messages.settings import Messages, messages_agree
from telephony.orders.settings import Outbox, Platform, platforms_agree
from telephony.partners import Group, Outside, Partner, groups_agree, outside_agrees, partners_agree
from telephony.pbx_settings import Spool, pbxs_agree, settings_of, ships_agree
from telephony.people.settings import SignIn
from telephony.people_settings import (
    DEFAULT_DESKS,
    DEFAULT_KEYS,
    Agent,
    Desk,
    Key,
    Room,
    Token,
)
from telephony.plain_words import in_plain_words
from telephony.plans.load_settings import Dialplans
from telephony.record.settings import RecordWatch
from telephony.setting_types import (
    TIME_ZONE,
    DialString,
    Endpoint,
    Id,
    KeyCode,
    Role,
    Section,
    as_extension,
    no_doubles,
)

# From five digits on: shorter ones that are no extension of ours are typing mistakes.
OUTSIDE_NUMBER = re.compile(r"\+?[0-9]{5,20}")

__all__ = [
    "TIME_ZONE",
    "Agent",
    "Desk",
    "Key",
    "Line",
    "Role",
    "Room",
    "Token",
]  # used by others from here too


class Pbx(Section):
    """One Asterisk and the ways we reach it."""

    name: Id = "pbx1"
    host: str = "127.0.0.1"
    ami_port: int = Field(5038, ge=1, le=65535)
    ami_user: Id = "hotline"
    ami_secret: SecretStr = SecretStr("")
    ami_tls: bool = False
    ami_ca_file: Path | None = None
    action_timeout_s: float = Field(5.0, gt=0, le=60)
    cel_file: Path | None = Field(
        None, description="CEL as CSV, written by the PBX; without it no leg is recorded"
    )
    etc: Path | None = Field(
        None, description="its configuration folder, if reachable: dialplans are loaded by file"
    )
    load_over_ami: bool = Field(
        False, description="load dialplans over AMI; its user then needs the right config"
    )
    shipped: bool = Field(
        False, description="its CEL rows and sounds are sent by `hotline ship`, from its own host"
    )
    desks: list[Id] = Field([], description="desks that can be called there; empty: all")
    agents: list[Id] = Field(
        [], description="agents whose phones are there; the first PBX has whom no other names"
    )
    dials: dict[Id, DialString] = Field(
        {}, description="desks that are reached otherwise from there, as over a trunk"
    )
    trunks: list[Endpoint] = Field(
        [], description="endpoints of trunks to and from our other PBXs: cases travel on them"
    )
    messages_folder: Path | None = Field(
        None, description="where its messages are found; the first PBX: as messages.folder"
    )
    recordings_folder: Path | None = Field(
        None, description="where its recordings are found; the first PBX: as recording.folder"
    )


class Http(Section):
    """Where the service listens."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    public_docs: bool = Field(False, description="OpenAPI pages without a token")


class Settings(BaseSettings):
    """All settings of the service."""

    model_config = SettingsConfigDict(
        env_prefix="HOTLINE_", env_nested_delimiter="__", extra="forbid", validate_default=True
    )

    database_url: str = "sqlite:///hotline.sqlite"
    pbx: Pbx = Pbx()
    pbxs: list[Pbx] = []
    spool: Spool = Spool()
    line: Line = Line()
    lines: list[FurtherLine] = []
    desks: list[Desk] = DEFAULT_DESKS
    agents: list[Agent] = []
    groups: list[Group] = []
    outside: list[Outside] = []
    partners: list[Partner] = []
    keys: list[Key] = DEFAULT_KEYS
    sign_in_code: KeyCode = "*45"
    sign_out_code: KeyCode = "*46"
    parking: Parking = Parking()
    room: Room = Room()
    supervisors: list[Supervisor] = []
    monitor_code: KeyCode = "*48"
    recording: Recording = Recording()
    pause_code: KeyCode = "*49"
    resume_code: KeyCode = "*44"
    pickup_code: KeyCode = "*43"
    pause_reasons: list[PauseReason] = DEFAULT_PAUSE_REASONS
    callback: Callback = Callback()
    survey: Survey = Survey()
    browser: Browser = Browser()
    record: RecordWatch = RecordWatch()
    dialplan: Dialplans = Dialplans()
    checkup: Checkup = Checkup()
    messages: Messages = Messages()
    exports: Exports = Exports()
    retention: Retention = Retention()
    matters: MatterSettings = MatterSettings()
    trunk_context: Id = Field(
        "hotline-trunk", description="the context into which the PBX delivers the line's calls"
    )
    http: Http = Http()
    tokens: list[Token] = []
    sign_in: SignIn = SignIn()
    platforms: list[Platform] = []
    outbox: Outbox = Outbox()
    deadlines: Deadlines = Deadlines()
    mail: Mail = Mail()

    @model_validator(mode="before")
    @classmethod
    def _lines_have_much_in_common(cls, data: Any) -> Any:
        return spread_lines(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        desks = [desk.id for desk in self.desks]
        no_doubles("desks", desks)
        no_doubles("keys", [key.code for key in self.keys])
        no_doubles("pause_reasons", [reason.code for reason in self.pause_reasons])
        no_doubles("codes on the phone", self._codes())
        no_doubles("tokens", [token.token.get_secret_value() for token in self.tokens], hide=True)
        agents = [agent.id for agent in self.agents]
        no_doubles("agents", agents)
        both = set(desks) & set(agents)
        if both:
            raise ValueError(f"{min(both)} is a desk and an agent at once; rename one")
        groups = [group.id for group in self.groups]
        no_doubles("groups", groups)
        both = set(groups) & {*desks, *agents}
        if both:
            raise ValueError(f"{min(both)} is a group and a desk or agent at once; rename one")
        seen: dict[str, str] = {}
        for name in [*desks, *agents, *groups]:
            other = seen.setdefault(as_extension(name), name)
            if other != name:
                raise ValueError(f"{other} and {name} are one extension in Asterisk; rename one")
        for key in self.keys:
            if key.desk not in [*desks, *groups]:
                raise ValueError(f"key {key.code} goes to desk {key.desk}, which is not in desks")
        groups_agree(self.groups, [*desks, *agents])
        supervisors = [one.id for one in self.supervisors]
        outside_agrees(self.outside, [*desks, *agents, *groups, *supervisors])
        partners_agree(self.partners, desks)
        messages_agree(self.messages, desks)
        pbxs_agree(self.every_pbx, self.spool, [*desks, *groups], agents)
        ships_agree(self.tokens, self.every_pbx)
        lines_agree(self.line, self.lines, desks)
        platforms_agree(self.platforms, desks, [*agents, *groups])
        codes = [*(key.code for key in self.keys), self.matters.key]
        everybody = [*desks, *agents, *groups]
        around_agrees(self.parking, self.recording, self.supervisors, codes, everybody)
        return self

    def _codes(self) -> list[str]:
        """All that is dialled by itself or begins a longer code."""
        single = [self.sign_in_code, self.sign_out_code, self.resume_code, self.pickup_code]
        before = [self.callback.code, self.monitor_code, self.parking.fetch_code]
        pauses = [self.pause_code + reason.code for reason in self.pause_reasons]
        return [*single, *before, *pauses]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, settings_file())

    @property
    def every_line(self) -> list[Line]:
        """All lines, the first one first."""
        return [self.line, *self.lines]

    def line_named(self, name: str) -> Line:
        """The line with this id, name or number; raises :class:`LineNotFound`."""
        for line in self.every_line:
            if line.is_named(name):
                return line
        known = ", ".join(line.id or line.number for line in self.every_line)
        raise LineNotFound(f"no line {name!r} in the settings; there are: {known}")

    def line_called(self, number: str | None) -> Line:
        """The line of a case by its number on record; the first for none or one that is no more."""
        lines = (line for line in self.every_line if number in line.dialled_forms)
        return next(lines, self.line)

    def number_of_line(self, name: str | None) -> str | None:
        """How a line stands on record, by its full number; one of before is as it is given."""
        found = (line.full_number for line in self.every_line if name and line.is_named(name))
        return next(found, name)

    @property
    def every_pbx(self) -> tuple[Pbx, ...]:
        """All PBXs, the first one first."""
        return (self.pbx, *self.pbxs)

    def of_pbx(self, name: str) -> Settings:
        """The settings that hold at this PBX; :class:`SettingsError` when there is none."""
        return settings_of(self, name)

    def desk(self, desk_id: str) -> Desk:
        """The desk with this id; raises :class:`DeskNotFound`."""
        for desk in self.desks:
            if desk.id == desk_id:
                return desk
        known = ", ".join(desk.id for desk in self.desks)
        raise DeskNotFound(f"no desk {desk_id!r} in the settings; there are: {known}")

    def agent(self, agent_id: str) -> Agent | None:
        """The agent with this extension, or None."""
        return next((agent for agent in self.agents if agent.id == agent_id), None)

    def check_target(self, name: str, *, outside: bool) -> None:
        """Whether calls may be handed to this desk, agent or group, or (``outside``) this number.

        Raises :class:`NumberNotAllowed` for what looks like an outside number and is none of the
        list, :class:`DeskNotFound` for anything else that is not known.
        """
        if self.agent(name) or self.group(name) or any(desk.id == name for desk in self.desks):
            return
        if outside and self.outside_number(name):
            return
        if OUTSIDE_NUMBER.fullmatch(name):
            what = "calls are not handed to it" if outside else "it is not called in or consulted"
            raise NumberNotAllowed(f"{name} is an outside number; {what} (setting outside)")
        self.desk(name)

    def group(self, group_id: str) -> Group | None:
        """The group with this id, or None."""
        return next((group for group in self.groups if group.id == group_id), None)

    def outside_number(self, number: str) -> Outside | None:
        """What allows calls to be handed to this outside number, or None."""
        return next((one for one in self.outside if one.matches(number)), None)


def settings_file() -> Path:
    """``hotline.toml`` in the working directory, or the file that HOTLINE_CONFIG names."""
    return Path(os.environ.get("HOTLINE_CONFIG", "hotline.toml"))


def load_settings(**overrides: Any) -> Settings:
    """Read and check the settings.

    Raises :class:`SettingsError` with one line for each wrong setting: its name, what is wrong,
    and the value that was found (never a secret).
    """
    named = os.environ.get("HOTLINE_CONFIG")
    if named and not Path(named).is_file():
        raise SettingsError([f"HOTLINE_CONFIG: {named} is not a file"])
    unknown = sorted(
        name for name in os.environ if name.startswith("HOTLINE_") and not _is_setting(name)
    )
    if unknown:
        raise SettingsError([f"{name}: no setting has this name" for name in unknown])
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError([_line(item) for item in error.errors()]) from None
    except EnvError as error:
        name = re.search(r'field "(\w+)"', str(error))
        variable = f"HOTLINE_{name.group(1).upper()}" if name else "environment"
        raise SettingsError([f"{variable}: is no JSON; a list looks like [{{...}}]"]) from None
    except (ValueError, OSError) as error:  # a file that is no TOML, or cannot be read
        raise SettingsFileBroken(settings_file(), error) from None


OUTSIDE = {"CONFIG", "CACHE_DIR", "ASTERISK", "DEBIAN_MIRROR", "DEBIAN_SUITE", "PHONE_PASSWORD"}
"""HOTLINE_… variables that are no settings: read by the set-up and by commands."""


def _is_setting(variable: str) -> bool:
    head = variable.removeprefix("HOTLINE_").split("__")[0]
    return head in OUTSIDE or head.lower() in Settings.model_fields


def as_environment(settings: Settings) -> dict[str, str]:
    """The settings as ``HOTLINE_…`` variables, secrets included: for a process of our own."""
    values = settings.model_dump(mode="python")
    return {
        f"HOTLINE_{name.upper()}": value if isinstance(value, str) else _json(value)
        for name, value in values.items()
    }


def _json(value: Any) -> str:
    def plain(item: Any) -> Any:
        return item.get_secret_value() if isinstance(item, SecretStr) else str(item)

    return json.dumps(value, default=plain, ensure_ascii=False)


def _line(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"]) or "settings"
    message = in_plain_words(item, unknown="no setting has this name")
    secret = re.search(r"secret|token|password|url", name)
    shown = item.get("input")
    found = "" if secret or isinstance(shown, dict | list | type(None)) else f" (found {shown!r})"
    return f"{name}: {message}{found}"
