"""From the PBX's event to the agent's screen: how long it takes on one machine.

A call begins to ring at a desk phone; the page shows it. Compared are the moment at which the AMI
event arrives on a link of our own and the moment at which the page has drawn it, both read from the
clock of this machine. Run with ``python -m bench.desk_latency [calls]``.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from telephony.ami_client import AmiClient
from telephony.asterisk_program import find_asterisk
from telephony.demo.stage import Service
from telephony.dialplan import Phone
from telephony.private_pbx import PrivatePbx
from telephony.softphone import Softphone
from tests.pbx.scene import CITIZENS, LINE, PASSWORD, brief_prompts, set_hours
from tests.pbx.served import service_settings, serving
from tests.web.floor import SignIn, chromium, flags, make_people, microphone, web_settings

if TYPE_CHECKING:
    from telephony.ami_client import Event
    from telephony.settings import Pbx

WATCH = """
new MutationObserver(() => {
  const card = document.querySelector("[data-call]");
  const now = card && card.dataset.call;
  if (now === window.__was) return;
  window.__was = now;
  // Drawn: after the next frame.
  requestAnimationFrame(() => requestAnimationFrame(() => {
    (window.__shown ??= []).push([now, performance.timeOrigin + performance.now()]);
  }));
}).observe(document.body, { subtree: true, childList: true, attributes: true });
"""


class Listener(threading.Thread):
    """A link to the PBX of our own: when each phone begins to ring, in ms since 1970."""

    def __init__(self, pbx: Pbx) -> None:
        super().__init__(daemon=True)
        self._pbx = pbx
        self.rang: list[float] = []
        self.ready = threading.Event()

    def run(self) -> None:
        asyncio.run(self._listen())

    async def _listen(self) -> None:
        client = AmiClient.from_settings(self._pbx, events=frozenset({"Newstate"}))

        def heard(event: Event) -> None:
            if event.get("ChannelStateDesc") == "Ringing":
                self.rang.append(time.time() * 1000)

        client.add_event_listener(heard, frozenset({"Newstate"}))
        await client.start()
        await client.wait_up(5)
        self.ready.set()
        await asyncio.Event().wait()


def main(calls: int) -> None:
    """Let a desk phone ring so many times and say how long the page took."""
    with tempfile.TemporaryDirectory(prefix="hotline-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        citizens = [Phone(one, PASSWORD, "hotline-trunk") for one in CITIZENS]
        with PrivatePbx(find_asterisk(), folder / "root", web_settings(), citizens) as pbx:
            brief_prompts(pbx)
            set_hours(pbx, "0000-2400")
            own = folder / "service"
            own.mkdir()
            with serving(service_settings(pbx, own), own) as service:
                make_people(service)
                took = _measure(pbx, service, folder, calls)
    ordered = sorted(took)
    print(
        f"event to screen, {len(took)} calls: median {statistics.median(took):.0f} ms, "
        f"slowest {ordered[-1]:.0f} ms"
    )


def _measure(pbx: PrivatePbx, service: Service, folder: Path, calls: int) -> list[float]:
    listener = Listener(pbx.settings.pbx)
    listener.start()
    listener.ready.wait(10)
    phones = [Softphone("127.0.0.1", pbx.sip_port, who, PASSWORD) for who in ("8002", CITIZENS[0])]
    for phone in phones:
        phone.start()
    agent, citizen = phones
    took = []
    with sync_playwright() as playwright:
        sound = microphone(folder / "tone.wav")
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags(sound))

        def new_page(**profile: Any) -> Any:
            return browser.new_context(base_url=service.url, **profile).new_page()

        page = SignIn(service.url, new_page)("colleague")
        service.post("/agents/8002/sign-in", {}).raise_for_status()
        page.locator("[data-state=ready]").wait_for()
        page.evaluate(WATCH)
        for number in range(1, calls + 1):
            call = citizen.call(LINE)
            rings = agent.wait_for_call(15)
            count = "n => (window.__shown || []).filter(one => one[0] === 'ringing').length >= n"
            page.wait_for_function(count, arg=number)
            shown = page.evaluate("window.__shown.filter(one => one[0] === 'ringing').at(-1)[1]")
            took.append(shown - listener.rang[-1])
            call.hangup()
            rings.wait_ended(10)
            page.locator("[data-state=ready]").wait_for()
        browser.close()
    for phone in phones:
        phone.stop()
    return took


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
