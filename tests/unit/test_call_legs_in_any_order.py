"""Rows in any order, late, doubled or cut off: the legs are the same, and none is invented."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.call_legs import build_legs
from telephony.cel.rows import CelRow
from telephony.cel.sort import sort_rows
from tests.unit.cel_samples import NAMES, recorded


def pictures(rows: list[CelRow]) -> dict[str, object]:
    return {leg.uniqueid: leg.to_dict() for leg in build_legs(rows)}


WHOLE = {name: pictures(recorded(name)) for name in NAMES}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(NAMES), st.randoms(use_true_random=False))
def test_given_any_order_then_the_legs_are_the_same(name: str, rng: random.Random) -> None:
    rows = recorded(name)
    places = {one: place for place, one in enumerate(rows)}
    rng.shuffle(rows)
    # In a file the order of rows of the same time is known (file order or an id).
    keyed = [(one.at, places[one], one) for one in rows]
    assert pictures([CelRow._make(one) for one in sort_rows(keyed, run=7)]) == WHOLE[name]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(NAMES), st.randoms(use_true_random=False))
def test_given_rows_up_to_a_minute_late_then_the_stream_gives_the_same_legs(
    name: str, rng: random.Random
) -> None:
    rows = recorded(name)
    late = sorted(rows, key=lambda one: one.at + rng.randrange(0, 59_000_000))
    got = pictures(late)
    assert set(got) == set(WHOLE[name])
    for uniqueid, leg in got.items():
        whole = WHOLE[name][uniqueid]
        assert isinstance(leg, dict)
        assert isinstance(whole, dict)
        assert {k: v for k, v in leg.items() if "channel" not in k} == {
            k: v for k, v in whole.items() if "channel" not in k
        }


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(NAMES), st.randoms(use_true_random=False))
def test_given_doubled_rows_then_the_legs_are_the_same(name: str, rng: random.Random) -> None:
    rows = recorded(name)
    doubled = sorted([*rows, *rng.sample(rows, len(rows) // 2)], key=lambda one: one.at)
    assert pictures(doubled) == WHOLE[name]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(NAMES), st.randoms(use_true_random=False))
def test_given_any_cut_then_no_leg_is_invented(name: str, rng: random.Random) -> None:
    rows = recorded(name)
    match rng.randrange(3):
        case 0:
            rows = rows[rng.randrange(len(rows)) :]
        case 1:
            rows = rows[: rng.randrange(len(rows)) + 1]
        case _:
            keep = rng.random()
            rows = [one for one in rows if rng.random() < keep] or rows[:1]
    legs = list(build_legs(rows))
    channels = Counter(one for leg in legs for one in leg.channels)
    assert channels == Counter({one.uniqueid for one in rows})
    owner = {
        one: uniqueid
        for uniqueid, leg in WHOLE[name].items()
        for one in leg["channels"]  # type: ignore[index]
    }
    assert max(Counter(owner[leg.uniqueid] for leg in legs).values()) == 1
    for leg in legs:
        if leg.state == "complete":
            assert leg.started is not None
            assert leg.ended is not None
        else:
            assert leg.started is None or leg.ended is None


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_given_calls_at_the_same_time_then_they_stay_apart(rng: random.Random) -> None:
    names = [
        name for name in NAMES if name not in ("crash", "attended", "voicemail", "spy", "plain")
    ]
    rows: list[CelRow] = []
    for name in names:
        shift = rng.randrange(0, 30_000_000)
        call = recorded(name)
        rows += [
            one._replace(at=one.at - call[0].at + 1_795_497_400_000_000 + shift) for one in call
        ]
    legs = list(build_legs(sorted(rows, key=lambda one: one[0])))
    assert {leg.uniqueid: sorted(leg.channels) for leg in legs} == {
        uniqueid: sorted(leg["channels"])  # type: ignore[index]
        for name in names
        for uniqueid, leg in WHOLE[name].items()
    }
