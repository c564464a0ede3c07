"""A check that desks are asked whether they are there (SIP OPTIONS, RFC 3261, 11), and answer."""

from __future__ import annotations

from collections import defaultdict

from telephony.checkup.model import Patient, Verdict, Words, ok, warning
from telephony.checkup.people import devices
from telephony.errors import PbxRefused

SLOW_MS = 500.0
"""So long a desk that is well does not take to answer OPTIONS, wherever in the country it is."""
NAMED = 5


async def check_options(patient: Patient) -> Verdict:
    """Every desk's phone or trunk is asked by OPTIONS, and answers soon."""
    contacts = await _contacts(patient)
    unasked, silent, slow, times = [], [], [], []
    for desk in patient.settings.desks:
        for technology, device in devices(desk.dial):
            if technology.upper() != "PJSIP":
                continue
            for status, took_ms in contacts.get(device, ()):
                if status == "Reachable":
                    times.append(took_ms)
                    if took_ms > SLOW_MS:
                        slow.append(f"{desk.id} ({took_ms:.0f} ms)")
                elif status == "Unreachable":
                    silent.append(desk.id)
                else:
                    unasked.append(desk.id)
    if silent:
        return warning(
            f"no answer to OPTIONS: desk {_named(silent)}",
            Words(
                "look at the network to the phone or trunk (`pjsip show contacts` on the PBX)",
                "检查到话机或中继的网络（在交换机上用 `pjsip show contacts` 查看）",
            ),
        )
    if unasked:
        return warning(
            f"not asked whether it is there: desk {_named(unasked)}",
            Words(
                "qualify_frequency = 60 in its aor of the PBX's pjsip.conf, then `pjsip reload`",
                "在交换机 pjsip.conf 中它的 aor 里写 qualify_frequency = 60，再执行 `pjsip reload`",
            ),
            Words(
                "A hand-over to a phone that has gone rings nowhere for as long as the desk may "
                "ring.",
                "转到已掉线的话机时，在该单位的整个振铃时间里哪里都不会响。",
            ),
        )
    if slow:
        return warning(
            f"answers OPTIONS slowly: desk {_named(slow)}",
            Words("look at the network to the phone or trunk", "检查到话机或中继的网络"),
            Words("A hand-over to it begins to ring late.", "转接到那里时振铃开始得晚。"),
        )
    if not times:
        return ok("no desk has a contact that could be asked; see the line desks")
    return ok(f"{len(times)} contacts of desks answer, the slowest in {max(times):.0f} ms")


def _named(desks: list[str]) -> str:
    each = list(dict.fromkeys(desks))
    return ", ".join(each[:NAMED]) + (" ..." if len(each) > NAMED else "")


async def _contacts(patient: Patient) -> dict[str, list[tuple[str, float]]]:
    """The contacts of each endpoint: state, and how long the last answer took in milliseconds."""
    patient.must_be_allowed("PJSIPShowContacts", "system")
    try:
        events = await patient.link.list_action("PJSIPShowContacts")
    except PbxRefused as error:
        if "No Contacts" in error.detail:
            return {}
        raise
    found: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for event in events:
        if event.name == "ContactList":
            took = event.get("RoundtripUsec")
            ms = int(took) / 1000 if took.isdecimal() else 0.0
            found[event.get("Endpoint")].append((event.get("Status"), ms))
    return found
