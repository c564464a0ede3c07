"""The rows of the table: the ways in which an agent hands a citizen over.

Another way is another ``Way`` here and another column of text in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import httpx

from telephony.softphone import CallState, CallStateError

if TYPE_CHECKING:
    from tests.handovers.cell import Cell

_TONE_MS = _GAP_MS = 60
_PATIENCE_S = 10.0

Meanwhile = Literal["waits", "gone", "talks"]


@dataclass(frozen=True, slots=True)
class Way:
    """``press`` hands the cell's citizen to a desk; gives an HTTP or SIP status, or 0 for a key.

    ``agent_meanwhile``: while the target rings the agent waits with music, has let go, or talks on.
    ``takes_time``: pressing takes a while, and works when it ends. ``kinds``: what the record calls
    it. ``press_twice``: two presses in one go, where that is not two requests over HTTP.

    ``asks``: the agent speaks with the target first. ``complete``: what the agent does once the
    target has answered; ``let_go``: how the agent leaves before that, and whether the target
    ``rings_on`` then; ``resume``: what the agent does to talk again with the citizen who is back.
    """

    name: str
    press: Callable[[Cell, str], int]
    agent_meanwhile: Meanwhile
    kinds: tuple[str, ...]
    needs_service: bool = False
    takes_time: bool = False
    press_twice: Callable[[Cell, str], int] = lambda cell, desk: 0
    asks: bool = False
    complete: Callable[[Cell], None] = lambda cell: None
    let_go: Callable[[Cell], None] = lambda cell: cell.agent.hangup()
    rings_on: bool = True
    resume: Callable[[Cell], None] = lambda cell: None


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


def _consult(cell: Cell, desk: str) -> int:
    return cell.http("POST", f"/calls/{cell.call_id}/consult", {"desk": desk}).status_code


def _complete(cell: Cell) -> None:
    """Complete over HTTP; without the service the agent hangs up, which is the same."""
    try:
        running = cell.asked()
    except (httpx.TransportError, ConnectionError):
        running = None
        cell.speak_with(cell.agent)
        cell.agent.hangup()
    if running is None:
        return
    cell.speak_with(cell.agent)
    status = cell.http("POST", f"/handovers/{running}/complete", {}).status_code
    assert status == 202, f"completing was answered {status}"


def _second_line(cell: Cell, desk: str) -> int:
    """Hold the citizen and dial the desk; 404 when the PBX has no such number."""
    cell.agent.hold()
    cell.second = cell.agent_phone.call(desk)
    cell.second.play_tone(cell.agent_hz)
    with suppress(CallStateError):
        cell.second.wait_ringing(_PATIENCE_S)
    if cell.second.end_code == 404:
        return 404  # and no channel
    cell.dialled.append(cell.second)
    return 0


def _second_line_joined_twice(cell: Cell, desk: str) -> int:
    cell.joins = 2
    return _second_line(cell, desk)


def _join_when_answered(cell: Cell) -> None:
    assert cell.second is not None
    if cell.agent.state is CallState.ENDED:
        return  # joined while it rang
    try:
        cell.second.wait_answered(_PATIENCE_S)
    except CallStateError:
        return  # it was answered too late
    cell.speak_with(cell.second)
    _join(cell)


def _join(cell: Cell) -> None:
    second = cell.second
    assert second is not None

    def press(_: int) -> int:
        with suppress(CallStateError):  # the other press was first
            return cell.agent.refer_to_call(second)
        return 0

    with ThreadPoolExecutor(cell.joins) as pool:
        codes = list(pool.map(press, range(cell.joins)))
    # Of two presses the phone cannot tell which of them was refused: what came of it tells.
    assert 202 in codes or cell.joins > 1, f"joining was answered {codes}"


def _back_to_first_line(cell: Cell) -> None:
    if cell.second is not None:
        cell.second.wait_ended(_PATIENCE_S)
    if cell.agent.held:
        cell.agent.hold(False)


ONE_KEY = Way("one-key", _transfer, "waits", ("one-key",), needs_service=True)
PHONE_KEY = Way("phone-key", _key, "waits", ("one-key",), takes_time=True, press_twice=_keys)
REFER = Way("refer", _refer, "gone", ("refer",), press_twice=_refers)
THREE_WAY = Way("three-way", _conference, "talks", ("three-way",), needs_service=True)
CONSULT = Way(
    "consult",
    _consult,
    "waits",
    ("consult",),
    needs_service=True,
    asks=True,
    complete=_complete,
    rings_on=False,
)
ATTENDED = Way(
    "attended",
    _second_line,
    "waits",
    ("attended",),
    press_twice=_second_line_joined_twice,
    asks=True,
    complete=_join_when_answered,
    let_go=_join,
    resume=_back_to_first_line,
)

WAYS = {way.name: way for way in (ONE_KEY, PHONE_KEY, REFER, THREE_WAY, CONSULT, ATTENDED)}
