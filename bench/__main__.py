"""All figures, one after the other: ``make bench``."""

from __future__ import annotations

import subprocess
import sys

PARTS = (
    ["bench.ami_throughput", "--rounds", "3"],
    ["bench.transfer_key", "100"],
    ["bench.return_gap", "20"],
    ["bench.three_way"],
    ["bench.load_legs", "500", "20"],
    ["bench.handovers", "1000", "10", "1000"],
    ["bench.messages", "100", "50"],
    ["bench.dialplan_load", "50", "3"],
    ["bench.legs_build"],
    ["bench.lists", "300000", "3"],
    ["bench.exports", "300000"],
    ["bench.record_rates"],
    ["bench.takeover", "5"],
    ["bench.dialplan_check"],
    ["bench.dialplan_mutations"],
)


def main() -> int:
    """Run every part in a process of its own; non-zero when one could not measure."""
    worst = 0
    for module, *arguments in PARTS:
        print(f"\n== python -m {module} {' '.join(arguments)}", flush=True)
        worst = max(worst, subprocess.run([sys.executable, "-m", module, *arguments]).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
