"""Phones and trunks that a dialplan rings, against the endpoints of pjsip.conf; pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping

from telephony.plans.calls import calls, is_computed, split
from telephony.plans.config_lines import read_config
from telephony.plans.dialplan_lines import Plan, Step
from telephony.plans.findings import Finding

RINGS = {"dial": 0, "page": 0, "originate": 0, "retrydial": 3, "addqueuemember": 1}
"""Which argument names devices."""
KEPT = re.compile(r"(?:DIAL|BACKUP)=(PJSIP/[^,]+)")
"""Our own desks: where each is rung stands in a variable."""


def known_devices(files: Mapping[str, str]) -> set[str] | None:
    """Names of endpoints; None where no pjsip.conf tells them, or one that is read later does."""
    names: set[str] = set()
    told = False
    for path, text in files.items():
        base = posixpath.basename(path)
        if base == "sorcery.conf" and re.search(r"^\s*endpoint", text, re.MULTILINE):
            return None
        if base not in ("pjsip.conf", "pjsip_wizard.conf"):
            continue
        if re.search(r"^\s*#(include|tryinclude|exec)", text, re.MULTILINE):
            return None
        told = told or base == "pjsip.conf"
        for section in read_config(path, text).sections:
            kinds = {line.value.lower() for line in section.lines if line.key.lower() == "type"}
            if kinds & {"endpoint", "wizard"} and not section.template:
                names.add(section.name.lower())
    return names if told else None


def check_devices(plan: Plan, known: set[str] | None) -> list[Finding]:
    """Devices that cannot ring because they are not there."""
    if known is None:
        return []
    return [
        Finding(code, step.file, step.line, {"name": name})
        for step in plan.steps()
        for code, texts in (("device-missing", _rung(step)), ("desk-missing", _kept(step)))
        for name in _endpoints(texts)
        if name.lower() not in known
    ]


def _kept(step: Step) -> list[str]:
    return KEPT.findall(step.data)


def _rung(step: Step) -> list[str]:
    texts = []
    for app, data, _ in calls(step):
        arguments = split(data)
        at = RINGS.get(app.lower())
        if at is not None and len(arguments) > at:
            texts.append(arguments[at])
    return texts


def _endpoints(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for device in split(text, "&"):
            found = re.match(r"\s*PJSIP/(.+?)\s*$", device, re.IGNORECASE)
            if found and not is_computed(found[1]):
                # number@endpoint, endpoint/sip:address, endpoint
                name = found[1].split("/")[0]
                yield name.rpartition("@")[2]
