"""The pages: who may see them, and what a browser is told to keep away from."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.pages import PAGES, PARTS, ROLES, WEB
from telephony.people.rules import Person
from telephony.setting_types import Role
from tests.unit.api_fixtures import Running, running
from tests.unit.quick_passwords import quick_passwords  # noqa: F401 - it works by itself

PASSWORD = "four words make one"
ALLOWED: dict[str, set[str]] = {
    "agent": {"desk", "docs"},
    "supervisor": {"desk", "console", "docs"},
    "admin": {"desk", "console", "admin", "docs"},
    "auditor": {"console", "admin", "docs"},
    "integrator": {"admin", "docs"},
}
HOME = {
    "agent": "/desk",
    "supervisor": "/console",
    "admin": "/admin",
    "auditor": "/console",
    "integrator": "/admin",
}


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as run:
        yield run


async def signed_in(run: Running, role: Role) -> str:
    """The cookie of somebody with this role alone."""
    person = Person(role, role.title(), (role,), "8001" if role == "agent" else None)
    await run.service.people.add(person, PASSWORD, by="test", role="admin")
    token, _ = await run.service.sessions.sign_in(role, PASSWORD, "192.0.2.1")
    return f"hotline_session={token}"


async def test_every_page_with_every_role(run: Running) -> None:
    async with run.client() as browser:
        for part in ROLES:
            answer = await browser.get(f"/{part}")
            assert answer.status_code == 303
            assert answer.headers["location"] == f"/signin?next=%2F{part}"
            assert (await browser.get(f"/{part}/index.html")).status_code == 401
        assert (await browser.get("/signin")).status_code == 200
        assert (await browser.get("/")).headers["location"] == "/signin"
        for role, allowed in ALLOWED.items():
            cookie = {"Cookie": await signed_in(run, role)}  # type: ignore[arg-type]
            assert (await browser.get("/", headers=cookie)).headers["location"] == HOME[role]
            for part in ROLES:
                there = (WEB / part / "index.html").is_file()
                well = 200 if there else 404
                for path in (f"/{part}", f"/{part}/index.html"):
                    answer = await browser.get(path, headers=cookie)
                    assert answer.status_code == (well if part in allowed else 403), (role, path)


async def test_given_a_page_then_nothing_inline_runs_and_nobody_frames_it(run: Running) -> None:
    async with run.client() as browser:
        for path in ("/signin", "/shared/ui.css", "/shared/http.js"):
            answer = await browser.get(path)
            assert answer.status_code == 200
            policy = answer.headers["content-security-policy"]
            assert "default-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"


def test_given_all_pages_then_they_name_only_files_of_ours_and_hold_nothing_inline() -> None:
    found = sorted(WEB.glob("*/*.html"))
    assert {page.parent.name for page in found} >= {"signin", "desk"}
    for page in found:
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r"<style|\bstyle=|\bon\w+=|<script(?![^>]*\bsrc=)", text), page
        for address in re.findall(r"(?:src|href)=\"([^\"]+)\"", text):
            if not address.startswith("data:") and address[1:] not in ("", *PAGES):
                assert address.split("/")[1] in PARTS, (page, address)
                assert (WEB / address[1:]).is_file(), (page, address)


async def test_given_a_file_twice_then_it_is_sent_once_and_packed(run: Running) -> None:
    async with run.client() as browser:
        path = "/shared/http.js"
        identity = {"Accept-Encoding": "identity"}
        plain = await browser.get(path, headers=identity)
        assert "content-encoding" not in plain.headers
        assert plain.content == (WEB / "shared/http.js").read_bytes()
        packed = await browser.get(path, headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == plain.content  # httpx unpacks it
        assert int(packed.headers["content-length"]) < len(plain.content)
        assert packed.headers["etag"] != plain.headers["etag"]
        again = await browser.get(path, headers={"If-None-Match": plain.headers["etag"]} | identity)
        assert (again.status_code, again.content) == (304, b"")
        head = await browser.head(path)
        assert (head.status_code, head.content) == (200, b"")


OUTSIDE = [
    "/shared/%2e%2e/%2e%2e/app.py",
    "/shared/%2e%2e/desk/index.html",
    "/shared/..%2fdesk/index.html",
    "/shared/..%2f..%2fapp.py",
    "/shared//etc/passwd",
    "/shared/%2fetc%2fpasswd",
    "/shared/nothing.js",
    "/shared/%00.js",
    "/vendor/README.md",
]


async def test_given_a_way_out_of_the_folder_then_there_is_nothing(run: Running) -> None:
    async with run.client() as browser:
        for path in OUTSIDE:
            answer = await browser.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), path
