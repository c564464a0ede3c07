"""Service killed or its link cut at each state of each hand-over: callers notice nothing, and the
record is whole afterwards. ``make test`` plays two by a seed, ``make test-all`` all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.handovers.floor import Floor
from tests.handovers.sweep import Disturbance, Sweep, chosen, seed

SEED = seed()


@pytest.fixture(scope="module")
def wired_floor() -> Iterator[Floor]:
    with Floor(with_wire=True) as one:
        yield one


@pytest.mark.pbx
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "disturbance",
    [pytest.param(one, id=f"{one.name}-seed-{SEED}") for one in chosen(SEED)],
)
def test_given_hand_overs_when_the_service_is_away_then_callers_and_record_are_whole(
    wired_floor: Floor, disturbance: Disturbance
) -> None:
    sweep = Sweep(wired_floor, disturbance)
    wrong = sweep.play()
    assert not wrong, "\n".join([*wrong, *sweep.stories])
