"""The phone at a real Asterisk: registering, calling, being called, refusing, hanging up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import pytest

from telephony.private_pbx import PrivatePbx
from telephony.softphone import (
    CallState,
    CallStateError,
    NoAnswerFromPbx,
    RegistrationFailed,
    SoftCall,
    Softphone,
    SoftphoneError,
)
from tests.pbx.scene import PASSWORD, wait_until
from tests.pbx.softphone_bench import ALAW_ONLY, MAILBOX, PHONES, History

pytestmark = pytest.mark.pbx
pytest_plugins = ["tests.pbx.softphone_bench"]

MakePhone = Callable[..., Softphone]
Pair = tuple[Softphone, Softphone]


def connect(pair: Pair, **headers: str) -> tuple[SoftCall, SoftCall]:
    """The first phone calls the second, which answers."""
    going = pair[0].call(pair[1].username, headers=headers)
    coming = pair[1].wait_for_call(5)
    coming.answer()
    going.wait_answered(5)
    return going, coming


def assert_hear_each_other(one: SoftCall, other: SoftCall) -> None:
    one.play_tone(500)
    other.play_tone(900)
    other.wait_hears(500)
    one.wait_hears(900)


# -- registration --------------------------------------------------------------------------


def test_given_right_password_when_started_then_registered_until_stopped(
    bench: PrivatePbx,
) -> None:
    before, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    phone = Softphone("127.0.0.1", bench.sip_port, "201", PASSWORD)
    phone.start()
    assert phone.registered
    assert f"127.0.0.1:{phone.sip.myPort}" in bench.console("pjsip show contacts")
    phone.stop()
    assert not phone.registered
    assert f"127.0.0.1:{phone.sip.myPort}" not in bench.console("pjsip show contacts")
    assert threading.active_count() == before
    assert len(os.listdir("/proc/self/fd")) == files


@pytest.mark.parametrize("name", ["201", "299"])
def test_given_wrong_password_or_extension_when_started_then_said_and_nothing_left(
    bench: PrivatePbx, name: str
) -> None:
    before = threading.active_count()
    with pytest.raises(RegistrationFailed, match=f"refuses phone {name}"):
        Softphone("127.0.0.1", bench.sip_port, name, "wrong").start()
    assert threading.active_count() == before


def test_given_nobody_at_the_address_when_started_then_no_answer(bench: PrivatePbx) -> None:
    with pytest.raises(NoAnswerFromPbx, match="check that the PBX runs"):
        Softphone("127.0.0.1", bench.sip_port + 1, "201", PASSWORD).start(timeout=0.3)


def test_given_port_in_use_when_started_then_said(make_phone: MakePhone, bench: PrivatePbx) -> None:
    port = make_phone("201").sip.myPort
    with pytest.raises(SoftphoneError, match="choose another SIP port"):
        Softphone("127.0.0.1", bench.sip_port, "202", PASSWORD, sip_port=port).start()


def test_given_short_registration_when_time_passes_then_it_is_renewed(
    make_phone: MakePhone, history: History
) -> None:
    phone = make_phone("201", expires_s=2)
    wait_until(lambda: history.count("<==", "REGISTER") >= 4, "renewed", 4)
    assert phone.registered


# -- calls ---------------------------------------------------------------------------------


def test_given_two_phones_when_one_calls_then_the_other_rings_at_once_and_both_hear(
    pair: Pair,
) -> None:
    going = pair[0].call("202", headers={"X-Case": "42"})
    coming = pair[1].wait_for_call(0.9)  # pyVoIP waited a second before it rang
    going.wait_ringing(1)
    assert (coming.state, going.state) == (CallState.RINGING, CallState.DIALING)
    assert (coming.caller_number, coming.caller_name) == ("201", "Phone 201")
    assert going.header("x-case") == "42"
    coming.answer()
    going.wait_answered(2)
    assert_hear_each_other(going, coming)
    wait_until(lambda: going.hears(900) > 0.95, "nothing but the other's tone")
    assert going.hears(500) < 0.05
    going.hangup()
    assert coming.wait_ended(2) == 200
    assert (going.end_code, coming.end_cause) == (200, 16)
    assert pair[0].calls == pair[1].calls == []


def test_given_answered_call_when_called_side_hangs_up_then_caller_ends(pair: Pair) -> None:
    going, coming = connect(pair)
    coming.hangup()
    assert going.wait_ended(2) == 200
    assert going.end_reason.startswith("hung up by the other side")
    going.hangup()  # once more does no harm


def test_given_call_when_answered_then_ack_is_right_and_nothing_is_repeated(
    pair: Pair, history: History
) -> None:
    going, _ = connect(pair)
    threading.Event().wait(1.2)  # two repetitions would fall into this time
    assert history.count("==>", "SIP/2.0 200 OK") + history.count("<==", "SIP/2.0 200 OK") == 2
    assert history.count("<==", "ACK") == 2  # one for the challenge, one for the 200
    going.hangup()


def test_given_refused_call_when_ended_then_refusal_is_acknowledged(
    make_phone: MakePhone, history: History
) -> None:
    call = make_phone("201").call("999")
    assert call.wait_ended(2) == 404
    threading.Event().wait(0.7)
    assert history.count("==>", "SIP/2.0 404") == 1


def test_given_ringing_call_when_cancelled_then_both_end_with_487(pair: Pair) -> None:
    going = pair[0].call("202")
    coming = pair[1].wait_for_call(2)
    going.cancel()
    assert going.wait_ended(2) == 487
    assert coming.wait_ended(2) == 487
    with pytest.raises(CallStateError):
        coming.answer()


def test_given_call_not_yet_answered_by_pbx_when_hung_up_then_it_ends(pair: Pair) -> None:
    going = pair[0].call("202")
    going.hangup()
    assert going.wait_ended(3) == 487


@pytest.mark.parametrize(("code", "cause"), [(486, 17), (603, 21), (480, 19)])
def test_given_ringing_call_when_denied_then_caller_is_told_why(
    pair: Pair, code: int, cause: int
) -> None:
    going = pair[0].call("202")
    coming = pair[1].wait_for_call(2)
    coming.deny(code)
    assert coming.end_code == code
    going.wait_ended(2)
    assert going.end_cause == cause


def test_given_busy_number_when_called_then_486_and_its_cause(make_phone: MakePhone) -> None:
    call = make_phone("201").call("505")
    assert (call.wait_ended(2), call.end_cause) == (486, 17)
    with pytest.raises(CallStateError, match="486"):
        call.wait_answered(1)


@pytest.mark.parametrize(("how", "code"), [("busy", 486), ("decline", 603)])
def test_given_phone_set_to_refuse_when_called_then_it_refuses(
    make_phone: MakePhone, how: str, code: int
) -> None:
    seen: list[SoftCall] = []
    make_phone("202", auto_answer=how, on_call=seen.append)
    make_phone("201").call("202").wait_ended(2)
    assert [call.end_code for call in seen] == [code]


def test_given_phone_set_to_answer_when_called_then_it_answers_after_its_delay(
    make_phone: MakePhone,
) -> None:
    make_phone("202", auto_answer="answer", auto_answer_delay_s=0.3)
    call = make_phone("201").call("202")
    call.wait_ringing(2)
    assert call.state is CallState.DIALING
    call.wait_answered(2)
    call.hangup()


def test_given_nobody_answers_when_patience_ends_then_call_is_given_up(
    make_phone: MakePhone,
) -> None:
    call = make_phone("201", ring_timeout_s=0.5).call("503")
    assert call.wait_ended(3) == 408
    assert "0.5 s" in call.end_reason


def test_given_calls_going_on_when_phone_stops_then_they_are_hung_up(pair: Pair) -> None:
    going, coming = connect(pair)
    pair[0].call("503").wait_ringing(2)
    pair[0].stop()
    assert coming.wait_ended(2) == 200
    assert going.state is CallState.ENDED
    with pytest.raises(SoftphoneError, match="not started"):
        pair[0].call("202")


# -- sound and keys ------------------------------------------------------------------------


def test_given_early_sound_when_not_answered_then_it_is_heard(make_phone: MakePhone) -> None:
    call = make_phone("201").call("501")
    call.wait_hears(1000, 3)
    assert call.state is CallState.DIALING
    call.cancel()
    call.wait_ended(2)


def test_given_phone_with_alaw_only_when_connected_then_both_hear(make_phone: MakePhone) -> None:
    going, coming = connect((make_phone("201"), make_phone(ALAW_ONLY)))
    assert (going.stream.law, coming.stream.law) == (0, 8)
    assert_hear_each_other(going, coming)
    going.hangup()


def test_given_tone_when_stopped_and_begun_again_then_the_gap_is_known(pair: Pair) -> None:
    going, coming = connect(pair)
    going.play_tone(500)
    began = coming.wait_hears(500)
    going.play_tone(None)
    stopped = coming.wait_silent(500)
    going.play_tone(500)
    again = coming.wait_hears(500)
    gap = coming.longest_gap_s(500, began)
    assert gap == pytest.approx(again - stopped, abs=0.03)
    assert [len(coming.heard_since(began, hz)) for hz in (500.0, 900.0)] == [2, 0]
    going.hangup()


def test_given_spoken_sound_when_written_then_the_other_side_reads_it(pair: Pair) -> None:
    going, coming = connect(pair)
    going.write_audio(bytes([200, 56] * 800))  # 4000 Hz in pyVoIP's format, 0.2 s
    heard = b"".join(coming.read_audio() for _ in range(30))
    assert max(heard) > 180
    assert min(heard) < 80
    began = time.monotonic()
    assert coming.read_audio(160, blocking=True) == b"\x80" * 160  # silence does not block
    assert time.monotonic() - began < 1
    going.hangup()


def test_given_sixteen_keys_when_pressed_then_the_other_side_gets_each_once(pair: Pair) -> None:
    going, coming = connect(pair)
    going.send_dtmf("0123456789*#ABCD", tone_ms=60, gap_ms=60)
    wait_until(lambda: coming.dtmf.getvalue() == "0123456789*#ABCD", "all keys", 2)
    with pytest.raises(SoftphoneError, match="no such key"):
        going.send_dtmf("x")
    going.hangup()
    with pytest.raises(SoftphoneError):
        going.send_dtmf("1")


def test_given_dialplan_reads_keys_when_pressed_then_it_has_them(
    make_phone: MakePhone, bench: PrivatePbx
) -> None:
    call = make_phone("201").call("504")
    call.wait_answered(2)
    call.send_dtmf("1*22")
    call.wait_ended(5)
    assert "KEYS=1*22" in bench.console("dialplan show globals")


def test_given_twenty_phones_when_ten_calls_talk_then_each_hears_its_own_peer_only(
    make_phone: MakePhone,
) -> None:
    phones = [make_phone(name) for name in PHONES]
    calls = [connect((a, b)) for a, b in zip(phones[::2], phones[1::2], strict=True)]
    for number, (going, coming) in enumerate(calls):
        going.play_tone(400 + 200 * number)
        coming.play_tone(500 + 200 * number)
    for number, (going, coming) in enumerate(calls):
        coming.wait_hears(400 + 200 * number, threshold=0.9)
        going.wait_hears(500 + 200 * number, threshold=0.9)
    branches = {call.request.branch for pair in calls for call in pair}
    ids = {call.call_id for pair in calls for call in pair}
    assert len(branches) == len(ids) == 20
    assert len([t for t in threading.enumerate() if "phone" in t.name]) == 1
    for going, _ in calls:
        going.hangup()
    for _, coming in calls:
        coming.wait_ended(3)


def test_given_three_in_a_room_when_all_play_then_each_hears_the_other_two(
    make_phone: MakePhone,
) -> None:
    calls = [make_phone(name).call("600") for name in PHONES[:3]]
    tones = (500, 900, 1300)
    for call, tone in zip(calls, tones, strict=True):
        call.wait_answered(3)
        call.play_tone(tone)
    for call, own in zip(calls, tones, strict=True):
        for tone in tones:
            if tone != own:
                call.wait_hears(tone, threshold=0.3)
        assert call.hears(own) < 0.1
    for call in calls:
        call.hangup()


# -- what the PBX asks of a phone ----------------------------------------------------------


def test_given_mailbox_when_registered_then_notify_is_answered(
    make_phone: MakePhone, history: History
) -> None:
    phone = make_phone(MAILBOX)
    wait_until(lambda: phone.messages_waiting is not None, "MWI came")
    assert phone.messages_waiting is False
    wait_until(lambda: history.count("<==", "SIP/2.0 200 OK") >= 1, "NOTIFY answered")
    assert history.count("==>", "NOTIFY") == 1


def test_given_pbx_asks_when_options_then_answered(
    make_phone: MakePhone, bench: PrivatePbx, history: History
) -> None:
    make_phone("201")
    bench.console("pjsip qualify 201")
    wait_until(lambda: history.count("==>", "OPTIONS") == 1, "OPTIONS sent")
    wait_until(lambda: history.count("<==", "SIP/2.0 200 OK") == 1, "OPTIONS answered")
