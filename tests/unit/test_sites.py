"""Which PBX something is at, where there are several."""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import cast

import pytest

from telephony.errors import CallNotFound, PbxUnavailable
from telephony.site import Site
from telephony.sites import Sites

SAME = "PJSIP/trunk-00000003"


def site(name: str, *calls: str, seen: bool = True) -> Site:
    def call(call_id: str, known: Collection[str] = calls) -> str:
        if not seen:
            raise PbxUnavailable(f"{name} is not seen")
        if call_id not in known:
            raise CallNotFound(call_id)
        return call_id

    return cast("Site", SimpleNamespace(name=name, calls=SimpleNamespace(call=call)))


def test_given_a_name_that_two_pbxs_have_then_neither_is_guessed() -> None:
    sites = Sites([site("east", SAME, "east-1764.1"), site("west", SAME, "west-1764.1")])
    assert sites.call("west-1764.1").name == "west"
    with pytest.raises(CallNotFound, match="at east and west"):
        sites.call(SAME)
    # An id that says where it was made is no guess, whoever knows it besides.
    case = "20261124-west-1764.1"
    both = Sites([site("east", case), site("west", case)])
    assert both.call(case).name == "west"


@pytest.mark.parametrize("order", [("north-west", "west"), ("west", "north-west")])
def test_given_one_pbx_that_is_not_seen_then_its_calls_are_not_said_to_be_over(
    order: tuple[str, str],
) -> None:
    sites = Sites([site(name, seen=name == "west") for name in order])
    for what in (
        "north-west-1764.1",
        "20261124-north-west-1764.1",
        "20261124-north-west-1764.1-h2",
    ):
        assert sites.call(what).name == "north-west"
    assert sites.call("20261124-west-1764.1").name == "west"
