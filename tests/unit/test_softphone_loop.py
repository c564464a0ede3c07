"""The one thread that serves all phones of a process."""

from __future__ import annotations

import logging
import socket
import threading

import pytest

from telephony.sip.loop import PhoneLoop, acquire_loop, beats_due, release_loop


def test_given_two_users_when_both_have_gone_then_the_thread_ends() -> None:
    before = threading.active_count()
    first, second = acquire_loop(), acquire_loop()
    assert first is second
    release_loop()
    assert threading.active_count() == before + 1
    release_loop()
    assert threading.active_count() == before
    assert acquire_loop() is not first
    release_loop()


def test_given_timers_when_due_then_in_their_order_and_cancelled_ones_never() -> None:
    loop, done = PhoneLoop(), threading.Event()
    ran: list[str] = []
    loop.later(0.04, lambda: ran.append("second"))
    loop.later(0.02, lambda: ran.append("first"))
    loop.later(0.03, lambda: ran.append("never")).cancel()
    loop.later(0.06, done.set)
    assert done.wait(2)
    loop.stop()
    assert ran == ["first", "second"]


def test_given_callback_that_fails_when_called_then_logged_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop, done = PhoneLoop(), threading.Event()
    left, right = socket.socketpair()
    loop.watch(left, lambda: [left.recv(10), 1 / 0])
    with caplog.at_level(logging.ERROR):
        right.send(b"x")
        loop.later(0.02, done.set)
        assert done.wait(2)
    loop.unwatch_and_close(left)
    right.close()
    loop.stop()
    assert "division by zero" in caplog.text


def test_given_beats_when_time_passes_then_they_come_until_removed() -> None:
    loop, third = PhoneLoop(), threading.Event()
    beats: list[int] = []

    def beat(count: int) -> None:
        beats.append(count)
        if len(beats) == 3:
            third.set()

    loop.add_beat(beat)
    assert third.wait(2)
    loop.remove_beat(beat)
    loop.stop()
    assert all(count >= 1 for count in beats)


@pytest.mark.parametrize(
    ("late_s", "rounds"),
    [(0.0, [1]), (0.019, [1]), (0.021, [1, 1]), (0.099, [1] * 5), (0.101, [6]), (10.0, [501])],
)
def test_given_beat_is_late_when_due_then_few_are_made_up_and_many_skipped(
    late_s: float, rounds: list[int]
) -> None:
    assert beats_due(late_s) == rounds
