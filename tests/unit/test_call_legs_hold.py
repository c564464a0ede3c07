"""Hold: from rows of our own; where nothing is noted it is unknown, never nought."""

from __future__ import annotations

import pytest

from telephony.call_legs import Leg, build_legs
from telephony.cel.rows import CelRow
from tests.unit.cel_samples import row

CITIZEN, AGENT, THIRD = (f"1795000000.{number}" for number in (1, 2, 3))
NAMES = {CITIZEN: "PJSIP/trunk-1", AGENT: "PJSIP/8001-2", THIRD: "PJSIP/122-3"}


def of(at: float, event: str, uniqueid: str, **more: str) -> CelRow:
    return row(at, event, NAMES[uniqueid], uniqueid, linkedid=CITIZEN, **more)


def hold(at: float, on: str, leg: str = "", kind: str = "HOLD") -> CelRow:
    text = f"case=x&leg={leg}" if leg else "case=x"
    return of(at, "USER_DEFINED", on, fact=f"HOTLINE_{kind}", extra=f'{{"extra":"{text}"}}')


def legs_of(*rows: CelRow, people: int = 2, end: bool = True) -> dict[str, Leg]:
    """A talk from second 1 to 61 with these rows in it."""
    talk: list[CelRow] = []
    for uniqueid in (CITIZEN, AGENT, THIRD)[:people]:
        talk += [
            of(0, "CHAN_START", uniqueid),
            of(1, "ANSWER", uniqueid),
            of(1, "BRIDGE_ENTER", uniqueid, extra='{"bridge_id":"b"}'),
        ]
        if end:
            talk += [of(61, "HANGUP", uniqueid), of(61, "CHAN_END", uniqueid)]
    ordered: list[CelRow] = sorted([*talk, *rows], key=lambda one: one.at)
    legs = build_legs(ordered)
    return {leg.uniqueid: leg for leg in legs}


def holds(legs: dict[str, Leg]) -> list[float | None]:
    return [leg.hold_s for _, leg in sorted(legs.items())]


def test_given_no_row_then_hold_is_unknown() -> None:
    assert holds(legs_of()) == [None, None]


def test_given_a_phone_that_pressed_hold_then_both_sides_are_told() -> None:
    legs = legs_of(hold(10, AGENT), hold(22.5, AGENT, kind="UNHOLD"))
    assert holds(legs) == [12.5, 12.5]
    assert legs[CITIZEN].talk_s == 60.0


def test_given_several_stretches_then_each_second_counts_once() -> None:
    rows = [hold(10, AGENT), hold(12, AGENT), hold(20, AGENT, kind="UNHOLD")]
    rows += [hold(15, CITIZEN), hold(25, CITIZEN, kind="UNHOLD"), hold(40, AGENT)]
    assert holds(legs_of(*rows, hold(41, AGENT, kind="UNHOLD"))) == [16.0, 16.0]


def test_given_rows_that_name_the_leg_then_they_are_its_own() -> None:
    rows = [hold(10, CITIZEN, leg=AGENT), hold(10.1, CITIZEN, leg=CITIZEN)]
    rows += [hold(20, CITIZEN, leg=one, kind="UNHOLD") for one in (AGENT, CITIZEN)]
    assert holds(legs_of(*rows)) == [10.0, 10.0]


def test_given_a_leg_that_nobody_knows_then_its_hold_is_nobodys() -> None:
    rows = [hold(10, AGENT, leg="1.1"), hold(20, AGENT, leg="1.1", kind="UNHOLD")]
    assert holds(legs_of(*rows)) == [None, None]


def test_given_a_hang_up_on_hold_then_it_lasted_until_then() -> None:
    assert holds(legs_of(hold(31, AGENT))) == [30.0, 30.0]


@pytest.mark.parametrize("end", [True, False])
def test_given_a_row_that_is_missing_then_hold_is_unknown(end: bool) -> None:
    assert holds(legs_of(hold(20, AGENT, kind="UNHOLD"), end=end)) == [None, None]
    assert holds(legs_of(hold(20, AGENT), end=False)) == [None, None]


def test_given_a_three_way_then_the_others_talk_on() -> None:
    rows = [hold(10, AGENT), hold(20, AGENT, kind="UNHOLD")]
    assert holds(legs_of(*rows, people=3)) == [None, 10.0, None]
