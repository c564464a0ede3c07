"""What the doctor examines: a fake PBX and its settings."""

from __future__ import annotations

from pydantic import SecretStr

from telephony.settings import Pbx, Settings


def settings_for(port: int, **pbx: object) -> Settings:
    values = {"ami_port": port, "ami_secret": SecretStr("s3cret"), **pbx}
    return Settings(pbx=Pbx.model_validate(values), database_url="sqlite:///does-not-exist.sqlite")
