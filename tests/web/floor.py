"""What tests in a real browser share: the PBX with browser phones, people, tones to measure."""

from __future__ import annotations

import math
import os
import shutil
import struct
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from pydantic import SecretStr

from telephony.settings import Agent, Line, Settings
from tests.pbx.scene import PASSWORD, pbx_settings

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from telephony.demo.stage import Service

OWN_PASSWORD = "four words make one"
MIC_HZ = 900.0
"""What the browser's microphone hears, without end."""
PEOPLE: dict[str, dict[str, Any]] = {
    "agent": {"roles": ["agent"], "agent": "8001", "display_name": "坐席甲"},
    "colleague": {"roles": ["agent"], "agent": "8002", "display_name": "坐席乙"},
    "supervisor": {
        "roles": ["supervisor"],
        "display_name": "班长",
        "may_monitor": True,
        "agent": "8003",
    },
    "admin": {"roles": ["admin"], "display_name": "管理员"},
    "auditor": {"roles": ["auditor"], "display_name": "审计员"},
}
"""Who may sign in, by what they are called here; everybody's password is OWN_PASSWORD."""
PAGES = {
    "agent": "/desk",
    "colleague": "/desk",
    "supervisor": "/console",
    "admin": "/admin",
    "auditor": "/console",
}
FLAGS = [
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-gpu",
    "--no-first-run",
    # A machine without a network has its own address only.
    "--allow-loopback-in-peer-connection",
]

INSTRUMENTS = """
// A tone is no noise: what cleans up a voice would take it away.
const ask = navigator.mediaDevices && navigator.mediaDevices.getUserMedia;
if (ask) navigator.mediaDevices.getUserMedia = function () {
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  return ask.call(navigator.mediaDevices, { audio: plain, video: false });
};
const Native = window.RTCPeerConnection;
if (Native) window.RTCPeerConnection = class extends Native {
  constructor(...all) {
    super(...all);
    this.addEventListener("track", (event) => {
      const context = new AudioContext({ sampleRate: 48000 });
      const meter = context.createAnalyser();
      meter.fftSize = 8192;
      meter.smoothingTimeConstant = 0;
      context.createMediaStreamSource(event.streams[0]).connect(meter);
      window.__share = (hz) => {
        const levels = new Float32Array(meter.frequencyBinCount);
        meter.getFloatFrequencyData(levels);
        let all = 0, near = 0;
        levels.forEach((db, bin) => {
          const power = 10 ** (db / 10), at = (bin * context.sampleRate) / meter.fftSize;
          if (at < 100 || at > 3800) return;
          all += power;
          if (Math.abs(at - hz) < 30) near += power;
        });
        return all > 1e-9 ? near / all : 0;
      };
    });
  }
};
"""
"""Put into every page before its own scripts: lets a test measure what the browser hears."""


def web_settings() -> Settings:
    """The tests' line, with two agents who may telephone in the browser."""
    plain = pbx_settings()

    def agent(one: Agent) -> Agent:
        browser = SecretStr(f"{PASSWORD}-web") if one.id in ("8001", "8002") else None
        # The desk phone of 8001 answers when the page says so, that of 8002 does not.
        told = one.id == "8001"
        return one.model_copy(update={"browser_password": browser, "remote_answer": told})

    return plain.model_copy(
        update={
            "agents": [agent(one) for one in plain.agents],
            # A page on a busy machine takes its time.
            "desks": [one.model_copy(update={"ring_s": 10}) for one in plain.desks],
            "line": Line(queue_wait_s=30, agent_ring_s=12),
            "lines": [],
        }
    )


def microphone(file: Path) -> Path:
    """The sound of the browser's microphone: one second of MIC_HZ, played on and on."""
    rate = 48000
    samples = [round(9000 * math.sin(2 * math.pi * MIC_HZ * at / rate)) for at in range(rate)]
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(struct.pack(f"<{rate}h", *samples))
    return file


def chromium() -> str:
    """Debian's Chromium; fails with what to do when it is not there."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.fail("Chromium is not installed; run: scripts/setup-browser", pytrace=False)
    return found


def flags(sound: Path) -> list[str]:
    """How Chromium is started: a microphone that hears this sound, no sandbox for root."""
    own = [*FLAGS, f"--use-file-for-fake-audio-capture={sound}"]
    return [*own, "--no-sandbox"] if os.geteuid() == 0 else own


def make_people(service: Service) -> None:
    """Everybody of PEOPLE, with their password."""
    for name, person in PEOPLE.items():
        answer = service.post("/people", {"name": name, "password": OWN_PASSWORD, **person})
        assert answer.status_code == 201, answer.text


@dataclass(slots=True)
class SignIn:
    """Signs people in, each in a browser profile of their own; see the ``sign_in`` fixture."""

    url: str
    new_page: Callable[..., Page]

    def __call__(self, who: str, path: str | None = None, **profile: Any) -> Page:
        """The page of this person, signed in through the sign-in page's own address."""
        page = self.new_page(**profile)
        answer = page.request.post(
            f"{self.url}/api/v1/session", data={"name": who, "password": OWN_PASSWORD}
        )
        assert answer.ok, answer.text()
        page.goto(self.url + (path or PAGES[who]))
        return page


def hears(page: Page, hz: float, limit_s: float = 6.0) -> None:
    """Return when most of what the page's telephone hears is this tone."""
    page.wait_for_function(
        "hz => window.__share && window.__share(hz) > 0.6", arg=hz, timeout=limit_s * 1000
    )


def assert_usable(page: Page) -> None:
    """No fault of WCAG 2.1 A and AA that axe-core finds."""
    wanted = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
    found = Axe().run(page, options=wanted)
    assert found.violations_count == 0, found.generate_report()
