"""Whatever is done to the rows of valid calls, the legs are theirs, and no others."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.call_legs import Leg, LegBuilder, build_legs
from telephony.cel.rows import CelRow
from telephony.cel.sort import sort_rows
from telephony.legs.gaps import gaps_of_call
from tests.unit.cel_model import Pbx, Phone
from tests.unit.cel_samples import row

CHANCE = st.randoms(use_true_random=False)
OFTEN = settings(max_examples=120, deadline=None)


def day(rng: random.Random, *, calls: int = 4) -> Pbx:
    """Some calls, all at the same time and with one clock."""
    pbx = Pbx(rng)
    for _ in range(rng.randrange(1, calls + 1)):
        begun = pbx.at
        pbx.call_back() if rng.random() < 0.2 else pbx.call()
        pbx.at = begun + rng.randrange(1, 40_000_000)
    pbx.done()
    return pbx


def by_id(rows: list[CelRow]) -> dict[str, Leg]:
    legs = list(build_legs(rows))
    found = {leg.uniqueid: leg for leg in legs}
    assert len(found) == len(legs), "a leg was told twice"
    return found


def pictures(rows: list[CelRow]) -> dict[str, dict[str, Any]]:
    return {uniqueid: leg.to_dict() for uniqueid, leg in by_id(rows).items()}


def in_order(rows: list[CelRow], known: list[CelRow]) -> list[CelRow]:
    """As a file is read: by time, and by place among rows of the same time."""
    places = {one: place for place, one in enumerate(known)}
    keyed = [(one.at, places.get(one, -1), one) for one in rows]
    return [CelRow._make(one) for one in sort_rows(keyed, run=50)]


def people(pbx: Pbx) -> dict[str, Phone]:
    return {phone.uniqueid: phone for phone in pbx.phones if phone.is_person}


@OFTEN
@given(CHANCE)
def test_given_valid_calls_then_the_legs_say_what_took_place(rng: random.Random) -> None:
    pbx = day(rng)
    legs, phones = by_id(pbx.rows), people(pbx)
    assert set(legs) == set(phones)
    for uniqueid, leg in legs.items():
        phone = phones[uniqueid]
        assert leg.state == "complete"
        assert (leg.started, leg.answered) == (phone.started, phone.answered)
        assert (leg.ended, leg.cause) == (phone.ended, phone.cause)
        assert leg.talk_s is not None
        assert abs(leg.talk_s - pbx.talk_us(phone) / 1e6) < 0.021 * (1 + len(phone.stays))
        held = None if phone.held_us is None else phone.held_us / 1e6
        assert (leg.hold_s is None) == (held is None)
        assert held is None or abs((leg.hold_s or 0) - held) < 0.002
    channels = Counter(one for leg in legs.values() for one in leg.channels)
    assert channels == Counter(phone.uniqueid for phone in pbx.phones)


@OFTEN
@given(CHANCE)
def test_given_any_order_in_a_file_then_the_legs_are_the_same(rng: random.Random) -> None:
    rows = day(rng).rows
    mixed = rows.copy()
    rng.shuffle(mixed)
    assert pictures(in_order(mixed, rows)) == pictures(rows)


@OFTEN
@given(CHANCE)
def test_given_rows_late_and_doubled_in_a_stream_then_the_times_are_the_same(
    rng: random.Random,
) -> None:
    rows = day(rng).rows
    whole = by_id(rows)
    doubled = rows + rng.choices(rows, k=len(rows))
    late = sorted(doubled, key=lambda one: one.at + rng.randrange(0, 59_000_000))
    got = by_id(late)
    assert set(got) == set(whole)
    for uniqueid, leg in got.items():
        same = whole[uniqueid]
        assert sorted(leg.channels) == sorted(same.channels)
        assert (leg.started, leg.answered, leg.ended) == (same.started, same.answered, same.ended)
        assert (leg.state, leg.case, leg.cause) == (same.state, same.case, same.cause)


@OFTEN
@given(CHANCE, st.integers(1, 3))
def test_given_a_file_read_several_times_then_the_legs_are_the_same(
    rng: random.Random, times: int
) -> None:
    rows = day(rng).rows
    assert pictures(in_order(rows * times + rng.sample(rows, 5), rows)) == pictures(rows)


@OFTEN
@given(CHANCE, st.booleans())
def test_given_any_cut_then_legs_are_whole_open_or_cut_off_and_none_is_invented(
    rng: random.Random, doubled: bool
) -> None:
    pbx = day(rng)
    whole, phones = by_id(pbx.rows), people(pbx)
    first = rng.randrange(len(pbx.rows))
    last = rng.randrange(first, len(pbx.rows)) + 1
    rows = pbx.rows[first:last]
    legs = by_id(sorted(rows * 2, key=lambda one: one.at) if doubled else rows)
    seen = {one.uniqueid for one in rows}
    assert Counter(one for leg in legs.values() for one in leg.channels) == Counter(seen)
    assert set(phones) & seen == set(legs) & set(phones)
    for uniqueid, leg in legs.items():
        if leg.state == "complete":
            assert leg.ended is not None
            assert leg.started is not None
            if uniqueid in whole:  # one behind a Local channel has another name while it is alone
                same = whole[uniqueid]
                assert (leg.started, leg.cause) == (same.started, same.cause)
                # Between HANGUP and CHAN_END is less than a millisecond.
                assert (same.ended or 0) - 1000 <= leg.ended <= (same.ended or 0)
        else:
            assert leg.started is None or leg.ended is None
        assert leg.talk_s is None or leg.ended is not None
        assert leg.hold_s is None or leg.ended is not None


@OFTEN
@given(CHANCE)
def test_given_a_crash_then_what_was_open_is_cut_off_and_all_else_is_whole(
    rng: random.Random,
) -> None:
    pbx = day(rng)
    whole = by_id(pbx.rows)
    before = pbx.rows[: rng.randrange(1, len(pbx.rows))]
    started_late = {one.uniqueid for one in pbx.rows} - {one.uniqueid for one in before}
    last = max(phone.started for phone in pbx.phones) // 1_000_000
    after = Pbx(rng, max(last, before[-1].at // 1_000_000) + 5)
    after.call()
    after.done()
    legs = by_id([*before, *after.rows])
    ended = {one.uniqueid for one in before if one.event in ("HANGUP", "CHAN_END")}
    for uniqueid, leg in legs.items():
        if uniqueid in people(after):
            assert leg.state == "complete"
        elif uniqueid in whole:
            assert uniqueid not in started_late
            over = ended >= set(leg.channels)
            assert leg.state == ("complete" if over or uniqueid in ended else "cut_off")
            assert leg.ended is None or leg.state == "complete"


JUNK = ("", "{", "[]", '{"extra":5}', '{"extra":"%zz=&=&a"}', '{"bridge_id":5}', "\x00", "=" * 50)
EVENTS = ("USER_DEFINED", "APP_START", "FORWARD", "STREAM_BEGIN", "DTMF", "TRANSFER", "PARK_END")
FACTS = ("HOTLINE_", "HOTLINE_SURVEY", "HOTLINE_RECORDING", "HOTLINE_MONITOR", "SOMETHING", "")


def noise(rng: random.Random, rows: list[CelRow], uniqueid: str | None) -> CelRow:
    """A row that says nothing, of a channel of these or of one that nobody knows."""
    like = rng.choice(rows)
    known = like if uniqueid is None else like._replace(uniqueid=uniqueid, linkedid=uniqueid)
    event = rng.choice(EVENTS)
    fact = rng.choice(FACTS) if event == "USER_DEFINED" else ""
    account = known.account if uniqueid is None else ""
    return known._replace(event=event, fact=fact, extra=rng.choice(JUNK), app="", account=account)


@OFTEN
@given(CHANCE)
def test_given_rows_that_say_nothing_then_the_legs_are_the_same(rng: random.Random) -> None:
    rows = day(rng).rows
    more = [noise(rng, rows, None) for _ in range(20)]
    assert pictures(sorted([*rows, *more], key=lambda one: one.at)) == pictures(rows)


@OFTEN
@given(CHANCE)
def test_given_rows_of_channels_that_nobody_knows_then_the_others_are_the_same(
    rng: random.Random,
) -> None:
    rows = day(rng).rows
    strange = [f"1794000000.{number}" for number in range(3)]
    more = [noise(rng, rows, rng.choice(strange)) for _ in range(10)]
    got = pictures(sorted([*rows, *more], key=lambda one: one.at))
    assert {one: leg for one, leg in got.items() if one not in strange} == pictures(rows)


def plain(second: int, number: int, *, lose_end: bool = False) -> list[CelRow]:
    """A call of one leg and a minute."""
    uniqueid = f"{1_795_000_000 + second}.{number}"
    rows = [
        row(second, "CHAN_START", f"PJSIP/trunk-{number:08x}", uniqueid),
        row(second + 1, "ANSWER", f"PJSIP/trunk-{number:08x}", uniqueid),
    ]
    if not lose_end:
        rows += [
            row(second + 60, "HANGUP", f"PJSIP/trunk-{number:08x}", uniqueid),
            row(second + 60, "CHAN_END", f"PJSIP/trunk-{number:08x}", uniqueid),
        ]
    return rows


def test_given_many_calls_that_are_over_then_the_builder_holds_nothing_of_them() -> None:
    builder = LegBuilder()
    done = 0
    for number in range(3000):
        builder.feed_all(plain(number * 100, number))
        done += len(list(builder.finished()))
        held = (len(builder._index), len(builder._over), len(builder._changed), builder.open_calls)
        assert max(held) <= 4
    assert done >= 2998
    restarts = builder._restarts
    assert (len(restarts._runs), len(restarts._shared)) == (1, 0)


def test_given_an_end_that_was_lost_then_the_call_is_cut_off_after_a_day_of_silence() -> None:
    builder = LegBuilder()
    lost = plain(0, 1, lose_end=True)
    builder.feed_all(lost)
    number = 2
    for second in range(100, 23 * 3600, 600):
        builder.feed_all(plain(second, number))
        number += 1
        assert all(not call.lost for call in builder.changed())
        list(builder.finished())
    assert lost[0].uniqueid in builder
    told = []
    for second in range(23 * 3600, 26 * 3600, 600):
        builder.feed_all(plain(second, number))
        number += 1
        told += [call for call in builder.changed() if call.lost]
        list(builder.finished())
    (call,) = told
    assert lost[0].uniqueid not in builder
    (leg,) = build_legs_of(call)
    assert (leg.state, leg.ended, leg.talk_s) == ("cut_off", None, None)


def build_legs_of(call: Any) -> list[Leg]:
    from telephony.call_legs import Directory

    legs: list[Leg] = call.legs("", Directory())[0]
    return legs


def test_given_a_stream_with_lost_ends_then_memory_stays_bounded() -> None:
    rows: list[CelRow] = []
    for number in range(1500):
        rows += plain(number * 600, number, lose_end=number % 3 == 0)
    builder = LegBuilder()
    most = 0
    for at in range(0, len(rows), 20):
        builder.feed_all(rows[at : at + 20])
        list(builder.finished())
        most = max(most, builder.open_calls)
    assert most < 70  # those of a day, not those of the ten days
    states = Counter(leg.state for leg in build_legs(rows))
    assert states["complete"] == 1000
    assert states["cut_off"] > 430


def test_given_one_row_of_an_impossible_time_then_no_other_call_is_touched() -> None:
    wild = row(10 * 365 * 86400, "DTMF", "PJSIP/trunk-00000001", "1795000000.1")
    calls = [plain(0, 1), plain(5, 2), plain(10, 3)]
    rows = sorted((one for call in calls for one in call), key=lambda one: one.at)
    rows.insert(5, wild)
    legs = by_id(rows)
    assert [leg.state for leg in legs.values()] == ["complete"] * 3


@OFTEN
@given(CHANCE)
def test_given_rows_missing_anywhere_and_others_late_or_doubled_then_no_leg_is_invented_or_lost(
    rng: random.Random,
) -> None:
    rows = day(rng).rows
    kept = rng.sample(rows, rng.randrange(1, len(rows) + 1))
    doubled = kept + rng.choices(kept, k=rng.randrange(len(kept) + 1))
    late = sorted(doubled, key=lambda one: one.at + rng.randrange(0, 59_000_000))
    seen = {one.uniqueid for one in kept}
    for legs in (by_id(late), by_id(in_order(doubled, rows))):
        assert Counter(one for leg in legs.values() for one in leg.channels) == Counter(seen)
        for leg in legs.values():
            assert leg.state in ("complete", "open", "cut_off")
            assert (leg.state == "complete") <= (leg.started is not None)
            assert {one for part in leg.segments for one in part.others} <= set(legs)


@OFTEN
@given(CHANCE)
def test_given_rows_of_starts_and_ends_missing_then_the_gaps_name_just_these_channels(
    rng: random.Random,
) -> None:
    rows = day(rng).rows
    channels = sorted({one.uniqueid for one in rows})
    no_start = set(rng.sample(channels, rng.randrange(len(channels) + 1)))
    no_end = set(rng.sample(channels, rng.randrange(len(channels) + 1)))
    kept = [
        one
        for one in rows
        if not (one.event == "CHAN_START" and one.uniqueid in no_start)
        and not (one.event in ("HANGUP", "CHAN_END") and one.uniqueid in no_end)
    ]
    seen = {one.uniqueid for one in kept}
    retired = {one.linkedid for one in kept if one.event == "LINKEDID_END"}
    last = {one.uniqueid: one.linkedid for one in kept}
    told = Counter((gap.why, gap.key) for gap in gaps_of_call(kept, (), kept[-1].at))
    expected = {("no-start", one) for one in no_start & seen}
    expected |= {("no-end", one) for one in no_end & seen if last[one] in retired}
    assert told == Counter(expected)
