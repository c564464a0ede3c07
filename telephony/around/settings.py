"""Settings of what happens around a call: parking, supervisors who listen, recording."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from telephony.setting_types import DialString, Extension, KeyCode, OptionalName, Password, Section

PIN = re.compile(r"[0-9]{4,12}")


def _pin(value: SecretStr) -> SecretStr:
    if not PIN.fullmatch(value.get_secret_value()):
        raise ValueError("a PIN is 4 to 12 digits")
    return value


class Parking(Section):
    """A citizen waits with music on a numbered place until any agent fetches them."""

    key: KeyCode = Field("#7", description="pressed during a call: park the citizen")
    fetch_code: KeyCode = Field("*47", description="dialled with the place's two digits: fetch")
    slots: int = Field(20, ge=1, le=89, description="places, numbered from 11 on")
    return_s: int = Field(
        45, ge=1, le=3600, description="after so long unfetched they ring whoever parked them"
    )


class Supervisor(Section):
    """Somebody who may listen to calls, by the extension of their phone."""

    id: Extension
    name: OptionalName = ""
    interface: DialString | None = Field(None, description="default: PJSIP/<id>")
    pin: Annotated[SecretStr, AfterValidator(_pin)] = Field(
        description="4 to 12 digits, asked for when the code is dialled"
    )
    password: Password | None = Field(
        None, description="SIP password, only where our dialplan defines the phone"
    )

    @property
    def dial(self) -> str:
        """The device that rings for this supervisor."""
        return self.interface or f"PJSIP/{self.id}"


class Recording(Section):
    """Recording of ordinary calls."""

    on: bool = Field(False, description="record every call; the citizen is told at the beginning")
    after_transfer: bool = Field(True, description="go on recording when the call is handed over")
    folder: Path | None = Field(
        None, description="where the service finds them: monitor/hotline below the PBX's spool"
    )
    pause_key: KeyCode = Field("#8", description="pressed during a call: pause, and go on")


def around_agrees(
    parking: Parking,
    recording: Recording,
    supervisors: Sequence[Supervisor],
    keys: Sequence[str],
    others: Sequence[str],
) -> None:
    """Raise ValueError for a key with two meanings in a call, or an extension with two owners.

    ``keys``: the codes of `keys`; ``others``: the ids of desks, agents and groups.
    """
    codes = [*keys, parking.key, recording.pause_key]
    for code in codes:
        if codes.count(code) > 1:
            raise ValueError(f"{code} is two keys at once; change one")
    ids = [one.id for one in supervisors]
    for one in ids:
        if one in others or ids.count(one) > 1:
            raise ValueError(f"{one} is a supervisor and somebody else at once; rename one")
