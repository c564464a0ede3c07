"""What is done around a call: the ledger's words, the settings, and who may not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from telephony.around.recording import RecordingNotFound, sound_of
from telephony.around.settings import Parking, Recording, Supervisor
from telephony.cel.rows import Fact
from telephony.errors import HandoverRunning
from telephony.partners import Group, Outside
from telephony.responsibility import new_entries, verify
from telephony.settings import Settings
from tests.unit.api_fixtures import running, told

CASE = "20261124-1795480267.1"


def fact(at: int, kind: str, **values: str) -> Fact:
    return Fact(at, kind, {"case": CASE, **values}, "1795480267.1")


FACTS = [
    fact(1, "CASE"),
    fact(2, "TAKEN", agent="8001", leg="1795480268.2"),
    fact(3, "PARKED", slot="11", by="8001", leg="1795480268.2"),
    fact(4, "FETCHED", slot="11", agent="8002", leg="1795480269.3"),
    fact(5, "MONITOR", what="started", who="8901", mode="whisper", to="8002", leg="1.4"),
    fact(6, "MONITOR", what="stopped", who="8901", mode="whisper", to="8002", leg="1.4"),
    fact(7, "RECORDING", what="started", recording=f"{CASE}~1795480268.2", leg="1795480268.2"),
    fact(8, "HOLD", leg="1795480268.2", by="8001"),
]


def test_given_facts_around_a_call_then_each_is_an_entry_and_responsibility_does_not_move() -> None:
    entries = new_entries(CASE, [], FACTS)
    assert [(one.event, one.by, one.to, one.detail) for one in entries] == [
        ("taken", "8001", None, None),
        ("parked", "8001", None, "place 11"),
        ("fetched", "8002", None, "place 11"),
        ("monitored", "8901", "8002", "whisper started"),
        ("monitored", "8901", "8002", "whisper stopped"),
        ("recorded", None, None, f"started {CASE}~1795480268.2"),
    ]
    assert {one.responsible for one in entries} == {"8001"}
    assert all(one.handover is None for one in entries)
    assert not new_entries(CASE, entries, FACTS)
    assert not list(verify(entries, {CASE: (len(entries), entries[-1].hash)}))


@pytest.mark.parametrize("pin", ["123", "12a4", "1234567890123", '12"4', ""])
def test_given_a_pin_that_is_none_then_refused_unseen(pin: str) -> None:
    with pytest.raises(ValidationError, match="PIN is 4 to 12 digits"):
        Supervisor(id="8901", pin=SecretStr(pin))


def test_given_defaults_then_nothing_is_recorded_and_nobody_listens() -> None:
    settings = Settings()
    assert settings.recording == Recording()
    assert not settings.recording.on
    assert settings.supervisors == []
    assert settings.parking == Parking()


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a~b", f"{CASE}~../x", f"{CASE}~1.2\n", f"{CASE}~", "", "~"]
)
async def test_given_a_guessed_name_then_no_recording(name: str, tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        with pytest.raises(RecordingNotFound):
            await sound_of(run.service.database, [tmp_path], name)


async def test_given_a_file_that_is_not_on_record_then_not_found(tmp_path: Path) -> None:
    name = f"{CASE}~1795480268.2"
    (tmp_path / f"{name}.wav").write_bytes(b"RIFF")
    async with running(tmp_path) as run:
        with pytest.raises(RecordingNotFound):
            await sound_of(run.service.database, [tmp_path], name)
        for role in ("agent", "supervisor", "admin"):  # none of them may_monitor
            answer = await run.as_(role).get(f"/api/v1/recordings/{name}/sound")
            assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed"), role


async def test_given_no_may_monitor_then_refused_whatever_the_rank(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        call = run.simulated.citizen("13800000000")
        run.simulated.talk(call)
        for role in ("agent", "supervisor", "admin"):
            answer = await run.as_(role).post(
                f"/api/v1/calls/{CASE}/monitor", json={"mode": "listen", "phone": "8901"}
            )
            assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed"), role


def test_given_a_code_that_means_two_things_then_refused() -> None:
    with pytest.raises(ValidationError, match=r"#7 is two keys at once"):
        Settings(recording=Recording(pause_key="#7"))
    with pytest.raises(ValidationError, match=r"\*1 is two keys at once"):
        Settings(parking=Parking(key="*1"))


def test_given_a_supervisor_who_is_a_desk_too_then_refused() -> None:
    with pytest.raises(ValidationError, match="110 is a supervisor and somebody else at once"):
        Settings(supervisors=[Supervisor(id="110", pin=SecretStr("4711"))])
    group = Group(id="801", name="全体", members=["110", "122"])
    with pytest.raises(ValidationError, match="801 is a supervisor and somebody else at once"):
        Settings(groups=[group], supervisors=[Supervisor(id="801", pin=SecretStr("4711"))])
    outside = Outside(number="890X", name="外线", dial="PJSIP/{number}@trunk")
    with pytest.raises(ValidationError, match="outside 890X: 8901 is in use here already"):
        Settings(outside=[outside], supervisors=[Supervisor(id="8901", pin=SecretStr("4711"))])


async def test_given_a_hold_in_the_moment_of_a_key_then_only_one_moves_the_citizen(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as run:
        run.simulated.extensions.add(("hotline-aside", "s"))
        citizen = run.simulated.citizen()
        run.simulated.talk(citizen)
        await told(run)
        hold = asyncio.create_task(run.service.asides.hold(citizen.uniqueid))
        await asyncio.sleep(0)  # it looks at the PBX's dialplan now
        with pytest.raises(HandoverRunning):
            await run.service.transfers.transfer(citizen.uniqueid, "110")
        while citizen.variables.get("SHARED(ASIDE)") is None:
            run.simulated.asked.clear()
            await asyncio.wait_for(run.simulated.asked.wait(), 5)
        run.simulated.fact(citizen, "HOTLINE_HOLD", case=citizen.account, by="8001")
        assert (await hold).state == "held"
        moves = [one for one in run.simulated.actions if one["Action"] == "Redirect"]
        assert [one["Context"] for one in moves] == ["hotline-aside"]
        # And the next press finds the way free.
        assert (await run.service.transfers.transfer(citizen.uniqueid, "110")).desk == "110"
