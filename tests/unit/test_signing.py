"""Signatures of messages between platforms: right, wrong, old, early, and while secrets change."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from telephony.orders.signing import SignatureExpired, SignatureWrong, sign, verify

OLD, NEW, OTHER = "old-secret-" * 3, "new-secret-" * 3, "other-secret-" * 3
BODY = '{"id":"一"}'.encode()
AT = 1_795_496_800


def test_given_what_the_documents_say_then_it_is_the_hmac_of_time_point_body() -> None:
    digest = hmac.new(NEW.encode(), b"1795496800." + BODY, hashlib.sha256).hexdigest()
    assert sign(BODY, [NEW], AT) == f"t=1795496800,v1={digest}"
    assert verify(sign(BODY, [NEW], AT), BODY, [NEW], now=AT, tolerance_s=1) == digest


@pytest.mark.parametrize(
    ("signed_with", "known"),
    [([OLD], [OLD, NEW]), ([NEW, OLD], [OLD]), ([OLD, NEW], [NEW]), ([NEW], [OLD, NEW])],
)
def test_given_secrets_that_change_then_one_in_common_is_enough(
    signed_with: list[str], known: list[str]
) -> None:
    assert verify(sign(BODY, signed_with, AT), BODY, known, now=AT, tolerance_s=1)


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (None, BODY),
        ("", BODY),
        (sign(BODY, [OTHER], AT), BODY),
        (sign(BODY, [NEW], AT), BODY + b" "),
        (sign(BODY, [NEW], AT).replace("t=1795496800", "t=1795496801"), BODY),
        (sign(BODY, [NEW], AT).upper(), BODY),
        (sign(BODY, [NEW], AT)[:-1], BODY),
        (sign(BODY, [NEW], AT) + ",v1=", BODY),
        (f"t={AT}", BODY),
        (f"t={AT},v1=" + "0" * 64, BODY),
        (f"t={AT}" + f",v1={'0' * 64}" * 9, BODY),
        ("t=" + "9" * 4000 + ",v1=" + "0" * 64, BODY),
        (f"t=-1,v1={'0' * 64}", BODY),
        (f"t=１７９５４９６８００,v1={'0' * 64}", BODY),
    ],
)
def test_given_anything_else_then_it_is_wrong(header: str | None, body: bytes) -> None:
    with pytest.raises(SignatureWrong):
        verify(header, body, [NEW], now=AT, tolerance_s=1)


@pytest.mark.parametrize(("now", "ok"), [(300, True), (-300, True), (300.5, False), (-301, False)])
def test_given_clocks_that_differ_then_the_tolerance_decides(now: float, ok: bool) -> None:
    header = sign(BODY, [NEW], AT)
    if ok:
        assert verify(header, BODY, [NEW], now=AT + now, tolerance_s=300)
    else:
        with pytest.raises(SignatureExpired, match="check the clocks"):
            verify(header, BODY, [NEW], now=AT + now, tolerance_s=300)


def test_given_an_old_message_with_a_wrong_signature_then_nothing_is_said_of_its_time() -> None:
    with pytest.raises(SignatureWrong):
        verify(sign(BODY, [OTHER], AT), BODY, [NEW], now=AT + 9999, tolerance_s=1)
