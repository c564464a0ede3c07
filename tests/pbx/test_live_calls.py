"""The live picture of real calls: right at every step, and the same when it is built anew."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from telephony.call_control import CallControl
from telephony.live.model import Call
from telephony.private_pbx import PrivatePbx
from tests.pbx.scene import (
    CITIZENS,
    LINE,
    PhoneFactory,
    Talk,
    being_recorded,
    set_hours,
    sign_in,
    wait_until,
)

pytestmark = pytest.mark.pbx

Answer = TypeVar("Answer")


class Watcher:
    """Call control in a loop of its own, watching from before the calls."""

    def __init__(self, pbx: PrivatePbx) -> None:
        self._pbx = pbx
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._control = self._run(self._start())

    def close(self) -> None:
        self._run(self._control.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def calls(self) -> list[Call]:
        """The calls as events have told them."""
        return self._run(self._ask(self._control))

    def calls_anew(self) -> list[Call]:
        """The calls as somebody sees them who just came."""
        return self._run(self._look())

    def sees(self, state: str, *who: str) -> Call:
        """Wait for one call in this state with these parties, seen alike by both."""
        wanted = [(state, sorted(who))]
        deadline = time.monotonic() + 5
        while (seen := [shape(call) for call in self.calls()]) != wanted:
            assert time.monotonic() < deadline, f"seen {seen}, not {wanted}"
            time.sleep(0.02)
        (call,) = self.calls()
        assert [exactly(one) for one in self.calls_anew()] == [exactly(call)]
        return call

    async def _start(self) -> CallControl:
        control = CallControl(self._pbx.settings)
        await control.start()
        await control.client.wait_up(5)
        return control

    async def _ask(self, control: CallControl) -> list[Call]:
        return control.calls.calls()

    async def _look(self) -> list[Call]:
        control = await self._start()
        try:
            return control.calls.calls()
        finally:
            await control.stop()

    def _run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


def shape(call: Call) -> tuple[str, list[str]]:
    return call.state, sorted(one.party for one in call.parties)


def exactly(call: Call) -> tuple[object, ...]:
    parties = sorted(
        (one.uniqueid, one.name, one.role, one.party, one.state, one.bridge) for one in call.parties
    )
    return call.id, call.case, call.state, parties, call.handover


@pytest.fixture
def watcher(pbx: PrivatePbx) -> Iterator[Watcher]:
    watcher = Watcher(pbx)
    yield watcher
    watcher.close()


@pytest.fixture
def nothing_left(watcher: Watcher) -> Iterator[Callable[[], None]]:
    def check() -> None:
        wait_until(lambda: not watcher.calls(), "no call in the picture")

    yield check
    check()


def test_a_call_from_the_queue_to_a_desk(
    pbx: PrivatePbx, phone: PhoneFactory, watcher: Watcher, nothing_left: Callable[[], None]
) -> None:
    citizen = CITIZENS[0]
    sign_in(phone("8001"), pbx)
    nothing_left()
    outgoing = phone(citizen).call(LINE)
    incoming = phone("8001").wait_for_call(15)
    watcher.sees("ringing", citizen, "8001")
    incoming.answer()
    talking = watcher.sees("talking", citizen, "8001")
    assert talking.citizen is not None
    assert talking.case.endswith(f"-{talking.id}")

    desk = phone("110")
    incoming.send_dtmf("*1")
    ringing = desk.wait_for_call(5)
    offered = watcher.sees("handing-over", citizen, "8001", "110")
    assert offered.handover is not None
    assert (offered.handover.desk, offered.handover.by) == ("110", "8001")
    ringing.deny(486)
    watcher.sees("talking", citizen, "8001")

    incoming.send_dtmf("*1")
    desk.wait_for_call(5).answer()
    taken = watcher.sees("talking", citizen, "110")
    assert {one.role for one in taken.parties} == {"citizen", "target"}
    outgoing.hangup()


def test_a_three_way_call(
    phone: PhoneFactory, talk: Talk, watcher: Watcher, nothing_left: Callable[[], None]
) -> None:
    citizen = CITIZENS[0]
    third = phone("12345")
    watcher.sees("talking", citizen, "8001")
    talk.agent.send_dtmf("*3")
    ringing = third.wait_for_call(5)
    offered = watcher.sees("handing-over", citizen, "8001", "12345")
    assert offered.handover is not None
    assert (offered.handover.kind, offered.handover.desk) == ("three-way", "12345")
    ringing.answer()
    watcher.sees("three-way", citizen, "8001", "12345")
    talk.agent.hangup()
    watcher.sees("talking", citizen, "12345")
    talk.citizen.hangup()


@pytest.mark.parametrize("hours", ["closed", "0000-2400"])
def test_a_message_is_left(
    pbx: PrivatePbx,
    phone: PhoneFactory,
    watcher: Watcher,
    nothing_left: Callable[[], None],
    hours: str,
) -> None:
    set_hours(pbx, hours)
    call = phone(CITIZENS[0]).call(LINE)
    call.wait_answered(15)
    wait_until(lambda: being_recorded(pbx), "a message is being spoken", 20)
    watcher.sees("message", CITIZENS[0])
    call.hangup()
