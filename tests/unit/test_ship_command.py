"""``hotline ship`` with something wrong in its usage: one line that says what, exit status 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from telephony.cli import app

TO = "https://hotline.example:8443"


@pytest.mark.parametrize(
    ("token", "more", "said"),
    [
        (None, [], "--token-file"),
        (b"\xff\xfe\x00", [], "holds no text"),
        ("令牌".encode(), [], "letters, digits"),
        (b"", [], "the token is empty"),
        (b"secret", ["--ca-file", "nowhere.pem"], "--ca-file: nowhere.pem"),
        (b"secret", ["--ca-file", "token"], "--ca-file: token"),
        (b"secret", ["--to", "hotline.example"], "is no address"),
        (b"secret", ["--to", "https://[::1"], "--to"),
        (b"secret", ["--recordings", "."], "--state"),
    ],
)
def test_given_wrong_usage_then_one_line_says_what(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    token: bytes | None,
    more: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if token is not None:
        Path("token").write_bytes(token)
    arguments = ["ship", "--pbx", "west", "--to", TO, "--token-file", "token", "--once"]
    done = CliRunner().invoke(app, [*arguments, "--cel", "cel.csv", *more])
    assert done.exit_code == 2, done.exception
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
