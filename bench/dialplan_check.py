"""How long ``hotline dialplan check`` takes: the whole shipped dialplan cold, and a large own one.

Usage: python -m bench.dialplan_check [LINES]
Each is a process of its own, as an admin starts it; cold: nothing is known of Asterisk yet, so that
it is asked for its applications and functions as well. LINES (10,000) are of custom_plan.conf, its
contexts under new names as often as it takes. Wanted: 5 s and 10 s.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from telephony.asterisk_program import cache_dir

CUSTOM = Path(__file__).with_name("custom_plan.conf")
SHIPPED_S, LARGE_S = 5.0, 10.0


def large(lines: int) -> str:
    """A dialplan of so many lines: copies of one, each with contexts of its own."""
    text = CUSTOM.read_text(encoding="utf-8")
    head, _, body = text.partition("\n[town-hall]")
    body = "\n[town-hall]" + body
    copies = -(-lines // body.count("\n"))
    return head + "".join(body.replace("town-hall", f"house{one}") for one in range(copies))


def cold_cache(folder: Path) -> Path:
    """A cache that has Asterisk's program and nothing that was asked from it."""
    folder.mkdir()
    for entry in cache_dir().iterdir():
        if entry.name.startswith("asterisk-root"):
            (folder / entry.name).symlink_to(entry)
    return folder


def timed(arguments: list[str], cache: Path) -> tuple[float, str]:
    """Seconds that a check takes and what to print of it; ends the bench when it refuses."""
    names = {"HOTLINE_PBX__AMI_SECRET": "not-needed-here", "HOTLINE_CACHE_DIR": str(cache)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("hotline")), "dialplan", "check", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **names},
        check=False,
    )
    took = time.monotonic() - begun
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if " error " in line]
        raise SystemExit(f"check {' '.join(arguments)} refuses: {errors[:5]}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    last = done.stdout.strip().splitlines()[-1]
    return took, f"{took:.1f} s, {cpu:.1f} s of a core, its scratch Asterisk included: {last}"


def main() -> int:
    """Print both times; 1 when one is longer than wanted."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = cold_cache(folder / "cache")
        shipped, said = timed([], cache)
        print(f"whole shipped dialplan, cold (wanted {SHIPPED_S:.0f} s): {said}")
        print(f"again: {timed([], cache)[1]}")
        own = folder / "large.conf"
        own.write_text(large(lines), encoding="utf-8")
        count = own.read_text(encoding="utf-8").count("\n")
        took, said = timed([str(own)], cache)
        print(f"{count} lines of an own dialplan (wanted {LARGE_S:.0f} s): {said}")
    return 1 if shipped > SHIPPED_S or took > LARGE_S else 0


if __name__ == "__main__":
    sys.exit(main())
