"""The pages: static files from ``api/web``, each part with the roles it is for.

``/desk`` is ``api/web/desk/index.html``, ``/desk/board.js`` is ``api/web/desk/board.js``. Nothing
in them may be inline: the Content-Security-Policy lets scripts and styles come from here only, so
words that a citizen or another platform sent us can never run in an officer's browser.

| part       | for                                                        |
| ---------- | ---------------------------------------------------------- |
| `/signin`  | everybody, as what is shared and vendored: no secret in it |
| `/desk`    | agents, supervisors, admins                                |
| `/console` | supervisors, admins, auditors                              |
| `/admin`   | admins; auditors and integrators see what they may read    |
| `/docs`    | who is signed in; everybody where `http.public_docs` is on |
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from api.errors import problem_of
from telephony.errors import NotAllowed, NotFound, NotSignedIn

if TYPE_CHECKING:
    from api.security import Identity
    from telephony.settings import Role

WEB = Path(__file__).resolve().parent / "web"
SHARED = ("shared", "vendor")
ROLES: dict[str, tuple[Role, ...]] = {
    "desk": ("agent",),
    "console": ("supervisor", "auditor"),
    "admin": ("admin", "auditor", "integrator"),
    "docs": ("agent", "auditor", "integrator"),
}
"""Who a part is for, besides those above them in rank."""
PAGES = ("signin", *ROLES)
PARTS = (*PAGES, *SHARED)
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".wav": "audio/wav",
    ".txt": "text/plain; charset=utf-8",
}
"""What is served at all; anything else in the folder is not."""
PACKED = frozenset({".html", ".js", ".css", ".json", ".svg", ".txt"})
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Asked for again each time, which costs nothing while the ETag is the same: after an update
    # nobody works on with half of the old page.
    "Cache-Control": "private, no-cache",
}
router = APIRouter()


@dataclass(frozen=True, slots=True)
class File:
    """A file in memory, also packed; ``stamp`` says whether the one on disk is still this."""

    stamp: tuple[int, int]
    kind: str
    tag: str
    plain: bytes
    packed: bytes | None


_files: dict[Path, File] = {}


def is_page(path: str) -> bool:
    """Whether an address is one of a page, and not one of the interface."""
    first, _, rest = path[1:].partition("/")
    return first in (PARTS if rest else ("", *PAGES))


async def root(request: Request) -> Response:
    """Lead everybody to their own page."""
    identity: Identity | None = request.state.identity
    if identity is None or identity.session is None:
        return _led("/signin")
    return _led(identity.session.person.page)


async def page(request: Request) -> Response:
    """A page itself."""
    part = request.url.path[1:]
    identity: Identity | None = request.state.identity
    roles = _roles(request, part)
    if roles is not None and identity is None:
        return _led(f"/signin?next={quote('/' + part, safe='')}")
    if roles is not None and identity is not None and not identity.may(*roles):
        return await _sent(request, "signin/denied.html", status=403)
    return await _sent(request, f"{part}/index.html")


async def part_of_page(request: Request) -> Response:
    """What a page consists of."""
    part = request.url.path.split("/")[1]
    identity: Identity | None = request.state.identity
    roles = _roles(request, part)
    if roles is not None:
        if identity is None:
            return problem_of(NotSignedIn("sign in at /signin"))
        if not identity.may(*roles):
            return problem_of(NotAllowed("this page is not for your role"))
    return await _sent(request, f"{part}/{request.path_params['file']}")


router.add_route("/", root, ["GET"])
for _page in PAGES:
    router.add_route(f"/{_page}", page, ["GET"])
for _part in PARTS:
    router.add_route(f"/{_part}/{{file:path}}", part_of_page, ["GET"])


def _roles(request: Request, part: str) -> tuple[Role, ...] | None:
    """Who a part is for; None: everybody."""
    if part == "docs" and request.app.state.service.settings.http.public_docs:
        return None
    return ROLES.get(part)


def _led(to: str) -> Response:
    return RedirectResponse(to, 303, headers=HEADERS)


async def _sent(request: Request, name: str, status: int = 200) -> Response:
    file = await _file(name)
    if file is None:
        return problem_of(NotFound("there is no such page"))
    packs = file.packed is not None and "gzip" in request.headers.get("accept-encoding", "")
    tag = f'"{file.tag}{"-gz" if packs else ""}"'
    headers = HEADERS | {"ETag": tag, "Vary": "Accept-Encoding, Cookie"}
    telephone = request.app.state.service.settings.browser.origin
    if telephone:  # the PBX's WebSocket, by which the desk telephones
        policy = POLICY.replace("connect-src 'self'", f"connect-src 'self' {telephone}")
        headers["Content-Security-Policy"] = policy
    if status == 200 and tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = file.plain
    if packs and file.packed is not None:
        headers["Content-Encoding"] = "gzip"
        body = file.packed
    headers["Content-Type"] = file.kind
    answer = Response(body, status, headers=headers)
    if request.method == "HEAD":
        answer.body = b""
    return answer


async def _file(name: str) -> File | None:
    """A file of ours as it is now on disk, or None; never one outside of its folder."""
    path = WEB / name
    if path.suffix not in TYPES or any(one.startswith(".") for one in name.split("/")):
        return None
    stamp = _stamp(path)
    known = _files.get(path)
    if stamp is not None and (known is None or known.stamp != stamp):
        known = _files[path] = await asyncio.to_thread(_read, path, stamp)
    return None if stamp is None else known


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
        ours = path.resolve().is_relative_to(WEB) and path.is_file()
    except (OSError, ValueError):  # not there, or a name that cannot be
        return None
    return (stat.st_mtime_ns, stat.st_size) if ours else None


def _read(path: Path, stamp: tuple[int, int]) -> File:
    plain = path.read_bytes()
    packed = gzip.compress(plain, 9, mtime=0) if path.suffix in PACKED else None
    tag = hashlib.sha256(plain).hexdigest()[:20]
    return File(stamp, TYPES[path.suffix], tag, plain, packed)
