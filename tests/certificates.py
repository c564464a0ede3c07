"""Certificates for tests, made by the machine's openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def make_certificates(folder: Path, *, days: int = 30) -> None:
    """Two CAs (``ca``, ``other``), and ``pbx`` by the first for ``pbx.test`` and 127.0.0.1.

    Each is a ``.pem`` with its key in ``.key``; ``both.pem`` is the PBX's with its key. ``pbx``
    ends after so many days.
    """
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for ca in ("ca", "other"):
        pem = ["-keyout", f"{folder}/{ca}.key", "-out", f"{folder}/{ca}.pem", "-days", "3650"]
        openssl(*new, "-subj", f"/CN={ca}", *pem, "-addext", "keyUsage=critical,keyCertSign")
    pem = ["-keyout", f"{folder}/pbx.key", "-out", f"{folder}/pbx.pem", "-days", str(days)]
    signed = ["-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key"]
    extensions = ["basicConstraints=critical,CA:FALSE", "subjectAltName=DNS:pbx.test,IP:127.0.0.1"]
    added = [word for extension in extensions for word in ("-addext", extension)]
    openssl(*new, "-subj", "/CN=pbx.test", *pem, *signed, *added)
    both = "".join((folder / name).read_text() for name in ("pbx.pem", "pbx.key"))
    (folder / "both.pem").write_text(both)
