"""A check of dialplans that were loaded: none was cut off, and if one was, what the PBX has now."""

from __future__ import annotations

from telephony.checkup.model import Patient, Verdict, Words, ok, warning, wrong
from telephony.errors import HotlineError
from telephony.plans.desk import versions_of
from telephony.plans.load import differences
from telephony.plans.running import running_steps
from telephony.plans.versions import Unfinished, Versions
from telephony.plans.wanted import extension_steps
from telephony.plans.ways import FileWay, same

REMEDY = Words(
    "`hotline dialplan rollback` puts the old one back; or the running service, by itself",
    "`hotline dialplan rollback` 恢复旧的拨号方案；服务运行时会自行恢复",
)


async def check_loading(patient: Patient) -> Verdict:
    """No load of a dialplan was cut off."""
    versions = versions_of(patient.settings)
    note = versions.unfinished()
    if note is None:
        standing = versions.standing()
        if standing is None:
            return ok("none was loaded from here yet")
        return ok(
            f"version {standing.number}, {standing.what} by {standing.by} at "
            f"{standing.at.astimezone():%Y-%m-%d %H:%M}"
        )
    if versions.busy():
        return warning(
            f"version {note.after} is being loaded by {note.by} ({note.stage})",
            Words("wait for its end, then run the doctor again", "等它结束，再重新检查"),
        )
    said = f" ({note.said})" if note.said else ""
    return wrong(
        f"the load of version {note.after} by {note.by} at {note.at.astimezone():%Y-%m-%d %H:%M} "
        f"ended while {note.stage.replace('-', ' ')}{said}; "
        f"the PBX runs {await _running(patient, versions, note)}; "
        f"its files are {await _files(patient, versions, note)}",
        REMEDY,
    )


async def _running(patient: Patient, versions: Versions, note: Unfinished) -> str:
    if patient.client is None:
        return "what it had when it was last asked: there is no link now"
    try:
        running = await running_steps(patient.link)
    except HotlineError as error:
        return f"what cannot be told now ({error.detail})"
    plans = {
        f"the {word} dialplan (version {number})": extension_steps(versions.files(number))
        for word, number in (("old", note.before), ("new", note.after))
    }
    shared = patient.settings.trunk_context
    for what, steps in plans.items():
        others = {place: step for one in plans.values() for place, step in one.items()}
        if not differences(steps, others, running, shared):
            return what
    return f"neither version {note.before} nor version {note.after} as a whole"


async def _files(patient: Patient, versions: Versions, note: Unfinished) -> str:
    old, new = versions.files(note.before), versions.files(note.after)
    if patient.settings.pbx.etc is None:
        return "not seen from here"
    try:
        there = await FileWay(patient.settings.pbx.etc).read({*old, *new})
    except HotlineError as error:
        return f"not readable ({error.detail})"
    if same(there, old):
        return f"those of version {note.before}"
    return f"those of version {note.after}" if same(there, new) else "partly of each version"
