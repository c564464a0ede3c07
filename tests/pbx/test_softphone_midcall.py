"""The phone at a real Asterisk in mid-call: transfers, hold, new numbers, lost packets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from telephony.private_pbx import PrivatePbx
from telephony.softphone import CallState, CallStateError, SoftCall, Softphone
from tests.pbx.scene import channels, wait_until
from tests.pbx.softphone_bench import DIRECT, History, Wire, add_phones

pytestmark = pytest.mark.pbx
pytest_plugins = ["tests.pbx.softphone_bench"]

MakePhone = Callable[..., Softphone]


def connect(one: Softphone, other: Softphone) -> tuple[SoftCall, SoftCall]:
    """The first phone calls the second, which answers; the PBX has bridged them."""
    going = one.call(other.username)
    coming = other.wait_for_call(5)
    coming.answer()
    coming.play_tone(2000)
    going.wait_hears(2000)
    return going, coming


# -- transfers -----------------------------------------------------------------------------


def test_given_talk_when_referred_to_number_then_caller_is_there_and_phone_is_free(
    make_phone: MakePhone,
) -> None:
    going, coming = connect(make_phone("201"), make_phone("202"))
    assert coming.refer("500") == 202
    assert coming.state is CallState.ENDED
    going.play_tone(700)
    going.wait_hears(700)  # the echo at 500
    assert going.state is CallState.ANSWERED
    going.hangup()


def test_given_talk_when_referred_to_no_number_then_404_and_talk_goes_on(
    make_phone: MakePhone,
) -> None:
    going, coming = connect(make_phone("201"), make_phone("202"))
    assert coming.refer("999") == 404
    assert coming.state is CallState.ANSWERED
    coming.play_tone(700)
    going.wait_hears(700)
    going.hangup()
    with pytest.raises(CallStateError):
        going.refer("500")


def test_given_two_calls_when_referred_to_each_other_then_their_other_sides_talk(
    make_phone: MakePhone,
) -> None:
    agent = make_phone("202")
    caller, first = connect(make_phone("201"), agent)
    second = agent.call("203")
    with pytest.raises(CallStateError):
        second.refer("500")
    second.cancel()
    second.wait_ended(2)
    target_phone = make_phone("203")
    first.hold()
    second, target = connect(agent, target_phone)
    assert first.refer_to_call(second) == 202
    caller.play_tone(500)
    target.play_tone(900)
    target.wait_hears(500)
    caller.wait_hears(900)
    first.wait_ended(2)
    second.wait_ended(2)
    caller.hangup()
    target.wait_ended(2)


# -- re-INVITE and UPDATE ------------------------------------------------------------------


def test_given_phones_with_direct_media_when_connected_then_sound_goes_straight(
    make_phone: MakePhone,
) -> None:
    going, coming = connect(make_phone(DIRECT[0]), make_phone(DIRECT[1]))
    wait_until(lambda: going.stream.outPort == coming.stream.inPort, "one side straight")
    wait_until(lambda: coming.stream.outPort == going.stream.inPort, "the other side straight")
    going.play_tone(500)
    coming.play_tone(900)
    coming.wait_hears(500)
    going.wait_hears(900)
    coming.hangup()
    assert going.wait_ended(2) == 200


def test_given_talk_when_other_side_holds_then_no_sound_is_sent_until_it_is_back(
    make_phone: MakePhone,
) -> None:
    going, coming = connect(make_phone(DIRECT[0]), make_phone(DIRECT[1]))
    going.play_tone(500)
    coming.wait_hears(500)
    going.hold()
    wait_until(lambda: coming.on_hold, "told of the hold")
    coming.wait_silent(500)
    assert not coming.stream.sending
    going.hold(False)
    wait_until(lambda: not coming.on_hold, "told that it is over")
    coming.wait_hears(500)
    coming.hangup()
    going.wait_ended(2)
    with pytest.raises(CallStateError):
        going.hold()


def test_given_talk_when_other_side_changes_then_phone_shows_the_new_number(
    make_phone: MakePhone, bench: PrivatePbx
) -> None:
    call = make_phone("201").call("506")
    call.wait_answered(2)
    assert call.remote_number == "506"
    with call.changed:
        assert call.changed.wait_for(lambda: call.remote_number == "110", 3)
    assert call.remote_name == "Desk 110"
    call.hangup()


# -- lost packets --------------------------------------------------------------------------


def test_given_wire_that_loses_each_first_packet_when_calling_then_the_call_is_whole(
    make_phone: MakePhone, wire: Wire, bench: PrivatePbx
) -> None:
    caller = make_phone("201", server_port=wire.port)
    # The first ACK is that of the challenge (never asked for again), the second of the answer.
    wire.first_lost(b"INVITE", b"SIP/2.0 401", b"SIP/2.0 200", b"ACK", b"ACK", b"BYE")
    going = caller.call("500")
    going.wait_answered(10)
    going.play_tone(700)
    going.wait_hears(700)
    wait_until(lambda: wire.count(b"ACK") >= 1, "the ACK sent again", 5)
    going.hangup()
    wait_until(lambda: not channels(bench), "the BYE came through", 5)
    assert len(wire.lost) == 6, [message.split(b"\r")[0] for message in wire.lost]


def test_given_lost_answer_when_called_then_it_is_sent_again_until_acknowledged(
    make_phone: MakePhone, wire: Wire, bench: PrivatePbx
) -> None:
    called = make_phone("202", server_port=wire.port)
    going = make_phone("201").call("202")
    coming = called.wait_for_call(3)
    # The PBX reaches the phone directly; its answers go the same way back.
    lost: list[bytes] = []
    first_send = called.sip.send

    def lossy(message: bytes, destination: tuple[str, int] | None = None) -> None:
        if message.startswith(b"SIP/2.0 200") and len(lost) < 2:
            lost.append(message)
        else:
            first_send(message, destination)

    called.sip.send = lossy  # type: ignore[method-assign]
    coming.answer()
    going.wait_answered(5)
    assert len(lost) == 2
    going.hangup()
    coming.wait_ended(3)


def test_given_pbx_falls_silent_when_calling_then_the_call_ends_by_itself(
    make_phone: MakePhone, wire: Wire
) -> None:
    phone = make_phone("201", server_port=wire.port)
    phone.sip.t1_s = 0.01  # 64 of these are the limit
    wire.loses = lambda message: True
    call = phone.call("500")
    assert call.wait_ended(3) == 408
    assert "did not answer" in call.end_reason
    assert len(wire.lost) > 3
    phone.stop()
    wire.loses = lambda message: False


def test_given_answer_never_acknowledged_when_time_is_up_then_the_call_ends(
    make_phone: MakePhone,
) -> None:
    called = make_phone("202")
    called.sip.t1_s = 0.01
    going = make_phone("201").call("202")
    coming = called.wait_for_call(3)
    receive = called.sip._acknowledge
    called.sip._acknowledge = lambda ack: None  # type: ignore[method-assign]
    coming.answer()
    assert coming.wait_ended(3) == 408
    assert "never acknowledged" in coming.end_reason
    called.sip._acknowledge = receive  # type: ignore[method-assign]
    going.wait_ended(3)


def test_given_silent_call_when_asked_then_it_goes_on_and_when_pbx_crashes_then_it_ends(
    make_phone: MakePhone, bench: PrivatePbx, history: History
) -> None:
    phone = make_phone("201")
    phone.silence_check_s = 0.3
    call = phone.call("508")
    call.wait_answered(3)
    wait_until(lambda: history.count("<==", "OPTIONS") >= 2, "asked twice")
    assert call.state is CallState.ANSWERED
    phone.sip.t1_s = 0.01  # 64 of these are the limit
    bench.kill()
    try:
        assert call.wait_ended(5) == 408
    finally:
        bench.start()
        add_phones(bench)


def test_given_rubbish_when_it_comes_then_the_phone_goes_on(
    make_phone: MakePhone, wire: Wire
) -> None:
    phone = make_phone("201")
    own = ("127.0.0.1", phone.sip.myPort)
    for rubbish in (b"\xff\xfe", b"INVITE", b"SIP/2.0 abc\r\n\r\n", b"\r\n\r\n"):
        wire.send_to(own, rubbish)
    wire.send_to(own, b"OPTIONS sip:201 SIP/2.0\r\nVia: nothing\r\n\r\n")
    call = phone.call("500")
    call.wait_answered(3)
    call.hangup()
