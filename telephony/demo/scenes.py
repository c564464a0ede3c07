"""The scenes of ``hotline demo``: real calls, with tones that prove who hears whom.

Each scene returns a sentence for the table; it raises :class:`SceneFailed` (or a time-out of the
phones) with what was wrong.
"""

from __future__ import annotations

import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from telephony.demo.stage import AGENTS, CITIZENS, Stage
from telephony.softphone import SoftCall
from telephony.tones import share_at

CITIZEN_HZ, AGENT_HZ, DESK_HZ = 500.0, 900.0, 1300.0
ANSWER_LIMIT_S = 15.0
HEAR_LIMIT_S = 5.0
MATTER = "集体讨薪"
"""Touches social stability: it goes to 110 at once."""


class SceneFailed(Exception):
    """A scene did not come out as it must."""


def need(true: object, otherwise: str) -> None:
    """Fail the scene with this sentence unless ``true``."""
    if not true:
        raise SceneFailed(otherwise)


def wait_until(true: Callable[[], Any], otherwise: str, limit_s: float = 5.0) -> Any:
    """Ask until there is an answer; fail the scene with this sentence when none comes."""
    deadline = time.monotonic() + limit_s
    while not (answer := true()):
        need(time.monotonic() < deadline, f"{otherwise} within {limit_s:g} s")
        time.sleep(0.02)
    return answer


class Talk:
    """A citizen and an agent in conversation, and the call's id at the service."""

    def __init__(self, stage: Stage, citizen: str, agent: str) -> None:
        phone = stage.phone(agent)
        self.citizen: SoftCall = stage.phone(citizen).call(stage.settings.line.number)
        self.agent: SoftCall = phone.wait_for_call(ANSWER_LIMIT_S)
        need(
            self.agent.caller_number == citizen,
            f"the agent's phone shows {self.agent.caller_number}, not the citizen's {citizen}",
        )
        self.agent.answer()
        self.citizen.play_tone(CITIZEN_HZ)
        self.agent.play_tone(AGENT_HZ)
        self.together()
        self.id: str = wait_until(
            lambda: next(
                (
                    call["id"]
                    for call in stage.service.get("/calls")["items"]
                    if call["state"] == "talking" and call["caller"] == citizen
                ),
                None,
            ),
            "the service does not show the call",
        )

    def together(self) -> None:
        """Citizen and agent hear each other."""
        self.citizen.wait_hears(AGENT_HZ, HEAR_LIMIT_S)
        self.agent.wait_hears(CITIZEN_HZ, HEAR_LIMIT_S)

    def press(self, stage: Stage, what: str, desk: str | None = None) -> str:
        """Press a key over HTTP; the id of the hand-over that began. Without a desk it goes to
        the one that the case's matter proposes."""
        body = {} if desk is None else {"desk": desk}
        answer = stage.service.post(f"/calls/{self.id}/{what}", body)
        need(answer.status_code == 202, f"the key was answered {answer.status_code}: {answer.text}")
        handover: str = answer.json()["id"]
        return handover


def accept(desk: SoftCall, citizen: SoftCall) -> None:
    """The desk answers; desk and citizen hear each other."""
    desk.answer()
    desk.play_tone(DESK_HZ)
    citizen.wait_hears(DESK_HZ, HEAR_LIMIT_S)
    desk.wait_hears(CITIZEN_HZ, HEAR_LIMIT_S)


def sign(stage: Stage, agent: str, code: str) -> None:
    """An agent signs in or out by the code on the phone, and hears that it worked."""
    call = stage.phone(agent).call(code)
    call.wait_ended(ANSWER_LIMIT_S)
    need(call.packets_received, f"{agent} dialled {code} and heard nothing")


def one_key_answered(stage: Stage) -> str:
    """(a) Citizen, agent, one key, 110 answers."""
    desk = stage.phone("110")
    talk = Talk(stage, CITIZENS[0], AGENTS[0])
    pressed = time.monotonic()
    talk.press(stage, "transfer", "110")
    ringing = desk.wait_for_call(HEAR_LIMIT_S)
    rang_ms = (time.monotonic() - pressed) * 1000
    shown = f"{ringing.caller_number} ({ringing.caller_name})"
    need(ringing.caller_number == CITIZENS[0], f"110's phone shows {shown}, not the citizen")
    need(AGENTS[0] in ringing.caller_name, f"110's phone shows {shown}, not who hands over")
    accept(ringing, talk.citizen)
    talk.agent.wait_ended(HEAR_LIMIT_S)
    talk.citizen.hangup()
    ringing.wait_ended(HEAR_LIMIT_S)
    return f"110 rang {rang_ms:.0f} ms after the key, showing {shown}; both hear each other"


def one_key_busy(stage: Stage) -> str:
    """(b) The same with 110 busy: back with the agent."""
    desk, agent = stage.phone("110"), stage.phone(AGENTS[0])
    talk = Talk(stage, CITIZENS[1], AGENTS[0])
    talk.press(stage, "transfer", "110")
    ringing = desk.wait_for_call(HEAR_LIMIT_S)
    talk.citizen.wait_silent(AGENT_HZ, HEAR_LIMIT_S)
    refused = time.monotonic()
    ringing.deny(486)
    back = talk.citizen.wait_hears(AGENT_HZ, HEAR_LIMIT_S)
    talk.together()
    need(agent.calls == [talk.agent], "the agent's phone rang for the returning call")
    # The key works again after that, and needs no desk when the matter says whose it is.
    set_matter(stage, talk, MATTER)
    talk.press(stage, "transfer")
    accept(desk.wait_for_call(HEAR_LIMIT_S), talk.citizen)
    talk.citizen.hangup()
    gap_ms = (back - refused) * 1000
    return (
        f"the citizen heard the agent again {gap_ms:.0f} ms after the refusal; nothing rang; "
        f"then the matter {MATTER} proposed 110, which took it"
    )


def set_matter(stage: Stage, talk: Talk, matter: str) -> None:
    """Write down the matter of a talk's case, one of the sample's."""
    service = stage.service
    service.import_sample()
    case = service.get(f"/calls/{talk.id}")["case"]
    wait_until(
        lambda: service.http.get(f"/api/v1/cases/{case}").status_code == 200,
        "the case is not on record",
    )
    change = {"matter": matter, "version": 0}
    answer = service.http.patch(f"/api/v1/cases/{case}", json=change)
    need(answer.status_code == 200, f"the matter was answered {answer.status_code}: {answer.text}")


def three_way(stage: Stage) -> str:
    """(c) Citizen, agent and 12345 in one call, then the agent leaves."""
    desk = stage.phone("12345")
    sign(stage, AGENTS[0], stage.settings.sign_out_code)
    sign(stage, AGENTS[1], stage.settings.sign_in_code)
    talk = Talk(stage, CITIZENS[2], AGENTS[1])
    talk.press(stage, "conference", "12345")
    third = desk.wait_for_call(HEAR_LIMIT_S)
    need(
        third.caller_number == CITIZENS[2],
        f"12345's phone shows {third.caller_number}, not the citizen",
    )
    third.answer()
    third.play_tone(DESK_HZ)
    for listener, tones in (
        (talk.citizen, (AGENT_HZ, DESK_HZ)),
        (talk.agent, (CITIZEN_HZ, DESK_HZ)),
        (third, (CITIZEN_HZ, AGENT_HZ)),
    ):
        for tone in tones:
            listener.wait_hears(tone, HEAR_LIMIT_S, threshold=0.25)
    talk.agent.hangup()
    talk.citizen.wait_hears(DESK_HZ, HEAR_LIMIT_S, threshold=0.8)
    third.wait_hears(CITIZEN_HZ, HEAR_LIMIT_S, threshold=0.8)
    talk.citizen.hangup()
    third.wait_ended(HEAR_LIMIT_S)
    return "all three heard each other; the agent left and the other two went on"


def after_hours(stage: Stage) -> str:
    """(d) After hours a message is left."""
    stage.set_hours("closed")
    box = stage.pbx.places.spool / "hotline" / "messages"
    before = set(box.glob("*.wav"))
    call = stage.phone(CITIZENS[0]).call(stage.settings.line.number)
    call.wait_answered(ANSWER_LIMIT_S)
    recording: list[Path] = wait_until(
        lambda: list(set(box.glob("*.wav")) - before), "no message was recorded", 40
    )
    call.play_tone(CITIZEN_HZ)
    two_seconds = 44 + 2 * 2 * 8000
    wait_until(lambda: recording[0].stat().st_size > two_seconds, "the recording does not grow", 10)
    call.hangup()
    call.wait_ended(HEAR_LIMIT_S)
    wait_until(lambda: is_closed(recording[0]), "the message is not finished")
    share = tone_share(recording[0], CITIZEN_HZ)
    need(share > 0.5, f"the message does not hold the citizen's tone (share {share:.2f})")
    stage.set_hours("0000-2400")
    return f"a message was left and holds the citizen's tone (share {share:.2f})"


def service_killed(stage: Stage) -> str:
    """(e) The service is killed while 110 rings; the caller reaches 110, the record is whole."""
    desk = stage.phone("110")
    talk = Talk(stage, CITIZENS[1], AGENTS[1])
    talk.press(stage, "transfer", "110")
    ringing = desk.wait_for_call(HEAR_LIMIT_S)
    stage.service.kill()
    accept(ringing, talk.citizen)
    talk.agent.wait_ended(HEAR_LIMIT_S)
    talk.citizen.hangup()
    ringing.wait_ended(HEAR_LIMIT_S)
    stage.service.start()

    def recorded() -> bool:
        mine = [leg for leg in stage.service.get("/legs")["items"] if talk.id in leg["linkedid"]]
        return len(mine) >= 3 and all(leg["state"] == "complete" for leg in mine)

    wait_until(recorded, "the legs of the call are not on record after the restart", 10)
    return "killed while 110 rang: the caller reached 110, all legs were on record after restart"


def is_closed(sound: Path) -> bool:
    """Asterisk writes a WAV file's length into its head when it closes it; until then that is 0."""
    with sound.open("rb") as file:
        return any(file.read(8)[4:])


def tone_share(sound: Path, frequency_hz: float) -> float:
    """The share of a sound file's energy at a frequency, 0 to 1."""
    with wave.open(str(sound)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return share_at(samples, frequency_hz)


def record_is_whole(stage: Stage) -> str:
    """(f) Every leg is complete, every answered case has its first contact, nothing is left."""
    service = stage.service
    wait_until(
        lambda: not service.get("/calls")["items"], "there are still calls at the service", 10
    )
    console = stage.pbx.console("core show channels count")
    need(console.startswith("0 active channels"), f"channels are left: {console.splitlines()[:1]}")

    def whole() -> list[dict[str, Any]] | None:
        legs: list[dict[str, Any]] = service.get("/legs", limit=500)["items"]
        return legs if legs and all(leg["state"] == "complete" for leg in legs) else None

    legs = wait_until(whole, "not every leg is complete on record", 10)
    cases = service.get("/cases", limit=500)["items"]
    need(len(cases) == len(CITIZEN_CALLS), f"{len(cases)} cases on record for 5 citizens' calls")
    for case, (caller, agent) in zip(reversed(cases), CITIZEN_CALLS, strict=True):
        found = (case["caller"], case["first_contact"])
        need(found == (caller, agent), f"case {case['case']} has {found}, not {(caller, agent)}")
    return f"{len(legs)} legs, all complete; the first contact of every case is right"


CITIZEN_CALLS: tuple[tuple[str, str | None], ...] = (
    (CITIZENS[0], AGENTS[0]),
    (CITIZENS[1], AGENTS[0]),
    (CITIZENS[2], AGENTS[1]),
    (CITIZENS[0], None),
    (CITIZENS[1], AGENTS[1]),
)
"""Who called in each scene, and who answered first."""

SCENES: tuple[tuple[str, Callable[[Stage], str]], ...] = (
    ("a one-key transfer, 110 answers", one_key_answered),
    ("b one-key transfer, 110 is busy", one_key_busy),
    ("c three-way call with 12345", three_way),
    ("d after hours: a message", after_hours),
    ("e service killed while 110 rings", service_killed),
    ("f the record is whole", record_is_whole),
)
