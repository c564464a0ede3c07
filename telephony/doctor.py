"""``hotline doctor``: every known reason why calls or the record fail, found before a caller does.

It looks and changes nothing. Checks run beside each other, each within a limit of its own; one
that cannot be made says so and why, and the others still run. Without a link to the PBX its checks
are listed as not made.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from telephony.ami_client import AmiClient, LinkRefused, tls_context
from telephony.checkup.calendar import check_calendar
from telephony.checkup.certificates import check_certificates
from telephony.checkup.dialplan import check_dialplan, check_keys
from telephony.checkup.gaps import check_gaps
from telephony.checkup.loading import check_loading
from telephony.checkup.model import Check, Finding, NotChecked, Patient, Verdict, ok, warning, wrong
from telephony.checkup.options import check_options
from telephony.checkup.outbox import check_outbox
from telephony.checkup.pbx import (
    check_clock,
    check_host_name,
    check_indications,
    check_messages,
    check_modules,
    check_music,
    check_rights,
    check_version,
)
from telephony.checkup.people import check_agents, check_desks
from telephony.checkup.record import (
    check_cel,
    check_cel_back_end,
    check_cel_file,
    check_database,
    check_disk,
    check_recorder,
)
from telephony.checkup.sound import check_ports, check_prompts
from telephony.errors import HotlineError, PbxRefused, PbxUnavailable

if TYPE_CHECKING:
    from telephony.settings import Pbx, Settings

__all__ = ["CHECKS", "Finding", "examine", "is_well"]

CONNECT_LIMIT_S = 2.0
SIGN_IN_LIMIT_S = 2.0
CHECK_LIMIT_S = 4.0
GREETING = b"Asterisk Call Manager"

AMI_MEANS = "Hand-overs and the live picture need it; without it phones' own keys still work."

CHECKS = (
    Check(
        "version", "What the dialplan does was proven on this and newer versions.", check_version
    ),
    Check("rights", "What our AMI user may not do fails when an agent wants it.", check_rights),
    Check("modules", "A step whose module is missing ends the call.", check_modules),
    Check("dialplan", "Calls take the way that the PBX has loaded.", check_dialplan),
    Check(
        "loading",
        "A load that was cut off leaves calls to a dialplan nobody has proven.",
        check_loading,
        False,
    ),
    Check("keys", "Agents hand over and call in third parties by these keys.", check_keys),
    Check("cel", "Legs and first contacts are made of what CEL says.", check_cel),
    Check("cel-back-end", "A slow back end holds every call up.", check_cel_back_end),
    Check("cel-file", "A call without rows here is on no record.", check_cel_file, False),
    Check("clock", "Opening hours and all times on record go by it.", check_clock),
    Check("calendar", "The dialplan decides by what the PBX knows of each day.", check_calendar),
    Check("host-name", "Each look-up that fails holds a call up.", check_host_name, False),
    Check(
        "indications",
        "Without a ring tone Asterisk hangs up where it should ring.",
        check_indications,
    ),
    Check("music", "Who waits must hear something: silence sounds like a lost call.", check_music),
    Check("prompts", "Where a prompt is missing the caller hears silence.", check_prompts),
    Check("ports", "A call for which no port is left has no sound.", check_ports),
    Check("messages", "After hours callers leave a message here.", check_messages),
    Check("agents", "Callers are put through to whoever is signed in.", check_agents),
    Check("desks", "A hand-over to a desk that is away comes back to the agent.", check_desks),
    Check("options", "A phone that has gone is known only if it is asked.", check_options),
    Check(
        "certificates",
        "Once one has ended, whoever checks it hangs up.",
        check_certificates,
        False,
    ),
    Check("disk", "On a full disk rows and messages vanish silently.", check_disk, False),
    Check(
        "database",
        "Calls go on without it; the record waits in the CEL file.",
        check_database,
        False,
    ),
    Check(
        "recorder", "What is not stored yet shows in no list and no export.", check_recorder, False
    ),
    Check(
        "outbox",
        "Other platforms do not learn of cases that are theirs.",
        check_outbox,
        False,
    ),
    Check("gaps", "What happened meanwhile is on no record.", check_gaps, False),
)


def is_well(findings: list[Finding]) -> bool:
    """Nothing is wrong; warnings are allowed."""
    return all(finding.state != "wrong" for finding in findings)


async def examine(settings: Settings, *, test_call: bool = False) -> list[Finding]:
    """All checks of one PBX and its record, in the order of :data:`CHECKS`, the link first.

    ``test_call`` proves that CEL grows with a call that no phone hears; it leaves a leg on record.
    Takes some 10 s at most, and less than 1 s when all is well. Raises nothing of ours.
    """
    async with _linked(settings.pbx) as (verdict, client):
        patient = Patient(settings, client, test_call=test_call)
        if client is not None:
            verdict = await _learn_actions(patient, verdict)
        made = await asyncio.gather(*(_make(check, patient) for check in CHECKS))
    link = Finding("ami", verdict.state, verdict.found, verdict.means or AMI_MEANS, verdict.todo)
    return [link, *made]


async def _learn_actions(patient: Patient, verdict: Verdict) -> Verdict:
    try:
        answer = await patient.link.action("ListCommands", timeout=SIGN_IN_LIMIT_S)
    except (PbxRefused, PbxUnavailable) as error:
        return warning(
            f"{verdict.found}, but does not list its actions: {error.detail}", "try again"
        )
    patient.actions = {k: v for k, v in answer.keys.items() if "(Priv:" in v}
    return verdict


async def _make(check: Check, patient: Patient) -> Finding:
    try:
        if check.needs_link and patient.client is None:
            raise NotChecked("no link", todo="see the line ami")
        async with asyncio.timeout(CHECK_LIMIT_S):
            verdict = await check.run(patient)
    except NotChecked as error:
        todo = error.extra.get("todo", "mend that first, then run the doctor again")
        verdict = warning(f"not checked: {error.detail}", todo)
    except TimeoutError:
        verdict = wrong(
            f"not checked: no answer within {CHECK_LIMIT_S:g} s", "look at the load of the PBX"
        )
    except (HotlineError, OSError) as error:
        detail = error.detail if isinstance(error, HotlineError) else str(error)
        verdict = wrong(f"not checked: {detail}", "mend that first, then run the doctor again")
    except Exception as error:  # noqa: BLE001 (one check that breaks must not hide the others)
        verdict = wrong(
            f"not checked: {type(error).__name__}: {error}", "report this as a defect of hotline"
        )
    means = verdict.means or check.means
    return Finding(check.name, verdict.state, verdict.found, means, verdict.todo)


@asynccontextmanager
async def _linked(pbx: Pbx) -> AsyncIterator[tuple[Verdict, AmiClient | None]]:
    """A link to the PBX, or why there is none."""
    trouble = await _knock(pbx)
    if trouble is not None:
        yield trouble, None
        return
    client = AmiClient.from_settings(pbx, events=[])
    await client.start()
    try:
        verdict = await _sign_in(client, pbx)
        yield verdict, client if verdict.state == "ok" else None
    finally:
        await client.stop()


async def _sign_in(client: AmiClient, pbx: Pbx) -> Verdict:
    try:
        await client.wait_up(SIGN_IN_LIMIT_S)
    except LinkRefused as error:
        return wrong(error.detail, "set HOTLINE_PBX__AMI_SECRET to the secret of that user")
    except PbxUnavailable as error:
        return wrong(error.detail, "look at the PBX's log and load")
    how = " over TLS" if pbx.ami_tls else ""
    return ok(f"signed in at {pbx.host}:{pbx.ami_port} as {pbx.ami_user}{how}")


async def _knock(pbx: Pbx) -> Verdict | None:
    """Why no manager greets there; None when one does. Each reason has another cure."""
    where = f"{pbx.host}:{pbx.ami_port}"
    try:
        context = tls_context(pbx.ami_ca_file) if pbx.ami_tls else None
    except OSError as error:
        return wrong(f"pbx.ami_ca_file cannot be used: {error}", "name a file with CA certificates")
    try:
        async with asyncio.timeout(CONNECT_LIMIT_S):
            greeting = await _greeting(pbx, context)
    except ssl.SSLCertVerificationError as error:
        return wrong(
            f"the certificate of {where} is not trusted: {error.verify_message}",
            "set pbx.ami_ca_file to the CA that signed it; it must name the host in pbx.host",
        )
    except (ssl.SSLError, ConnectionResetError) as error:
        if context is None:
            return wrong(f"{where} hung up: {error.strerror}", "look at the PBX's log")
        return wrong(
            f"{where} does not speak TLS",
            "set pbx.ami_port to tlsbindaddr's port of manager.conf, with tlsenable = yes",
        )
    except ConnectionRefusedError:
        return wrong(
            f"nothing listens at {where}",
            "start Asterisk, with enabled = yes and this port in manager.conf; or set pbx.ami_port",
        )
    except TimeoutError:
        return wrong(
            f"{where} did not greet within {CONNECT_LIMIT_S:g} s",
            "look for a firewall between, a PBX that hangs, or TLS without pbx.ami_tls",
        )
    except OSError as error:
        return wrong(f"{where} cannot be reached: {error}", "set pbx.host and pbx.ami_port")
    if not greeting.startswith(GREETING):
        return wrong(f"what answers at {where} is no Asterisk manager", "set pbx.ami_port")
    return None


async def _greeting(pbx: Pbx, context: ssl.SSLContext | None) -> bytes:
    reader, writer = await asyncio.open_connection(pbx.host, pbx.ami_port, ssl=context)
    try:
        return await reader.read(len(GREETING))
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
