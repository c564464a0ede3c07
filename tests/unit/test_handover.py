"""What a key press refuses before the caller is touched."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from telephony.errors import InvalidValue
from telephony.handover import encoded_reason


@pytest.mark.parametrize(
    "reason", ["", "有人受伤，要快", "a|b&c;d,e=f", "${SHELL(id)}", '100% "sure" (it\'s)', "救命🚑"]
)
def test_a_reason_arrives_as_it_was_written(reason: str) -> None:
    encoded = encoded_reason(reason)
    assert not set(encoded) & set('|&;,="$(){}')
    assert parse_qs(f"id=1&reason={encoded}").get("reason", [""]) == [reason]


def test_two_hundred_chinese_characters_fit_and_what_asterisk_would_cut_is_refused() -> None:
    assert encoded_reason("汉" * 200) == "汉" * 200
    with pytest.raises(InvalidValue, match="too long"):
        encoded_reason("，" * 200)
