"""SIP messages, session descriptions and digests, good and bad."""

from __future__ import annotations

import pytest
import pyVoIP.VoIP  # noqa: F401  # opens the circle of pyVoIP's imports
from pyVoIP.RTP import PayloadType
from pyVoIP.SIP import SIPMessageType, SIPParseError

from telephony.sip.dialog import Challenge, Dialog, read_challenge
from telephony.sip.errors import SoftphoneError
from telephony.sip.message import (
    SipMessage,
    build_message,
    build_sdp,
    parse_address,
    parse_sdp,
)

INVITE = (
    b"INVITE sip:8001@127.0.0.1:5099 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKa, SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKb\r\n"
    b'f: "Zhang, San" <sip:13804210001@10.0.0.1>;tag=abc\r\n'
    b"t: <sip:8001@10.0.0.1>\r\n"
    b"i: one@two\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"m: <sip:asterisk@10.0.0.1:5060>\r\n"
    b"Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\n"
    b"X-Folded: a\r\n b\r\n"
    b"c: application/sdp\r\n"
    b"\r\n"
    b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=a=b\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n"
    b"m=video 4000 RTP/AVP 99\r\n"
    b"m=audio 5000 RTP/AVP 9 8 0 96\r\na=rtpmap:96 telephone-event/8000\r\na=sendonly\r\n"
)


def test_given_compact_folded_and_repeated_headers_when_parsed_then_all_are_there() -> None:
    message = SipMessage(INVITE)
    assert (message.type, message.method) == (SIPMessageType.MESSAGE, "INVITE")
    assert message.branch == "z9hG4bKa"
    assert len(message.every("via")) == 2
    assert message.every("Record-Route") == ["<sip:p1;lr>", "<sip:p2;lr>"]
    caller = message.address("From")
    assert (caller.display, caller.user, caller.tag) == ("Zhang, San", "13804210001", "abc")
    assert message.first("x-folded") == "a b"
    assert message.cseq() == (7, "INVITE")
    assert message.headers["Call-ID"] == "one@two"  # pyVoIP's own place for it


def test_given_offer_with_video_when_answered_then_video_is_refused_and_hold_mirrored() -> None:
    offer = SipMessage(INVITE).sdp
    assert offer is not None
    assert (offer.address, offer.port, offer.codecs) == ("10.0.0.1", 5000, (8, 0))
    assert (offer.event_payload, offer.on_hold) == (96, True)
    codecs = {8: PayloadType.PCMA, 96: PayloadType.EVENT}
    text = build_sdp("127.0.0.1", 6000, codecs, (1, 2), offer).decode()
    assert text.index("m=video 0 RTP/AVP 99") < text.index("m=audio 6000 RTP/AVP 8 96")
    assert "a=rtpmap:96 telephone-event/8000" in text
    assert "a=recvonly" in text


def test_given_our_own_offer_when_holding_then_sendonly() -> None:
    codecs = {0: PayloadType.PCMU, 101: PayloadType.EVENT}
    offer = build_sdp("127.0.0.1", 6000, codecs, (1, 1), None).decode()
    assert "a=sendrecv" in offer
    assert "a=fmtp:101 0-16" in offer
    held = parse_sdp(build_sdp("127.0.0.1", 6000, codecs, (1, 2), None, hold=True).decode())
    assert held.direction == "sendonly"
    assert held.codecs == (0,)


@pytest.mark.parametrize(
    "text",
    ["", "v=0\r\n", "v=0\nm=audio 0 RTP/AVP 0\n", "v=0\nm=audio 9 UDP/TLS/RTP/SAVPF 0\n"],
)
def test_given_no_telephone_sound_when_parsed_then_refused(text: str) -> None:
    with pytest.raises(SIPParseError):
        parse_sdp(text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"HELLO\r\n\r\n",
        b"SIP/2.0 abc OK\r\n\r\n",
        b"OPTIONS sip:x SIP/2.0\r\nno colon\r\n\r\n",
        b"OPTIONS sip:x SIP/2.0\r\nVia: x\r\nCSeq: 1 OPTIONS\r\n\r\n",
        INVITE.replace(b"CSeq: 7 INVITE", b"CSeq: seven"),
        INVITE.replace(b"i: one@two\r\n", b""),
    ],
)
def test_given_what_is_no_sip_when_parsed_then_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(SIPParseError):
        SipMessage(data)


@pytest.mark.parametrize("method", ["NOTIFY", "OPTIONS", "UPDATE", "SUBSCRIBE"])
def test_given_methods_pyvoip_does_not_know_when_parsed_then_read(method: str) -> None:
    assert SipMessage(INVITE.replace(b"INVITE", method.encode())).method == method


def test_given_status_that_has_no_name_when_parsed_then_it_counts_as_its_class() -> None:
    head = INVITE.partition(b"\r\n\r\n")[0].split(b"\r\n", 1)[1]
    message = SipMessage(b"SIP/2.0 499 Odd\r\n" + head + b"\r\n\r\n")
    assert (message.code, int(message.status), message.reason) == (499, 400, "Odd")


@pytest.mark.parametrize(
    ("value", "display", "user", "host"),
    [
        ("<sip:110@h:5060;transport=udp>;tag=x", "", "110", "h:5060"),
        ("sip:110@h;tag=x", "", "110", "h"),
        ('"A \\"B\\"" <sip:%2A1@h>', 'A "B"', "*1", "h"),
        ("Desk 110 <sip:110@h>", "Desk 110", "110", "h"),
        ("<sip:h>", "", "", "h"),
    ],
)
def test_given_address_when_parsed_then_name_number_host(
    value: str, display: str, user: str, host: str
) -> None:
    address = parse_address(value)
    assert (address.display, address.user, address.host) == (display, user, host)


def test_given_call_to_us_when_dialog_made_then_requests_go_to_contact_by_the_route() -> None:
    dialog = Dialog.from_invite(SipMessage(INVITE), "mine")
    assert dialog.target == "sip:asterisk@10.0.0.1:5060"
    fields = dialog.identity("BYE", 3)
    assert [value for name, value in fields if name == "Route"] == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert ("From", "<sip:8001@10.0.0.1>;tag=mine") in fields
    assert ("To", '"Zhang, San" <sip:13804210001@10.0.0.1>;tag=abc') in fields


def test_given_message_built_when_parsed_then_length_counts_bytes() -> None:
    data = build_message("SIP/2.0 200 OK", [("CSeq", "1 BYE")], "民意".encode())
    assert b"Content-Length: 6\r\n\r\n" in data


# The worked example of RFC 7616 section 3.9.1.
_RFC7616 = {
    "realm": "http-auth@example.org",
    "qop": "auth, auth-int",
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
}


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_given_the_rfcs_challenge_when_answered_then_the_rfcs_response(
    monkeypatch: pytest.MonkeyPatch, algorithm: str, response: str
) -> None:
    ours = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    monkeypatch.setattr("secrets.token_hex", lambda _: ours)
    challenge = Challenge("Authorization", {**_RFC7616, "algorithm": algorithm})
    answer = challenge.answer("GET", "/dir/index.html", "Mufasa", "Circle of Life")
    assert f'response="{response}"' in answer
    assert f'opaque="{_RFC7616["opaque"]}"' in answer


def test_given_challenges_of_unknown_kinds_when_read_then_the_known_one_or_an_error() -> None:
    head = INVITE.partition(b"\r\n\r\n")[0].split(b"\r\n", 1)[1]
    unknown = b'\r\nProxy-Authenticate: Digest realm="a", nonce="n", algorithm=SHA-512-256'
    known = b'\r\nProxy-Authenticate: Digest realm="b, c", nonce="n", stale=TRUE'
    both = read_challenge(SipMessage(b"SIP/2.0 407 Auth\r\n" + head + unknown + known))
    assert (both.header, both.values["realm"], both.stale) == ("Proxy-Authorization", "b, c", True)
    with pytest.raises(SoftphoneError):
        read_challenge(SipMessage(b"SIP/2.0 407 Auth\r\n" + head + unknown))
