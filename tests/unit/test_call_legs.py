"""Legs of calls recorded on a real Asterisk: what a person would say took place."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter

import pytest

from telephony.call_legs import Directory, Leg, LegBuilder, build_legs
from telephony.cel.rows import CelRow
from telephony.legs.model import Party
from tests.unit.cel_samples import NAMES, legs_of, recorded, row

AGENTS = {f"PJSIP/{name}": Party("agent", name, "车管窗口") for name in ("8001", "8002", "8003")}
DESKS = {
    f"PJSIP/{name}": Party("target", name, f"{name}指挥中心") for name in ("110", "12345", "122")
}
PARTIES = {party.id: party for party in (AGENTS | DESKS).values()}
DIRECTORY = Directory(AGENTS | DESKS, PARTIES)


def told(legs: list[Leg]) -> list[tuple[str | None, str | None, str, str | None]]:
    return [(leg.role, leg.party, leg.state, leg.cause_text) for leg in legs]


def talks(leg: Leg, legs: list[Leg]) -> list[tuple[list[str | None], float]]:
    """With whom (by party) and for how long, to a tenth of a second."""
    party = {one.uniqueid: one.party for one in legs}
    return [
        ([party[other] for other in part.others], round(((part.end or 0) - part.start) / 1e6, 1))
        for part in leg.segments
    ]


@pytest.mark.parametrize("name", NAMES)
def test_given_any_recorded_call_then_every_channel_is_in_exactly_one_leg(name: str) -> None:
    channels = Counter(one for leg in legs_of(name) for one in leg.channels)
    assert channels == Counter({one.uniqueid for one in recorded(name)})


def test_given_a_plain_call_then_there_is_a_citizen_and_an_agent() -> None:
    citizen, agent = legs_of("plain", DIRECTORY)
    assert told([citizen, agent]) == [
        ("citizen", "13812345678", "complete", "normal clearing"),
        ("agent", "8001", "complete", "normal clearing"),
    ]
    assert citizen.hung_up_by == agent.hung_up_by == citizen.uniqueid
    assert agent.department == "车管窗口"
    assert agent.caller == "13812345678"
    assert agent.case == f"20261124-{citizen.uniqueid}"
    assert 0.5 < (agent.ring_s or 0) < 0.6
    assert agent.talk_s == citizen.talk_s
    assert 1.9 < (agent.talk_s or 0) < 2.1
    assert agent.hold_s is None


def test_given_an_agent_behind_a_local_channel_then_it_is_folded_into_the_agent() -> None:
    legs = legs_of("local", DIRECTORY)
    assert [leg.role for leg in legs] == ["citizen", "agent"]
    assert len(legs[1].channels) == 3
    # The optimisation of the Local channel is nothing that people hear.
    assert talks(legs[0], legs) == [(["8001"], 2.0)]


def test_given_a_stand_in_that_talks_then_the_talk_is_that_of_the_leg_it_stands_for() -> None:
    citizen, stand_in, agent = "1795000000.1", "1795000001.2", "1795000001.3"
    bridge = '{"bridge_id":"b1"}'
    rows = [
        row(0, "CHAN_START", "PJSIP/trunk-00000001", citizen),
        row(1, "CHAN_START", "AsyncGoto/PJSIP/trunk-00000001", stand_in, linkedid=citizen),
        row(1, "CHAN_START", "PJSIP/8001-00000002", agent, linkedid=citizen),
        row(
            2,
            "BRIDGE_ENTER",
            "AsyncGoto/PJSIP/trunk-00000001",
            stand_in,
            linkedid=citizen,
            extra=bridge,
        ),
        row(3, "BRIDGE_ENTER", "PJSIP/8001-00000002", agent, linkedid=citizen, extra=bridge),
        row(9, "BRIDGE_EXIT", "PJSIP/8001-00000002", agent, linkedid=citizen, extra=bridge),
    ]
    first, second = build_legs(rows)
    assert first.channels == [citizen, stand_in]
    assert [(part.others, (part.end or 0) - part.start) for part in first.segments] == [
        ((agent,), 6_000_000)
    ]
    assert [part.others for part in second.segments] == [(citizen,)]


def test_given_a_queue_that_rings_all_then_those_who_did_not_answer_have_no_talk() -> None:
    legs = legs_of("queue", DIRECTORY)
    answered = {leg.party: leg.answered is not None for leg in legs if leg.role == "agent"}
    assert answered == {"8001": False, "8002": True, "8003": False}
    silent = [leg for leg in legs if leg.party in ("8001", "8003")]
    assert [(leg.talk_s, leg.cause_text) for leg in silent] == [(0.0, "answered elsewhere")] * 2


def test_given_a_transfer_then_the_target_belongs_to_the_handover() -> None:
    legs = legs_of("transfer")
    citizen, agent, target = legs
    assert (target.role, target.party) == ("target", "110")
    assert target.handover == f"{citizen.case}-h1"
    assert talks(citizen, legs) == [(["8001"], 1.0), (["110"], 1.4)]
    assert agent.handover is None


def test_given_a_busy_target_then_its_leg_says_so() -> None:
    busy = legs_of("transferbusy")[2]
    assert (busy.role, busy.party, busy.cause, busy.answered) == ("target", "122", 17, None)
    assert busy.talk_s == 0.0


def test_given_a_three_way_then_the_segments_change_as_members_come_and_go() -> None:
    legs = legs_of("threeway")
    assert talks(legs[0], legs) == [(["8001"], 1.7), (["8001", "12345"], 1.6), (["12345"], 1.0)]
    assert talks(legs[2], legs) == [(["13812345678", "8001"], 1.6), (["13812345678"], 1.0)]


def test_given_an_attended_transfer_then_nobody_talks_before_the_target_answers() -> None:
    legs = legs_of("attended")
    citizen, agent, target = legs
    assert target.party == "12345"
    assert len(target.channels) == 3
    assert talks(citizen, legs) == [(["8001"], 4.5), (["12345"], 1.5)]
    assert talks(agent, legs) == [(["13812345678"], 4.5), (["12345"], 0.1)]
    assert (target.role, target.handover) == ("target", f"{citizen.case}-a1")


def test_given_a_chain_of_handovers_then_every_target_is_told() -> None:
    legs = legs_of("house_chain")
    assert [(leg.role, leg.party, (leg.handover or "")[-3:]) for leg in legs] == [
        ("citizen", "13804210001", ""),
        ("agent", "8001", ""),
        ("target", "110", "-h1"),
        ("target", "12345", "-h2"),
        ("target", "120", "-h3"),
    ]
    assert len({leg.case for leg in legs}) == 1


def test_given_a_target_that_was_busy_then_those_who_talk_on_end_normally() -> None:
    legs = legs_of("house_busy")
    causes = [(leg.role, leg.cause) for leg in legs]
    assert causes == [("citizen", 16), ("agent", 16), *[("target", 17)] * 3]
    assert talks(legs[0], legs) == [(["8001"], 0.4)] * 4


def lost_and_found(ends: float, source: str, cause: int = 44) -> list[Leg]:
    """An agent's phone dies at 10, the next one talks from 12 on, the citizen's leg ends so."""
    citizen, first, second = "1795000000.1", "1795000000.2", "1795000000.3"
    names = {citizen: "PJSIP/trunk-1", first: "PJSIP/8001-2", second: "PJSIP/8002-3"}

    def of(at: float, event: str, who: str, **more: str) -> CelRow:
        return row(at, event, names[who], who, linkedid=citizen, **more)

    def talk(start: float, end: float, who: str, bridge: str) -> list[CelRow]:
        extra = f'{{"bridge_id":"{bridge}"}}'
        moves = [(start, "BRIDGE_ENTER"), (end, "BRIDGE_EXIT")]
        return [of(at, event, one, extra=extra) for at, event in moves for one in (citizen, who)]

    def over(at: float, who: str, by: str) -> list[CelRow]:
        extra = f'{{"hangupcause":{cause},"hangupsource":"{by}"}}'
        return [of(at, "HANGUP", who, extra=extra), of(at, "CHAN_END", who)]

    rows = [of(0, "CHAN_START", citizen), of(1, "CHAN_START", first), of(11, "CHAN_START", second)]
    rows += [of(2, "ANSWER", first), of(12, "ANSWER", second)]
    rows += [*talk(2, 10, first, "a"), *over(10, first, "")]
    rows += [
        *talk(12, ends, second, "b"),
        *over(ends, second, source),
        *over(ends, citizen, source),
    ]
    return list(build_legs(sorted(rows, key=attrgetter("at"))))


def test_given_a_phone_that_died_when_citizen_talks_on_and_hangs_up_then_that_is_a_normal_end() -> (
    None
):
    assert [leg.cause for leg in lost_and_found(20, "PJSIP/trunk-1")] == [16, 44, 16]


@pytest.mark.parametrize("source", ["", "PJSIP/8002-3"])
def test_given_the_next_phone_that_dies_as_well_then_its_cause_stays(source: str) -> None:
    assert [leg.cause for leg in lost_and_found(20, source)] == [44, 44, 44]


def test_given_a_third_party_called_by_a_key_then_its_local_channel_is_folded_into_it() -> None:
    legs = legs_of("house_three_way")
    assert [leg.role for leg in legs] == ["citizen", "agent", "target"]
    assert [len(leg.channels) for leg in legs] == [1, 1, 3]
    assert legs[2].handover == f"{legs[0].case}-h1"


def test_given_a_parked_call_then_waiting_is_not_talking() -> None:
    legs = legs_of("park")
    assert talks(legs[0], legs) == [(["8001"], 1.0), (["8002"], 2.0)]
    fetched = next(leg for leg in legs if leg.party == "8002" and leg.answered)
    assert fetched.linkedid == legs[0].linkedid  # it changed in mid-call


def test_given_a_lone_party_in_a_conference_then_nobody_was_talked_with() -> None:
    (leg,) = legs_of("confalone")
    assert (leg.talk_s, leg.segments) == (0.0, [])


def test_given_no_real_channel_then_the_local_pair_is_one_leg() -> None:
    (leg,) = legs_of("local_only")
    assert len(leg.channels) == 2
    assert leg.role is None


def test_given_a_crash_then_what_was_open_is_cut_off_and_has_no_end() -> None:
    legs = legs_of("crash")
    cut = [leg for leg in legs if leg.state == "cut_off"]
    assert [leg.party for leg in cut] == ["13812345678", "8001", "13900000003", "8002"]
    assert all(leg.ended is None and leg.talk_s is None for leg in cut)
    assert [leg.state for leg in legs[-2:]] == ["complete", "complete"]


def test_given_a_crash_and_no_later_call_then_what_was_open_stays_open() -> None:
    rows = [one for one in recorded("crash") if not one.uniqueid.endswith((".0", ".1"))]
    legs = list(build_legs(rows))
    assert Counter(leg.state for leg in legs) == {"open": 4, "complete": 2}


def test_given_two_pbxs_in_one_file_then_no_restart_is_seen_in_their_counters() -> None:
    rows = []
    for second in range(0, 60, 3):
        counter = 5000 + second if second % 2 else 10 + second
        rows += [
            row(second, "CHAN_START", f"SIP/a-{second}", f"{1_795_000_000 + second}.{counter}"),
            row(
                second + 100,
                "CHAN_END",
                f"SIP/a-{second}",
                f"{1_795_000_000 + second}.{counter}",
            ),
        ]
    legs = list(build_legs(sorted(rows)))
    assert [leg.state for leg in legs] == ["complete"] * 20


def test_given_a_foreign_system_then_roles_follow_from_the_shape_of_the_call() -> None:
    rows = [
        one._replace(account="sales", context=one.context.replace("hotline-trunk", "from-pstn"))
        for one in recorded("blind")
        if not one.fact
    ]
    legs = sorted(build_legs(rows, pbx="other"), key=lambda leg: leg.first_at)
    assert [(leg.role, leg.party, leg.case, leg.pbx) for leg in legs] == [
        ("citizen", "13812345678", None, "other"),
        ("agent", "8001", None, "other"),
        ("target", "12345", None, "other"),
    ]


def test_given_no_bridge_ids_then_the_peers_tell_who_talked() -> None:
    rows = [
        one._replace(extra="" if "bridge_id" in one.extra else one.extra)
        for one in recorded("plain")
    ]
    legs = list(build_legs(rows))
    assert [talks(leg, legs) for leg in legs] == [[(["8001"], 2.0)], [(["13812345678"], 2.0)]]


def test_given_an_old_asterisk_then_one_row_bridges_both() -> None:
    rows = [
        row(0, "CHAN_START", "SIP/trunk-1", "1795000000.1", num="139"),
        row(0.1, "CHAN_START", "SIP/8001-2", "1795000000.2", linkedid="1795000000.1"),
        row(2, "ANSWER", "SIP/8001-2", "1795000000.2", linkedid="1795000000.1"),
        row(2, "ANSWER", "SIP/trunk-1", "1795000000.1"),
        row(2.1, "BRIDGE_START", "SIP/trunk-1", "1795000000.1", peer="SIP/8001-2"),
        row(5.1, "BRIDGE_END", "SIP/trunk-1", "1795000000.1", peer="SIP/8001-2"),
        row(5.2, "CHAN_END", "SIP/8001-2", "1795000000.2", linkedid="1795000000.1"),
        row(5.2, "CHAN_END", "SIP/trunk-1", "1795000000.1"),
    ]
    citizen, agent = build_legs(rows)
    assert (citizen.talk_s, agent.talk_s, agent.role) == (3.0, 3.0, "agent")


def test_given_no_bridge_rows_at_all_then_the_talk_is_unknown_not_zero() -> None:
    rows = [one for one in recorded("plain") if not one.event.startswith("BRIDGE")]
    assert [leg.talk_s for leg in build_legs(rows)] == [None, None]


def test_given_an_announcer_then_it_belongs_to_the_leg_that_caused_it() -> None:
    rows = recorded("confalone")
    bridge = next(one for one in rows if one.event == "BRIDGE_ENTER")
    announcer = {
        "channel": "CBAnn/55-1;2",
        "uniqueid": "1795497308.32",
        "linkedid": "1795497308.32",
    }
    rows += [
        bridge._replace(event=event, at=bridge.at + late, app="", **announcer)
        for late, event in enumerate(("CHAN_START", "BRIDGE_ENTER", "BRIDGE_EXIT", "CHAN_END"), -2)
    ]
    (leg,) = build_legs(sorted(rows))
    assert leg.channels == ["1795497308.31", "1795497308.32"]
    assert leg.segments == []


def test_given_a_stream_that_begins_in_mid_call_then_the_start_is_unknown() -> None:
    rows = [one for one in recorded("plain") if one.event not in ("CHAN_START", "USER_DEFINED")]
    legs = list(build_legs(rows))
    assert [(leg.started, leg.ring_s, leg.state) for leg in legs] == [(None, None, "cut_off")] * 2
    assert all(leg.talk_s for leg in legs)


def test_given_many_calls_then_only_those_open_are_held() -> None:
    builder = LegBuilder()
    most = 0
    for number in range(300):
        for one in recorded("plain"):
            name = f"{1_795_000_000 + number * 10}.{number * 2 + int(one.uniqueid[-1])}"
            link = f"{1_795_000_000 + number * 10}.{number * 2}"
            extra = one.extra.replace('bridge_id":"', f'bridge_id":"{number}')
            account = f"20261124-{link}" if one.account else ""
            moved = one._replace(
                at=one.at + number * 10_000_000,
                uniqueid=name,
                linkedid=link,
                extra=extra,
                account=account,
            )
            builder.feed(moved._replace(fact="", event=moved.event if not moved.fact else "X"))
        done = list(builder.finished())
        most = max(most, builder.open_calls)
        assert all(call.is_over for call in done)
    assert most < 12
