"""What a PBX has at this moment, as it says itself over AMI."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from telephony.errors import PbxRefused
from telephony.plans.steps import Steps, steps_told
from telephony.plans.ways import as_text, config_told

if TYPE_CHECKING:
    from telephony.ami_client import AmiClient

LIST_LIMIT_S = 30.0
"""A PBX with a large dialplan of its own tells it for seconds."""


async def running_steps(client: AmiClient) -> Steps:
    """All that the PBX has loaded, step by step; needs the right reporting."""
    try:
        told = await client.list_action("ShowDialPlan", {}, timeout=LIST_LIMIT_S)
    except PbxRefused as error:
        if "Did not find" in error.detail:
            return {}
        raise
    return steps_told(told)


async def config_text(client: AmiClient, name: str) -> str:
    """A configuration file as the PBX reads it, without comments; "" when there is none."""
    try:
        answer = await client.action("GetConfig", {"Filename": name})
    except PbxRefused as error:
        if re.search("not found|no such", error.detail, re.IGNORECASE):
            return ""
        raise
    return as_text(config_told(answer.keys))
