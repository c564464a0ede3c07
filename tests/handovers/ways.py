"""The rows of the table: the ways in which an agent hands a citizen over.

Another way is another ``Way`` here and another column of text in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.handovers.cell import Cell

_TONE_MS = _GAP_MS = 60

Meanwhile = Literal["waits", "gone", "talks"]


@dataclass(frozen=True, slots=True)
class Way:
    """``press`` hands the cell's citizen to a desk; gives an HTTP or SIP status, or 0 for a key.

    ``agent_meanwhile``: while the target rings the agent waits with music, has let go, or talks on.
    ``takes_time``: pressing takes a while, and works when it ends. ``kinds``: what the record calls
    it. ``press_twice``: two presses in one go, where that is not two requests over HTTP.
    """

    name: str
    press: Callable[[Cell, str], int]
    agent_meanwhile: Meanwhile
    kinds: tuple[str, ...]
    needs_service: bool = False
    takes_time: bool = False
    press_twice: Callable[[Cell, str], int] = lambda cell, desk: 0


def _transfer(cell: Cell, desk: str) -> int:
    return cell.http("POST", f"/calls/{cell.call_id}/transfer", {"desk": desk}).status_code


def _conference(cell: Cell, desk: str) -> int:
    return cell.http("POST", f"/calls/{cell.call_id}/conference", {"desk": desk}).status_code


def _key(cell: Cell, desk: str) -> int:
    code = cell.seat.key(desk)
    cell.agent.send_dtmf(code[:-1], tone_ms=_TONE_MS, gap_ms=_GAP_MS)
    # Asterisk takes no key for shorter than 80 ms.
    cell.agent.send_dtmf(code[-1], tone_ms=100, gap_ms=20)
    return 0


def _refer(cell: Cell, desk: str) -> int:
    return cell.agent.refer(desk)


def _keys(cell: Cell, desk: str) -> int:
    cell.agent.send_dtmf(2 * cell.seat.key(desk), tone_ms=_TONE_MS, gap_ms=_GAP_MS)
    return 0


def _refers(cell: Cell, desk: str) -> int:
    with ThreadPoolExecutor(2) as pool:
        pressed = [pool.submit(cell.agent.refer, desk, hang_up=False) for _ in range(2)]
        codes = [one.result() for one in pressed]
    cell.agent.hangup()
    return max(codes)


ONE_KEY = Way("one-key", _transfer, "waits", ("one-key",), needs_service=True)
PHONE_KEY = Way("phone-key", _key, "waits", ("one-key",), takes_time=True, press_twice=_keys)
REFER = Way("refer", _refer, "gone", ("refer",), press_twice=_refers)
THREE_WAY = Way("three-way", _conference, "talks", ("three-way",), needs_service=True)

WAYS = {way.name: way for way in (ONE_KEY, PHONE_KEY, REFER, THREE_WAY)}
