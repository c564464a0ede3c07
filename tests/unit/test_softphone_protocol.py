"""Calls and registration of the softphone against a scripted other side."""

from __future__ import annotations

import socket

import pytest

from telephony.errors import InvalidValue
from telephony.sip.message import SipMessage, build_message
from telephony.softphone import RegistrationFailed, Softphone
from tests.unit.scripted_peer import Peer, peer, phone

__all__ = ["peer", "phone"]  # fixtures

CHALLENGE = ("Proxy-Authenticate", 'Digest realm="r", nonce="n1", qop="auth"')
STALE = ("Proxy-Authenticate", 'Digest realm="r", nonce="n2", qop="auth", stale=true')


# -- calls of ours -------------------------------------------------------------------------


def test_given_challenge_when_calling_then_new_number_and_branch_with_the_password(
    peer: Peer, phone: Softphone
) -> None:
    call = phone.call("110")
    first = peer.gets("INVITE")
    peer.answer(first, 407, CHALLENGE)
    ack = peer.gets("ACK")
    assert (ack.branch, ack.address("To").tag) == (first.branch, "peer")
    second = peer.gets("INVITE")
    assert second.cseq()[0] == first.cseq()[0] + 1
    assert second.branch != first.branch
    assert second.call_id == first.call_id
    assert 'nonce="n1"' in (second.first("Proxy-Authorization") or "")
    peer.answer(second, 407, STALE)
    third = peer.gets("INVITE")
    assert 'nonce="n2"' in (third.first("Proxy-Authorization") or "")
    peer.answer(third, 407, CHALLENGE)
    assert call.wait_ended(2) == 407


def test_given_answer_by_a_proxy_when_talking_then_ack_and_bye_go_by_its_route(
    peer: Peer, phone: Softphone
) -> None:
    call = phone.call("110")
    invite = peer.gets("INVITE")
    contact = f"<sip:desk@127.0.0.1:{peer.port};x=1>"
    routes = [("Record-Route", "<sip:a;lr>"), ("Record-Route", "<sip:b;lr>")]
    peer.answer(invite, 200, ("Contact", contact), *routes, body=peer.sdp())
    ack = peer.gets("ACK")
    assert ack.uri == contact.strip("<>")
    assert ack.every("Route") == ["<sip:b;lr>", "<sip:a;lr>"]
    assert ack.address("To").tag == "peer"
    assert ack.branch != invite.branch
    peer.answer(invite, 200, ("Contact", contact), *routes, body=peer.sdp())
    assert peer.gets("ACK").raw == ack.raw  # the repeated 200 gets the same ACK
    call.wait_answered(1)
    call.hangup()
    bye = peer.gets("BYE")
    assert (bye.uri, bye.every("Route")) == (ack.uri, ack.every("Route"))
    assert bye.cseq()[0] == invite.cseq()[0] + 1
    assert bye.address("From").tag == invite.address("From").tag
    peer.answer(bye, 200)


def test_given_answer_crosses_our_cancel_when_it_comes_then_it_is_acknowledged_and_hung_up(
    peer: Peer, phone: Softphone
) -> None:
    call = phone.call("110")
    invite = peer.gets("INVITE")
    call.cancel()  # before any answer nothing may be sent
    peer.answer(invite, 180)
    cancel = peer.gets("CANCEL")
    assert (cancel.branch, cancel.cseq()[0]) == (invite.branch, invite.cseq()[0])
    peer.answer(invite, 200, ("Contact", f"<sip:x@127.0.0.1:{peer.port}>"), body=peer.sdp())
    peer.answer(cancel, 200)
    peer.gets("ACK")
    peer.answer(peer.gets("BYE"), 200)
    assert call.wait_ended(1) == 487


def test_given_no_answer_when_request_waits_then_it_is_repeated_unchanged(
    peer: Peer, phone: Softphone
) -> None:
    call = phone.call("110")
    first = peer.gets("INVITE")
    assert peer.gets("INVITE").raw == first.raw
    peer.answer(first, 486, ("Reason", 'Q.850;cause=17;text="busy"'))
    assert (call.wait_ended(1), call.end_cause) == (486, 17)
    peer.gets("ACK")
    peer.answer(first, 486)
    peer.gets("ACK")  # the refusal came again, so its ACK goes again


@pytest.mark.parametrize("number", ["", "110\r\nX: y", "1 2", "sip:110@x", "1" * 65])
def test_given_number_that_cannot_be_dialled_when_called_then_nothing_is_sent(
    peer: Peer, phone: Softphone, number: str
) -> None:
    with pytest.raises(InvalidValue):
        phone.call(number)
    assert peer.seen.empty()


@pytest.mark.parametrize("header", [("X", "a\r\nEvil: 1"), ("X\r\nEvil", "1"), ("X", "a\0")])
def test_given_header_with_line_break_when_called_then_refused(
    peer: Peer, phone: Softphone, header: tuple[str, str]
) -> None:
    with pytest.raises(InvalidValue):
        phone.call("110", headers=dict([header]))
    assert peer.seen.empty()


# -- calls to us ---------------------------------------------------------------------------


def test_given_invite_comes_twice_when_ringing_then_one_call_and_the_same_answer(
    peer: Peer, phone: Softphone
) -> None:
    peer.asks("INVITE", body=peer.sdp())
    first = peer.gets("180")
    peer.asks("INVITE", body=peer.sdp())
    assert peer.gets("180").raw == first.raw
    assert len(phone.calls) == 1
    assert phone.wait_for_call(1).caller_name == "Citizen"


def test_given_ringing_when_cancelled_then_200_and_487_of_the_same_dialog(
    peer: Peer, phone: Softphone
) -> None:
    peer.asks("INVITE", body=peer.sdp())
    tag = peer.gets("180").address("To").tag
    call = phone.wait_for_call(1)
    peer.asks("CANCEL", ("Reason", "SIP;cause=200"))
    assert peer.gets("200").cseq()[1] == "CANCEL"
    refused = peer.gets("487")
    assert (refused.cseq()[1], refused.address("To").tag) == ("INVITE", tag)
    peer.gets("487")  # again, as no ACK came
    peer.asks("ACK", to_tag=tag)
    assert call.wait_ended(1) == 487
    assert "SIP;cause=200" in call.end_reason


def test_given_invite_without_offer_when_answered_then_we_offer_and_take_the_ack(
    peer: Peer, phone: Softphone
) -> None:
    peer.asks("INVITE")
    tag = peer.gets("180").address("To").tag
    call = phone.wait_for_call(1)
    call.answer()
    offer = peer.gets("200").sdp
    assert offer is not None
    assert (offer.codecs, offer.event_payload) == ((0, 8), 101)
    assert not call.stream.sending
    peer.asks("ACK", to_tag=tag, branch="z9hG4bKother", body=peer.sdp(codecs="8 101"))
    assert peer.media.recv(2000)[1] == 8
    peer.asks("BYE", to_tag=tag, branch="z9hG4bKbye", cseq=2)
    assert call.wait_ended(1) == 200


@pytest.mark.parametrize(
    ("method", "fields", "body", "to_tag", "answer"),
    [
        ("INVITE", [], b"codecs", "", "488"),
        ("OPTIONS", [], b"", "", "200"),
        ("NOTIFY", [("Event", "message-summary")], b"Messages-Waiting: yes\r\n", "", "200"),
        ("SUBSCRIBE", [], b"", "", "405"),
        ("BYE", [], b"", "gone", "481"),
        ("CANCEL", [], b"", "", "481"),
    ],
)
def test_given_request_when_it_comes_then_its_answer(
    peer: Peer,
    phone: Softphone,
    method: str,
    fields: list[tuple[str, str]],
    body: bytes,
    to_tag: str,
    answer: str,
) -> None:
    if body == b"codecs":
        body = peer.sdp(codecs="9")
    elif body:
        fields = [*fields, ("Content-Type", "application/simple-message-summary")]
    peer.asks(method, *fields, body=body, to_tag=to_tag)
    assert peer.gets(answer).cseq()[1] == method
    assert phone.calls == []
    assert phone.messages_waiting is (True if method == "NOTIFY" else None)


def test_given_stranger_when_it_calls_then_it_is_not_heard(peer: Peer, phone: Softphone) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.2", 0))
        message = build_message("OPTIONS sip:8001@x SIP/2.0", [("Via", "SIP/2.0/UDP x")])
        stranger.sendto(message, ("127.0.0.1", phone.sip.myPort))
    peer.asks("OPTIONS")
    peer.gets("200")
    assert peer.seen.empty()


# -- registration --------------------------------------------------------------------------


def test_given_registration_lost_when_refreshed_then_not_registered_until_it_is_back(
    peer: Peer,
) -> None:
    peer.on_register = lambda message: peer.answer(message, 200, ("Expires", "1"))
    with Softphone("127.0.0.1", peer.port, "8001", "secret") as phone:
        peer.on_register = lambda message: peer.answer(message, 503)
        with phone.changed:
            assert phone.changed.wait_for(lambda: not phone.registered, 3)
        peer.on_register = lambda message: peer.answer(message, 200)
        phone.sip.register()
        with phone.changed:
            assert phone.changed.wait_for(lambda: phone.registered, 3)


def test_given_too_short_registration_when_refused_then_the_pbxs_minimum_is_asked(
    peer: Peer,
) -> None:
    asked: list[str | None] = []

    def register(message: SipMessage) -> None:
        asked.append(message.first("Expires"))
        if message.first("Expires") == "120":
            peer.answer(message, 423, ("Min-Expires", "300"))
        else:
            peer.answer(message, 200)

    peer.on_register = register
    with Softphone("127.0.0.1", peer.port, "8001", "secret"):
        assert asked == ["120", "300"]
    assert asked[-1] == "0"


def test_given_pbx_in_trouble_when_started_then_its_words_are_told(peer: Peer) -> None:
    peer.on_register = lambda message: peer.answer(message, 500)
    with pytest.raises(RegistrationFailed, match="500"):
        Softphone("127.0.0.1", peer.port, "8001", "secret").start()
