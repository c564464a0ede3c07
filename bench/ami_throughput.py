"""What reading AMI events costs: CPU seconds of the client per 100,000 recorded events.

A server process of its own replays a stream recorded from a real Asterisk (see tests/replay) over
loopback; every contestant reads it in a fresh process, rounds interleaved, medians shown. Every
one reads a header of every event it delivers. The floor is a bare asyncio protocol that makes a
dict of each packet and is not correct (extra CRLFs, repeated headers, replies).

    python bench/ami_throughput.py [--events N] [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import itertools
import json
import multiprocessing
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from telephony.ami_client import AmiClient, Event
from telephony.live_calls import EVENTS

RECORDING = Path(__file__).parent.parent / "tests" / "replay" / "ami_calls.bin.gz"
LAST = "BenchEnd"
RUN_LIMIT_S = 60


class Count:
    """What every contestant does with an event: look at a header, count, notice the last."""

    def __init__(self) -> None:
        self.events = 0
        self.with_uniqueid = 0
        self.started = 0.0
        self.cpu = 0.0

    def start(self) -> None:
        self.started = time.process_time()

    def see(self, name: str, uniqueid: str | None) -> bool:
        """True for the last event; its time ends the measurement."""
        self.events += 1
        if uniqueid:
            self.with_uniqueid += 1
        if name == LAST:
            self.cpu = time.process_time() - self.started
            return True
        return False


# -- the contestants -------------------------------------------------------------------------------


class Bare(asyncio.Protocol):
    """The floor: split, and a dict for each packet."""

    def __init__(self, count: Count, done: asyncio.Event) -> None:
        self.count, self.done = count, done
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"Action: Login\r\nActionID: 1\r\nUsername: b\r\nSecret: b\r\n\r\n")
        self.count.start()

    def data_received(self, data: bytes) -> None:
        *packets, self.rest = (self.rest + data).split(b"\r\n\r\n")
        for packet in packets:
            headers = {}
            for line in packet.decode().split("\r\n"):
                name, _, value = line.partition(": ")
                headers[name] = value
            if "Event" in headers and self.count.see(headers["Event"], headers.get("Uniqueid")):
                self.done.set()


async def bare(port: int, count: Count) -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(lambda: Bare(count, done), "127.0.0.1", port)
    await done.wait()
    transport.close()


async def _ours(port: int, count: Count, events: frozenset[str] | None) -> None:
    done = asyncio.Event()
    client = AmiClient("127.0.0.1", port, "b", "b", events=events)

    def listener(event: Event) -> None:
        if count.see(event.name, event.get("Uniqueid")):
            done.set()

    client.add_event_listener(listener)
    count.start()
    await client.start()
    await done.wait()
    await client.stop()


async def ours(port: int, count: Count) -> None:
    await _ours(port, count, None)


async def ours_filtered(port: int, count: Count) -> None:
    await _ours(port, count, EVENTS | {LAST})


async def plain_library(port: int, count: Count) -> None:
    """asterisk-ami as it comes; it reads in a thread of its own."""
    from asterisk.ami import AMIClient

    done = threading.Event()
    client = AMIClient("127.0.0.1", port, timeout=None)

    def listener(event: Any, **_: Any) -> None:
        if count.see(event.name, event.keys.get("Uniqueid")):
            done.set()

    client.add_event_listener(listener)
    count.start()
    client.login("b", "b")
    await asyncio.to_thread(done.wait)
    # No disconnect(): it waits for ever for its reader; the thread ends with the process.


async def panoramisk(port: int, count: Count) -> None:
    from panoramisk import Manager

    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    manager = Manager(loop=loop, host="127.0.0.1", port=port, username="b", secret="b")

    def listener(_: Any, message: Any) -> None:
        if count.see(message.event, message.uniqueid):
            done.set()

    manager.register_event("*", listener)
    count.start()
    await manager.connect()
    await done.wait()
    manager.close()


CONTESTANTS: dict[str, tuple[str, Callable[[int, Count], Any]]] = {
    "bare": ("bare asyncio + dict (not correct)", bare),
    "ours": ("AmiClient, every event parsed", ours),
    "filter": ("AmiClient, name filter of the live picture", ours_filtered),
    "asterisk-ami": ("asterisk-ami as it comes", plain_library),
    "panoramisk": ("panoramisk", panoramisk),
}


# -- the server ------------------------------------------------------------------------------------


def recorded_stream() -> tuple[bytes, int]:
    """The recording between login and logoff, and how many events are in it."""
    recording = gzip.decompress(RECORDING.read_bytes())
    _, _, stream = recording.partition(b"Message: Authentication accepted\r\n\r\n")
    stream = stream.partition(b"Response: Goodbye")[0]
    return stream, stream.count(b"\nEvent: ")


def serve(listener: socket.socket, repeats: int) -> None:
    """Replay the stream to each client that signs in, one after the other."""
    stream, _ = recorded_stream()
    while True:
        link, _ = listener.accept()
        with link:
            link.sendall(b"Asterisk Call Manager/11.0.0\r\n")
            login = b""
            while b"\r\n\r\n" not in login:
                login += link.recv(4096)
            action_id = login.partition(b"ActionID: ")[2].partition(b"\r\n")[0]
            link.sendall(b"Response: Success\r\nActionID: " + action_id + b"\r\n\r\n")
            try:
                for _ in range(repeats):
                    link.sendall(stream)
                link.sendall(f"Event: {LAST}\r\nUniqueid: 1.1\r\n\r\n".encode())
                while link.recv(4096):
                    pass
            except ConnectionError:
                continue  # a contestant that went away says so in its own output


def run_client(name: str, port: int) -> None:
    """In a process of its own: one contestant, one replay; prints what it measured."""
    count = Count()
    asyncio.run(asyncio.wait_for(CONTESTANTS[name][1](port, count), RUN_LIMIT_S))
    print(json.dumps({"cpu": count.cpu, "events": count.events}))


# -- the table -------------------------------------------------------------------------------------


def measure(events: int, rounds: int) -> dict[str, Any]:
    """All rounds; the result by contestant, with the ratio to the floor."""
    _, in_stream = recorded_stream()
    repeats = -(-events // in_stream)
    sent = repeats * in_stream
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = multiprocessing.Process(target=serve, args=(listener, repeats), daemon=True)
    server.start()
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    delivered: dict[str, int] = {}
    try:
        for _, name in itertools.product(range(rounds), CONTESTANTS):
            command = [sys.executable, __file__, "--client", name, "--port", str(port)]
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=RUN_LIMIT_S + 10, check=True
            )
            result = json.loads(done.stdout.splitlines()[-1])
            times[name].append(result["cpu"] / sent * 100_000)
            delivered[name] = result["events"]
    finally:
        server.terminate()
        server.join()
    floor = statistics.median(times["bare"])
    rows = [
        {
            "client": CONTESTANTS[name][0],
            "cpu_s_per_100k": round(statistics.median(values), 4),
            "ratio": round(statistics.median(values) / floor, 3),
            "delivered": delivered[name],
            "rounds": [round(value, 4) for value in values],
        }
        for name, values in times.items()
    ]
    return {"events": sent, "rounds": rounds, "clients": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--client", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        run_client(options.client, options.port)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends too
    result = measure(options.events, options.rounds)
    print(f"{result['events']:,} recorded events, median of {result['rounds']} rounds")
    print(f"{'client':44} {'CPU s/100k':>10} {'x floor':>8} {'delivered':>10}")
    for row in result["clients"]:
        print(
            f"{row['client']:44} {row['cpu_s_per_100k']:10.3f} {row['ratio']:8.2f}"
            f" {row['delivered']:10,}"
        )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
