"""Many messages at once: does each become a case once, with its sound as it was spoken?

    python -m bench.messages [AT_ONCE] [WHILE_DOWN]

After hours that many citizens call in the same moment; each speaks a tone of its own for some
seconds and hangs up in the middle. Of every message the sound is compared with what was spoken: its
tone, that the tone never stops, and its length, at least as long as all of them spoke at once and
at most as long as the call. Then the service is stopped, more citizens leave messages, and the
service is started again: how long until all of them are cases? Exit status 1 when one message is
missing, there twice, or not as it was spoken.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import sys
import time
import wave
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bench.plain_sip import Dialog, PlainEndpoint, parse
from bench.stage import BenchStage, bench_stage
from telephony.tones import PACKET_SAMPLES, Samples, tone_second, tone_shares

SPEAKS_S = 3.0
LIMIT_S = 40.0
FIRST_HZ, STEP_HZ = 400, 24
SLACK_S = 0.25
"""A recording ends with the last packet, and begins before the console tells of it."""
BLOCK = 320
MAX_OFF_HZ = 3.0
WORST_SHARE = 0.5


class Speakers(PlainEndpoint):
    """Citizens who speak: each call plays a tone of its own as long as it lasts."""

    def prepare(self) -> None:
        """Open the port from which all of them speak."""
        self.tones: dict[str, int] = {}
        self._to: dict[str, tuple[str, int]] = {}
        self._rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._rtp.bind(("127.0.0.1", 0))
        self._rtp.setblocking(False)

    def _sdp(self) -> str:
        port = self._rtp.getsockname()[1]
        return super()._sdp().replace("m=audio 9 ", f"m=audio {port} ")

    def speak(self, number: str, hertz: int, line: str) -> Dialog:
        """Call the line and speak."""
        dialog = self.call(line, number)
        self.tones[dialog.call_id] = hertz
        return dialog

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        first, headers, body = parse(data)
        port = re.search(r"^m=audio (\d+)", body, re.MULTILINE)
        if first.startswith("SIP/2.0 200") and port and headers["call-id"] in self.tones:
            self._to[headers["call-id"]] = ("127.0.0.1", int(port[1]))
        super().datagram_received(data, addr)

    async def play(self) -> None:
        """Send everybody's sound, twenty milliseconds at a time, until cancelled."""
        began = time.monotonic()
        packet = 0
        while True:
            for number, (call, address) in enumerate(list(self._to.items())):
                if call in self.dialogs:
                    self._rtp.sendto(self._packet(number, packet, self.tones[call]), address)
            packet += 1
            await asyncio.sleep(max(0.0, began + packet * 0.02 - time.monotonic()))

    def _packet(self, number: int, packet: int, hertz: int) -> bytes:
        at = packet * PACKET_SAMPLES % 8000
        head = struct.pack("!BBHII", 0x80, 0, packet & 0xFFFF, packet * PACKET_SAMPLES, number)
        return head + tone_second(hertz, 0)[at : at + PACKET_SAMPLES]


def number_of(place: int) -> str:
    """The number of a citizen."""
    return f"138042{place:05d}"


async def leave(stage: BenchStage, speakers: Speakers, places: range) -> tuple[float, float]:
    """These citizens leave a message, all at once; returns the shortest and longest it may be."""
    line = stage.pbx.settings.line.number
    tones = [FIRST_HZ + STEP_HZ * (place % 100) for place in places]
    calls = [
        speakers.speak(number_of(place), hertz, line)
        for place, hertz in zip(places, tones, strict=True)
    ]
    began = time.monotonic()
    async with asyncio.timeout(LIMIT_S):
        while True:
            if await asyncio.to_thread(recording, stage) == len(calls):
                break
            await asyncio.sleep(0.1)
    recorded = time.monotonic()
    await asyncio.sleep(SPEAKS_S)
    for call in calls:
        speakers.bye(call)
    ended = time.monotonic()
    return ended - recorded - SLACK_S, ended - began + SLACK_S


def recording(stage: BenchStage) -> int:
    """How many calls are being recorded now."""
    return stage.pbx.console("core show channels concise").count("!Record!")


def on_record(stage: BenchStage) -> list[dict[str, Any]]:
    """All messages that the service shows."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = stage.service.get("/messages", kind="message", limit=500, **cursor)
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = {"cursor": page["next"]}


async def until_on_record(stage: BenchStage, count: int) -> float:
    """Wait until that many messages are on record; returns the ``time.monotonic()`` of it."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            if len(await asyncio.to_thread(on_record, stage)) >= count:
                return time.monotonic()
            await asyncio.sleep(0.05)


async def until_looked_at(stage: BenchStage) -> None:
    """Wait until the sound of every message was looked at."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            found = await asyncio.to_thread(on_record, stage)
            if all(one["sound"] != "unchecked" for one in found):
                return
            await asyncio.sleep(0.2)


def wrong_with(
    stage: BenchStage, messages: list[dict[str, Any]], lengths: list[tuple[range, float, float]]
) -> list[str]:
    """What is not as it was spoken, a sentence each; ``lengths``: of whom, shortest and longest."""
    folder = stage.pbx.settings.messages.folder or Path()
    wrong = []
    for one in messages:
        case, place = one["case"], int(one["caller"][-5:])
        with wave.open(str(folder / f"{case}-m1.wav")) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        length = len(samples) / 8000
        heard = float(np.argmax(np.abs(np.fft.rfft(samples)))) / length
        hertz = FIRST_HZ + STEP_HZ * (place % 100)
        shortest, longest = next(two for who, *two in lengths if place in who)
        if one["sound"] != "ok" or abs(one["length_s"] - length) > 0.001:
            wrong.append(f"{case}: on record {one['sound']}, {one['length_s']} s of {length} s")
        elif abs(heard - hertz) > MAX_OFF_HZ:
            wrong.append(f"{case}: {heard:.0f} Hz instead of {hertz}")
        elif (share := steadiness(samples, hertz)) < WORST_SHARE:
            wrong.append(f"{case}: the tone stops (share {share:.2f} in its worst 40 ms)")
        elif not shortest <= length <= longest:
            wrong.append(f"{case}: {length:.2f} s, not {shortest:.2f} to {longest:.2f}")
    return wrong


def steadiness(samples: Samples, hertz: int) -> float:
    """The tone's share of the power in the worst 40 ms."""
    whole = len(samples) // BLOCK * BLOCK
    at_tone, everything = tone_shares(samples[:whole].reshape(-1, BLOCK), hertz)
    return float(np.min(at_tone / np.maximum(everything, 1.0)))


def counted(stage: BenchStage, messages: list[dict[str, Any]], expected: int) -> list[str]:
    """Whether each message is there once, and each is a case of its own."""
    numbers = Counter(one["caller"] for one in messages)
    cases = {one["case"] for one in messages}
    files = list((stage.pbx.settings.messages.folder or Path()).glob("*.wav"))
    found = (len(messages), len(numbers), len(cases), len(files))
    print(f"messages, citizens, cases, files: {found}, expected {expected} of each")
    return [] if found == (expected,) * 4 else [f"{found} instead of {expected} of each"]


async def measure(at_once: int, while_down: int) -> int:
    """The whole run; the exit status."""
    numbers = [number_of(place) for place in range(at_once + while_down)]
    async with bench_stage(0, citizens=numbers) as stage:
        today = time.strftime("%Y%m%d", time.gmtime(time.time() + 8 * 3600))
        stage.pbx.console(f"database put hotline-hours {today} closed")
        speakers = await Speakers.open("13804210000", stage.pbx.sip_port)
        assert isinstance(speakers, Speakers)
        speakers.prepare()
        playing = asyncio.create_task(speakers.play())
        try:
            first, second = range(at_once), range(at_once, at_once + while_down)
            lengths = [(first, *await leave(stage, speakers, first))]
            hung_up = time.monotonic()
            took = await until_on_record(stage, at_once) - hung_up
            print(f"{at_once} messages at once: all on record {took:.2f} s after the last hang-up")
            await asyncio.to_thread(stage.service.stop)
            lengths.append((second, *await leave(stage, speakers, second)))
            began = time.monotonic()
            await asyncio.to_thread(stage.service.start)
            ready = time.monotonic()
            done = await until_on_record(stage, at_once + while_down)
            print(
                f"{while_down} messages while the service was down: all on record "
                f"{done - began:.2f} s after its start, {done - ready:.2f} s after it was ready"
            )
            await until_looked_at(stage)
        finally:
            playing.cancel()
            speakers.close()
        messages = on_record(stage)
        wrong = counted(stage, messages, at_once + while_down)
        wrong += wrong_with(stage, messages, lengths)
    for line in wrong:
        print(line)
    print(f"sound compared with what was spoken: {len(messages)} compared, {len(wrong)} wrong")
    return 1 if wrong else 0


def main() -> int:
    """Exit status 1: something was lost, doubled or not as it was spoken."""
    given = [int(argument) for argument in sys.argv[1:3]]
    at_once, while_down = [*given, 100, 50][:2] if len(given) != 1 else [given[0], 50]
    return asyncio.run(measure(at_once, while_down))


if __name__ == "__main__":
    sys.exit(main())
