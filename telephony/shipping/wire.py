"""The shipper's side of HTTP: one kept-open connection to the service, errors told apart."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from telephony.errors import SettingsError

ANSWER_S = 20.0
FULL = "spool-full"
"""It takes no sounds for now; rows it does."""


class Away(Exception):
    """The service cannot be reached, or asks to be asked later: try again."""


class Refused(Exception):
    """The service does not want it so; ``code`` is that of the problem."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code


class Wire:
    """A connection to a service, opened anew after every failure. Raises :class:`SettingsError`."""

    def __init__(self, url: str, token: str, *, ca_file: Path | None = None) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = 0
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise SettingsError([f"{url!r} is no address; use https://host:port"])
        if not token or any(char in token for char in "\r\n"):
            raise SettingsError(["the token is empty, or not one line"])
        self.url = url
        self._host, self._port = parts.hostname, port
        self._prefix = parts.path.rstrip("/") + "/api/v1"
        self._tls = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context(cafile=ca_file and str(ca_file))
        self._token = token
        self._link: http.client.HTTPConnection | None = None

    def ask(self, method: str, parts: list[str], query: dict[str, Any], body: bytes = b"") -> Any:
        """The JSON of the answer. Raises :class:`Away`, :class:`Refused`."""
        path = "/".join([self._prefix, *(quote(part, safe="") for part in parts)])
        target = f"{path}?{urlencode(query)}" if query else path
        headers = {"Authorization": f"Bearer {self._token}"}
        if body:
            headers["Content-Type"] = "application/octet-stream"
        try:
            link = self._link or self._connect()
            link.request(method, target, body=body or None, headers=headers)
            answer = link.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Away(f"{self.url}: {error or type(error).__name__}") from None
        if answer.status < 300:
            try:
                return json.loads(data)
            except ValueError:  # a proxy's own page, as while the service starts anew
                raise Away(f"{self.url}: {answer.status} with no answer of ours") from None
        try:
            problem = json.loads(data)
            code, detail = str(problem["code"]), str(problem["detail"])
        except (ValueError, KeyError, TypeError):
            code, detail = "unknown", data[:200].decode(errors="replace")
        if answer.status in (408, 429) or (answer.status >= 500 and code != FULL):
            raise Away(f"{self.url}: {answer.status} {detail}")
        raise Refused(answer.status, code, detail)

    def close(self) -> None:
        """Let go of the connection."""
        if self._link is not None:
            self._link.close()
        self._link = None

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            self._link = http.client.HTTPSConnection(
                self._host, self._port, timeout=ANSWER_S, context=self._tls
            )
        else:
            self._link = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_S)
        return self._link
