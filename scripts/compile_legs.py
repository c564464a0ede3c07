"""Compile what makes legs out of CEL rows: a copy of the code that does it half again as fast.

    .venv/bin/python scripts/compile_legs.py FOLDER
    PYTHONPATH=FOLDER .venv/bin/hotline legs build cel.csv

For records of very many rows. FOLDER becomes a copy of the service's code in which these modules,
the same sources, are compiled by mypyc; it needs a C compiler and takes a minute or two. It is a
copy so that no compiled module can stand beside a source that has changed since: after an update
compile anew into another folder.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("telephony", "api", "migrations", "dialplans", "bench", "tests/replay")
MODULES = (
    "telephony/call_legs.py",
    "telephony/cel/rows.py",
    *(
        f"telephony/legs/{name}.py"
        for name in (
            "channels",
            "folding",
            "gathering",
            "hold",
            "model",
            "offers",
            "restarts",
            "rules",
            "talk",
        )
    ),
)


def main() -> None:
    """Ends with a reason when no copy was made."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("folder", type=Path, help="a folder that does not exist yet")
    target: Path = options.parse_args().folder.absolute()
    if target.exists():
        sys.exit(f"{target} is there already; name a new folder")
    for name in COPIED:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    compiler = Path(sys.executable).with_name("mypyc")
    compiled = subprocess.run(
        [compiler, *MODULES], cwd=target, capture_output=True, text=True, check=False
    )
    shutil.rmtree(target / "build", ignore_errors=True)
    if compiled.returncode:
        shutil.rmtree(target)
        sys.exit(f"{compiled.stdout[-2000:]}{compiled.stderr[-2000:]}\nnot compiled")
    check = "import telephony.call_legs as m; assert m.__file__.endswith('.so')"
    subprocess.run([sys.executable, "-c", check], cwd=target, check=True)


if __name__ == "__main__":
    main()
