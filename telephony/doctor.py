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
from telephony.checkup.checks import CHECKS
from telephony.checkup.model import (
    FIRST_THAT,
    SEE_AMI,
    Check,
    Finding,
    NotChecked,
    Patient,
    Verdict,
    Words,
    ok,
    warning,
    wrong,
)
from telephony.errors import HotlineError, PbxRefused, PbxUnavailable

if TYPE_CHECKING:
    from telephony.settings import Pbx, Settings

__all__ = ["CHECKS", "Finding", "examine", "is_well"]

CONNECT_LIMIT_S = 2.0
SIGN_IN_LIMIT_S = 2.0
CHECK_LIMIT_S = 4.0
GREETING = b"Asterisk Call Manager"

AMI_MEANS = Words(
    "Hand-overs and the live picture need it; without it phones' own keys still work.",
    "转接和实时画面需要它；没有它，话机上的按键仍可用。",
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
    return [_finding("ami", verdict, AMI_MEANS), *made]


async def _learn_actions(patient: Patient, verdict: Verdict) -> Verdict:
    try:
        answer = await patient.link.action("ListCommands", timeout=SIGN_IN_LIMIT_S)
    except (PbxRefused, PbxUnavailable) as error:
        return warning(
            f"{verdict.found}, but does not list its actions: {error.detail}",
            Words("try again", "再试一次"),
        )
    patient.actions = {k: v for k, v in answer.keys.items() if "(Priv:" in v}
    return verdict


async def _make(check: Check, patient: Patient) -> Finding:
    try:
        if check.needs_link and patient.client is None:
            raise NotChecked("no link", SEE_AMI)
        async with asyncio.timeout(CHECK_LIMIT_S):
            verdict = await check.run(patient)
    except NotChecked as error:
        verdict = warning(f"not checked: {error.detail}", error.todo)
    except TimeoutError:
        verdict = wrong(
            f"not checked: no answer within {CHECK_LIMIT_S:g} s",
            Words("look at the load of the PBX", "查看交换机的负载"),
        )
    except (HotlineError, OSError) as error:
        detail = error.detail if isinstance(error, HotlineError) else str(error)
        verdict = wrong(f"not checked: {detail}", FIRST_THAT)
    except Exception as error:  # noqa: BLE001 (one check that breaks must not hide the others)
        verdict = wrong(
            f"not checked: {type(error).__name__}: {error}",
            Words("report this as a defect of hotline", "请作为 hotline 的缺陷报告"),
        )
    return _finding(check.name, verdict, check.means)


def _finding(name: str, verdict: Verdict, usual: Words) -> Finding:
    means, todo = verdict.means or usual, verdict.todo
    return Finding(name, verdict.state, verdict.found, means.en, todo.en, means.zh, todo.zh)


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
        todo = Words(
            "set HOTLINE_PBX__AMI_SECRET to the secret of that user",
            "把 HOTLINE_PBX__AMI_SECRET 设为该用户的口令",
        )
        return wrong(error.detail, todo)
    except PbxUnavailable as error:
        return wrong(
            error.detail, Words("look at the PBX's log and load", "查看交换机的日志和负载")
        )
    how = " over TLS" if pbx.ami_tls else ""
    return ok(f"signed in at {pbx.host}:{pbx.ami_port} as {pbx.ami_user}{how}")


async def _knock(pbx: Pbx) -> Verdict | None:
    """Why no manager greets there; None when one does. Each reason has another cure."""
    where = f"{pbx.host}:{pbx.ami_port}"
    try:
        context = tls_context(pbx.ami_ca_file) if pbx.ami_tls else None
    except OSError as error:
        return wrong(
            f"pbx.ami_ca_file cannot be used: {error}",
            Words("name a file with CA certificates", "写上含有 CA 证书的文件"),
        )
    try:
        async with asyncio.timeout(CONNECT_LIMIT_S):
            greeting = await _greeting(pbx, context)
    except ssl.SSLCertVerificationError as error:
        return wrong(
            f"the certificate of {where} is not trusted: {error.verify_message}",
            Words(
                "set pbx.ami_ca_file to the CA that signed it; it must name the host in pbx.host",
                "把 pbx.ami_ca_file 设为签发它的 CA；证书里必须有 pbx.host 的主机名",
            ),
        )
    except (ssl.SSLError, ConnectionResetError) as error:
        if context is None:
            return wrong(
                f"{where} hung up: {error.strerror}",
                Words("look at the PBX's log", "查看交换机的日志"),
            )
        return wrong(
            f"{where} does not speak TLS",
            Words(
                "set pbx.ami_port to tlsbindaddr's port of manager.conf, with tlsenable = yes",
                "把 pbx.ami_port 设为 manager.conf 中 tlsbindaddr 的端口，且 tlsenable = yes",
            ),
        )
    except ConnectionRefusedError:
        return wrong(
            f"nothing listens at {where}",
            Words(
                "start Asterisk, with enabled = yes and this port in manager.conf; or set "
                "pbx.ami_port",
                "启动 Asterisk，manager.conf 里写 enabled = yes 和这个端口；或改正 pbx.ami_port",
            ),
        )
    except TimeoutError:
        return wrong(
            f"{where} did not greet within {CONNECT_LIMIT_S:g} s",
            Words(
                "look for a firewall between, a PBX that hangs, or TLS without pbx.ami_tls",
                "看中间是否有防火墙、交换机是否卡住、或对方用 TLS 而没有设置 pbx.ami_tls",
            ),
        )
    except OSError as error:
        return wrong(
            f"{where} cannot be reached: {error}",
            Words("set pbx.host and pbx.ami_port", "改正 pbx.host 和 pbx.ami_port"),
        )
    if not greeting.startswith(GREETING):
        return wrong(
            f"what answers at {where} is no Asterisk manager",
            Words("set pbx.ami_port", "改正 pbx.ami_port"),
        )
    return None


async def _greeting(pbx: Pbx, context: ssl.SSLContext | None) -> bytes:
    reader, writer = await asyncio.open_connection(pbx.host, pbx.ami_port, ssl=context)
    try:
        return await reader.read(len(GREETING))
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
