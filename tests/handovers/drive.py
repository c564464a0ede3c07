"""What happens in each column of the table, from the press until the hand-over is decided.

How it must come out stands in the table, not here.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

from telephony.softphone import CallState, CallStateError
from tests.handovers.cell import Cell
from tests.handovers.floor import RING_S
from tests.handovers.senses import PATIENCE_S, eventually, run_at_once


def answered(cell: Cell) -> None:
    cell.begin()
    cell.press()
    cell.take(cell.ringing())


def busy(cell: Cell) -> None:
    """The desk's phone is in use and refuses by itself."""
    cell.begin()
    cell.floor.phone(cell.seat.desks[0]).auto_answer = "busy"
    cell.press()


def declined(code: int, cell: Cell) -> None:
    cell.begin()
    cell.press()
    cell.ringing().deny(code)


def unreachable(cell: Cell) -> None:
    cell.begin()
    cell.press(cell.seat.absent)


def not_found(cell: Cell) -> None:
    """Nobody has this number: refused before the citizen is touched."""
    cell.begin()
    if cell.way.needs_service:
        cell.wait_talking()
    status = cell.press_anyhow("99999")
    assert status in (403, 404, 0), f"the press was answered {status}"


def no_answer(cell: Cell) -> None:
    cell.begin()
    cell.press()
    cell.ringing().wait_ended(RING_S + PATIENCE_S)


def at_the_limit(delta_s: float, cell: Cell) -> None:
    """The target answers when its time to ring is over."""
    cell.begin()
    cell.press()
    call = cell.ringing()
    time.sleep(RING_S + delta_s)
    with suppress(CallStateError):  # the PBX was first
        cell.take(call)


def caller_before(cell: Cell) -> None:
    cell.begin()
    cell.press_and(cell.citizen.hangup)


def caller_ringing(cell: Cell) -> None:
    cell.begin()
    cell.press()
    cell.ringing()
    cell.citizen.hangup()


def caller_after(cell: Cell) -> None:
    cell.begin()
    cell.press()
    cell.answer(cell.ringing())
    cell.citizen.hangup()


def agent_before(cell: Cell) -> None:
    """The agent presses and hangs up at once. Whoever's phone rings then, takes the call."""
    cell.begin()
    cell.press_and(cell.agent.hangup)
    if cell.second is not None:
        cell.second.hangup()
    desk = cell.floor.phone(cell.seat.desks[0])

    def rung() -> bool:
        # A key of an agent who hangs up is not always seen by the PBX, and with HTTP they may be
        # quicker: the call has ended in the ordinary way. What HTTP took, must work.
        ended = 202 not in cell.pressed and cell.citizen.state is CallState.ENDED
        # Without the agent nobody asks a desk, however short it rang.
        desk_rings = desk.calls and not cell.way.asks
        return bool(desk_rings or cell.agent_phone.calls or ended)

    eventually(rung, "a phone rings", every_s=0.01)
    if desk.calls and not cell.way.asks:
        cell.take(cell.ringing())


def agent_ringing(cell: Cell) -> None:
    cell.begin()
    cell.press()
    call = cell.ringing()
    cell.let_go()
    if cell.way.rings_on:
        cell.take(call)
    else:
        call.wait_ended(PATIENCE_S)


def agent_ringing_then_refused(cell: Cell) -> None:
    cell.begin()
    cell.press()
    call = cell.ringing()
    cell.let_go()
    call.deny(486)


def agent_after(cell: Cell) -> None:
    cell.begin()
    cell.press()
    cell.answer(cell.ringing())
    cell.let_go()


def target_at_once(cell: Cell) -> None:
    """The target answers and hangs up in the same moment."""
    cell.begin()
    cell.press()
    call = cell.ringing()
    call.answer()
    cell.floor.phone(cell.seat.desks[0]).wait_acked(call)
    call.hangup()


def again(cell: Cell) -> None:
    """Three failures, a press after each; the fourth is answered."""
    cell.begin()
    for _ in range(3):
        cell.press()
        cell.ringing().deny(486)
        cell.back()
    cell.press()
    cell.take(cell.ringing())


def caller_after_failure(cell: Cell) -> None:
    cell.begin()
    cell.press()
    cell.ringing().deny(486)
    cell.back()
    cell.citizen.hangup()
    assert cell.agent.wait_ended(PATIENCE_S) == 200


def caller_at_failure(cell: Cell) -> None:
    """The citizen hangs up in the moment of the refusal."""
    cell.begin()
    cell.press()
    cell.ringing().deny(486)
    cell.citizen.hangup()


def agent_gone(cell: Cell) -> None:
    """The agent's phone dies while the target rings, and the target refuses."""
    cell.begin(fading=True)
    cell.press(cell.seat.slow)
    call = cell.ringing()
    with cell.floor.queue_lock:
        cell.floor.join_queue(cell.seat.other)
        cell.vanish()
        call.deny(486)
        cell.next_agent()


def twice(cell: Cell) -> None:
    """The same key twice within 50 ms."""
    cell.begin()
    if cell.way.needs_service:
        cell.wait_talking()
    codes = cell.press_twice()
    assert all(code < 500 for code in codes)
    if cell.way.needs_service:
        assert sorted(codes) == [202, 409]
    cell.take(cell.ringing())


def two_agents(cell: Cell) -> None:
    """An agent who is not on the call presses for it at the same moment."""
    cell.begin()
    cell.wait_talking()
    first, second = cell.seat.desks[:2]
    _, theirs = run_at_once(partial(cell.press_anyhow, first), partial(cell.press_as_other, second))
    assert theirs in (403, 409), f"the other agent's press was answered {theirs}"
    cell.take(cell.ringing())


def ring_all(cell: Cell) -> None:
    """Two phones ring; one declines, the other answers."""
    cell.begin()
    cell.press(cell.seat.ring_all)
    first, second = cell.ringing(0), cell.ringing(1)
    first.deny(603)
    cell.take(second)


def chain(cell: Cell) -> None:
    """Each target hands on to the next."""
    cell.begin()
    cell.press()
    cell.take(cell.ringing())
    for desk in (1, 2):
        cell.settle()
        cell.hand_on(desk)


def out_of_three_way(cell: Cell) -> None:
    """In a three-way call the press changes nothing; when it is a call of two again, it works."""
    cell.begin()
    cell.three_way(1)
    cell.press_in_vain()
    cell.leave_three_way()
    cell.press()
    cell.take(cell.ringing())


def supervisor(cell: Cell) -> None:
    """A supervisor listens to the citizen all the while."""
    cell.begin()
    spy = cell.listen()
    cell.press()
    cell.take(cell.ringing())
    cell.heard_by(spy)
