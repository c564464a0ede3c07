"""AMI over TLS: only a PBX whose certificate is trusted and names the host is talked to."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telephony.ami_client import AmiClient, LinkRefused, tls_context
from telephony.errors import PbxUnavailable
from tests.certificates import make_certificates
from tests.unit.fake_ami import FakeAmi, fake_ami


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two CAs, and a certificate of the first for ``pbx.test`` and 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    make_certificates(folder)
    return folder


@pytest.fixture
async def server(certificates: Path) -> AsyncIterator[FakeAmi]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "pbx.pem", certificates / "pbx.key")
    async with fake_ami(tls=context) as server:
        yield server


@pytest.mark.parametrize("name", [None, "pbx.test"])
async def test_a_trusted_certificate_is_accepted(
    server: FakeAmi, certificates: Path, name: str | None
) -> None:
    client = AmiClient(
        "127.0.0.1",
        server.port,
        "hotline",
        "s3cret",
        tls=tls_context(certificates / "ca.pem"),
        server_hostname=name,
    )
    await client.start()
    await client.wait_up(5)
    value = "x" * 2**20
    await client.action("Setvar", {"Value": value})
    assert server.link.received[-1]["Value"] == [value]
    server.link.reset()
    await server.linked(2)
    await client.wait_up(5)
    await client.stop()
    assert client._transport is None


@pytest.mark.parametrize(
    ("ca", "name", "why"),
    [("other.pem", None, "not trusted"), ("ca.pem", "elsewhere.test", "not valid for")],
    ids=["wrong CA", "wrong host name"],
)
async def test_another_certificate_is_refused_before_the_secret_is_sent(
    server: FakeAmi, certificates: Path, ca: str, name: str | None, why: str
) -> None:
    client = AmiClient(
        "127.0.0.1",
        server.port,
        "hotline",
        "s3cret",
        tls=tls_context(certificates / ca),
        server_hostname=name,
    )
    await client.start()
    with pytest.raises(LinkRefused, match=why) as caught:
        await client.wait_up(5)
    assert "ami_ca_file" in caught.value.detail
    assert server.links == []
    await client.stop()


async def test_a_pbx_without_tls_is_not_talked_to(certificates: Path) -> None:
    async with fake_ami() as server:
        client = AmiClient(
            "127.0.0.1",
            server.port,
            "hotline",
            "s3cret",
            tls=tls_context(certificates / "ca.pem"),
            connect_timeout=0.5,
        )
        await client.start()
        with pytest.raises(PbxUnavailable, match="cannot be reached"):
            await client.wait_up(1)
        assert all("Login" not in link.names() for link in server.links)
        await client.stop()
