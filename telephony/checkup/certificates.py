"""A check of certificates: those that the PBX shows, and those that we trust, must not run out."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from telephony.checkup.model import (
    NOTHING,
    Config,
    NotChecked,
    Patient,
    Verdict,
    Words,
    ok,
    warning,
    wrong,
)

TLS_LIMIT_S = 2.0
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
FILES = {
    "http.conf": (
        "tlscertfile",
        Words("agents who telephone in the browser cannot register", "坐席无法在浏览器里注册话机"),
    ),
    "pjsip.conf": (
        "cert_file",
        Words("phones and trunks over TLS cannot connect", "使用 TLS 的话机和中继无法连接"),
    ),
}
"""Where the PBX names certificates of its own, and what fails when they run out."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate, by what it is for, and when it ends."""

    what: str
    ends: datetime
    means: Words = NOTHING


def end_of(der: bytes) -> datetime:
    """When a certificate ends (RFC 5280, 4.1.2.5). Raises :class:`NotChecked` for what is none."""
    try:
        certificate, _ = _element(der)
        signed, _ = _element(certificate)
        # The version is optional and the only field with this tag.
        fields = [value for tag, value in _elements(signed) if tag != 0xA0]
        (_, _), (tag, value) = _elements(fields[3])
        form = "%y%m%d%H%M%SZ" if tag == 0x17 else "%Y%m%d%H%M%SZ"
        return datetime.strptime(value.decode("ascii"), form).replace(tzinfo=UTC)
    except (ValueError, IndexError):
        raise NotChecked(
            "what is named as a certificate is none",
            Words("look at the file with openssl x509", "用 openssl x509 查看该文件"),
        ) from None


def _element(der: bytes) -> tuple[bytes, bytes]:
    """The content of the first element, and what follows it."""
    size, begin = der[1], 2
    if size & 0x80:
        begin += size & 0x7F
        size = int.from_bytes(der[2:begin])
    return der[begin : begin + size], der[begin + size :]


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    found = []
    while der:
        tag = der[0]
        value, der = _element(der)
        found.append((tag, value))
    return found


def ends_in(text: str) -> Iterator[datetime]:
    """When the certificates of a PEM file end."""
    for pem in PEM.findall(text):
        yield end_of(ssl.PEM_cert_to_DER_cert(pem))


def verdict(found: list[Certificate], now: datetime, warning_days: int) -> Verdict:
    """What certificates that end then mean now."""
    if not found:
        return ok("none is used")
    first = min(found, key=lambda one: one.ends)
    days = (first.ends - now).days
    told = f"{first.what} ends {first.ends:%Y-%m-%d}"
    todo = Words(
        "renew it, then `module reload` (or a restart) where it is used",
        "换新证书，然后在使用它的地方执行 `module reload`（或重启）",
    )
    means = NOTHING
    if first.means:
        means = Words(f"Once it has ended, {first.means.en}.", f"证书过期后，{first.means.zh}。")
    if first.ends <= now:
        return wrong(f"{told}, which is past", todo, means)
    if days < warning_days:
        return warning(f"{told}, in {days} days", todo, means)
    return ok(f"{len(found)} looked at; the first to end is {told}, in {days} days")


async def check_certificates(patient: Patient) -> Verdict:
    """No certificate that the PBX or our link to it uses runs out soon."""
    found = [*await _of_link(patient), *await _of_pbx(patient)]
    return verdict(found, datetime.now(UTC), patient.settings.checkup.certificate_days)


async def _of_link(patient: Patient) -> list[Certificate]:
    pbx = patient.settings.pbx
    if not pbx.ami_tls:
        return []
    means = Words("our link to the PBX is refused", "与交换机的连接会被拒绝")
    found = []
    if pbx.ami_ca_file is not None:
        text = await asyncio.to_thread(pbx.ami_ca_file.read_text)
        found = [Certificate(f"the CA in {pbx.ami_ca_file}", end, means) for end in ends_in(text)]
    shown = await _shown(pbx.host, pbx.ami_port)
    where = f"the certificate of {pbx.host}:{pbx.ami_port}"
    return [*found, Certificate(where, end_of(shown), means)]


async def _shown(host: str, port: int) -> bytes:
    """The certificate that is shown there, whoever signed it: only its dates are looked at."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with asyncio.timeout(TLS_LIMIT_S):
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    if shown is None:
        raise NotChecked(f"{host}:{port} shows no certificate")
    return bytes(shown)


async def _of_pbx(patient: Patient) -> list[Certificate]:
    if patient.client is None or not patient.is_here:
        return []
    found = []
    for file, (key, means) in FILES.items():
        config = await patient.config(file) or {}
        for path in _named(config, key):
            text = await asyncio.to_thread(_text, path)
            found += [Certificate(f"{path} ({file})", end, means) for end in ends_in(text)]
    return found


def _named(config: Config, key: str) -> list[Path]:
    values = (value for lines in config.values() for name, value in lines if name.lower() == key)
    return [Path(value) for value in dict.fromkeys(values) if value]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except PermissionError:
        raise NotChecked(
            f"{path} may not be read by this user",
            Words("let this user read it (it holds no key)", "让本用户可以读取它（其中没有私钥）"),
        ) from None
    except OSError as error:
        raise NotChecked(
            f"{path}: {error.strerror}",
            Words("correct its path in the PBX's configuration", "在交换机的配置里改正它的路径"),
        ) from None
