#!/usr/bin/env python3
"""Print the part of ``requirements.lock`` that running the service needs, hashes and all.

    python scripts/runtime_lock.py [PACKAGE ...] > runtime.lock

One lock for everything cannot fall apart into two that disagree; an image needs no test tools.
Which package needs which stands in the lock's own "via" comments. A PACKAGE that is named is
printed as well (the image's build stage needs setuptools). Only the standard library is used,
because this runs before anything is installed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"[A-Za-z0-9._-]+")


def normal(name: str) -> str:
    """A package name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(requirement: str) -> str:
    """The package that a requirement line is about."""
    found = NAME.match(requirement)
    if found is None:
        raise ValueError(f"not a requirement: {requirement!r}")
    return normal(found.group())


def entries(lock: str) -> list[tuple[str, str]]:
    """Every package of the lock in order: its name, and its lines with hashes and "via"."""
    blocks = re.split(r"\n(?=[A-Za-z0-9])", "\n" + lock)[1:]
    return [(name_of(block), block.rstrip("\n")) for block in blocks]


def needed_by(block: str) -> set[str]:
    """The packages that the "via" comments of a lock entry name."""
    _, _, via = block.partition("# via")
    lines = [line.strip().removeprefix("#").strip() for line in via.splitlines()]
    return {name_of(line) for line in lines if line}


def runtime(lock: str, direct: set[str]) -> str:
    """The lock entries of these packages and of all that they need."""
    found = entries(lock)
    missing = direct - {name for name, _ in found}
    if missing:
        raise ValueError(f"not in the lock: {', '.join(sorted(missing))}; lock anew")
    wanted: set[str] = set()
    grown = set(direct)
    while grown > wanted:
        wanted = grown
        grown = wanted | {name for name, block in found if needed_by(block) & wanted}
    return "".join(block + "\n" for name, block in found if name in wanted)


def main() -> int:
    """Exit status 0, or 1 with what is wrong with the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    direct = {name_of(requirement) for requirement in project["dependencies"]}
    direct |= {normal(name) for name in sys.argv[1:]}
    try:
        sys.stdout.write(runtime((ROOT / "requirements.lock").read_text("utf-8"), direct))
    except ValueError as error:
        sys.stderr.write(f"requirements.lock: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
