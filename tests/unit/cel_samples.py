"""Recorded CEL (tests/replay) as rows, and rows made by hand."""

from __future__ import annotations

from pathlib import Path

from telephony.call_legs import Directory, Leg, build_legs
from telephony.cel.rows import CelRow, our_layout, read_lines

REPLAY = Path(__file__).resolve().parent.parent / "replay"
NAMES = sorted(path.stem.removeprefix("cel_") for path in REPLAY.glob("cel_*.csv"))


def recorded(name: str) -> list[CelRow]:
    """The rows of a recorded call."""
    layout = our_layout()
    with (REPLAY / f"cel_{name}.csv").open(newline="") as lines:
        return [layout.row(fields) for _, fields in read_lines(lines, layout, _no_bad)]


def _no_bad(line: int, reason: str) -> None:
    raise AssertionError(f"line {line}: {reason}")


def legs_of(name: str, directory: Directory | None = None) -> list[Leg]:
    """The legs of a recorded call, the first to begin first."""
    legs = build_legs(recorded(name), directory=directory)
    return sorted(legs, key=lambda leg: (leg.first_at, leg.uniqueid))


def row(at: float, event: str, channel: str, uniqueid: str, **fields: str) -> CelRow:
    """A row made by hand; ``at`` in seconds after an arbitrary moment."""
    values = dict.fromkeys(CelRow._fields[5:], "") | fields
    linkedid = values.pop("linkedid", uniqueid)
    micros = 1_795_000_000_000_000 + round(at * 1_000_000)
    return CelRow(micros, event, channel, uniqueid, linkedid, **values)
