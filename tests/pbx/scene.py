"""What the tests on a real PBX share: the line, the people on it, and what may be left after."""

from __future__ import annotations

import time
import wave
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from telephony.agent_settings import Callback
from telephony.around.settings import Parking, Supervisor
from telephony.line_settings import FurtherLine
from telephony.messages.settings import Messages
from telephony.partners import Group, Outside, Partner
from telephony.private_pbx import PrivatePbx
from telephony.settings import TIME_ZONE, Agent, Desk, Key, Line, Settings, Token
from telephony.softphone import SoftCall, Softphone

PASSWORD = "a-secret-of-the-tests"
CITIZENS = ("13804210001", "13804210002", "13804210003")
LINE = "2800122"
SECOND_LINE = FurtherLine(
    id="night",
    name="夜间热线",
    number="2800123",
    numbers=["2800124"],
    queue_wait_s=8,
    agent_ring_s=2,
    greetings="night",
    danger_desk="none",
    week={"wed": ["08:30-12:00", "13:30-20:00"], "sat": ["09:00-12:00"], "fri": []},
)
NUMBER_OF_110 = "04212110110"
TOKEN_OF_8002 = "a-token-of-agent-8002"
QUIET_LIMIT_S = 5.0

PhoneFactory = Callable[[str], Softphone]


def pbx_settings() -> Settings:
    """A line with short ring times, so that tests wait for seconds and not for minutes."""

    def desk(desk_id: str, **more: object) -> Desk:
        values: dict[str, object] = {"name": desk_id, "dial": f"PJSIP/{desk_id}", "ring_s": 2}
        return Desk.model_validate({"id": desk_id, **values, "password": PASSWORD, **more})

    return Settings(
        line=Line(queue_wait_s=8, agent_ring_s=2),
        lines=[SECOND_LINE],
        agents=[
            Agent(id=one, name=one, department="民意服务中心", password=SecretStr(PASSWORD))
            for one in ("8001", "8002", "8003")
        ]
        + [Agent(id="8004", name="8004")],
        desks=[
            desk("110", department="公安局"),
            desk("12345"),
            desk("122"),
            desk("119", acceptance="confirm", ring_s=10),
            # Rings for longer than a service takes to come back on a busy machine.
            desk("118", acceptance="confirm", ring_s=60),
            # The first route of this desk is a phone that never registers.
            desk("120", dial="PJSIP/120", dial_backup="PJSIP/122"),
            desk("121", dial="PJSIP/110&PJSIP/12345"),
            desk("123", dial="PJSIP/silent", dial_backup="PJSIP/122"),
        ],
        keys=[
            Key(code="*1", action="transfer", desk="110"),
            Key(code="*2", action="transfer", desk="12345"),
            Key(code="*3", action="three-way", desk="12345"),
            Key(code="*5", action="transfer", desk="120"),
            Key(code="*6", action="transfer", desk="119"),
            Key(code="*7", action="transfer", desk="121"),
            Key(code="*8", action="three-way", desk="119"),
            Key(code="*9", action="transfer", desk="123"),
            Key(code="*4", action="consult", desk="110"),
        ],
        parking=Parking(slots=2, return_s=4),
        supervisors=[
            Supervisor(id="8901", name="8901", pin=SecretStr("4711"), password=SecretStr(PASSWORD))
        ],
        groups=[
            Group(id="801", name="全体", members=["8001", "8002", "8003"], ring_s=3),
            Group(id="802", name="轮流", members=["110", "8002", "122"], ring="in-order", ring_s=1),
        ],
        outside=[
            Outside(number="0421299XXXX", name="救援", dial="PJSIP/{number}@outside", ring_s=2)
        ],
        partners=[
            Partner(desk="110", trunks=["trunk-110"], numbers=[NUMBER_OF_110]),
            Partner(desk="12345", shared_trunks=["gov"], case_header="X-12345-Case"),
        ],
        # The citizens' phones are reached by their numbers, as through a trunk.
        callback=Callback(dial="PJSIP/{number}", ring_s=3),
        messages=Messages(lamp=True),
        tokens=[
            Token(name="tests", role="admin", token=SecretStr(PASSWORD)),
            Token(name="8002", role="agent", token=SecretStr(TOKEN_OF_8002), agent="8002"),
        ],
    )


BRIEF = (
    *("welcome", "goodbye", "closed", "queue-full", "signed-in", "signed-out", "danger", "holiday"),
    *("closed-now", "leave-message", "danger-failed", "message-short"),
)
BRIEF_S = 0.4


def brief_prompts(pbx: PrivatePbx) -> None:
    """Cut the prompts that every call begins and ends with short: most of a test was listening."""
    link = pbx.places.data / "sounds" / "zh" / "hotline"
    prompts, folder = link.resolve(), pbx.folder / "brief"
    folder.mkdir(mode=0o755)
    link.unlink()
    link.symlink_to(folder)
    for prompt in prompts.iterdir():
        if prompt.stem not in BRIEF:
            (folder / prompt.name).symlink_to(prompt)
            continue
        with wave.open(str(prompt)) as whole, wave.open(str(folder / prompt.name), "wb") as brief:
            brief.setparams(whole.getparams())
            brief.writeframes(whole.readframes(round(BRIEF_S * whole.getframerate())))


def set_hours(pbx: PrivatePbx, hours: str, suffix: str = "") -> None:
    """Make today a special day: ``closed`` or ``HHMM-HHMM``; ``suffix``: of another line."""
    today = datetime.now(ZoneInfo(TIME_ZONE)).strftime("%Y%m%d")
    pbx.console(f"database put hotline-hours{suffix} {today} {hours}")


def channels(pbx: PrivatePbx) -> list[str]:
    """The names of all channels now."""
    lines = pbx.console("core show channels concise").splitlines()
    return [line.split("!")[0] for line in lines if "!" in line]


def bridges(pbx: PrivatePbx) -> list[str]:
    """The ids of all bridges now."""
    lines = pbx.console("bridge show all").splitlines()[1:]
    return [line.split()[0] for line in lines if line.strip()]


def wait_until(true: Callable[[], object], what: str, timeout: float = 5.0) -> None:
    """Wait for a state that tells nobody when it begins."""
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, f"after {timeout} s still not: {what}"
        time.sleep(0.02)


def assert_quiet(pbx: PrivatePbx) -> None:
    """Nothing is left on the PBX."""
    wait_until(
        lambda: not channels(pbx) and not bridges(pbx),
        f"no channel and no bridge left; there are {channels(pbx)} {bridges(pbx)}",
        QUIET_LIMIT_S,
    )


def sign_in(agent: Softphone, pbx: PrivatePbx) -> None:
    """Sign an agent in as agents do: by the code on the phone."""
    call = agent.call("*45")
    call.wait_answered(5)
    wait_until(lambda: f"PJSIP/{agent.username}" in pbx.console("queue show hotline"), "signed in")
    call.wait_ended(10)


def sign_all_out(pbx: PrivatePbx) -> None:
    """Leave the queue without agents, whoever signed them in, and without figures."""
    for agent in ("8001", "8002", "8003", "8004"):
        pbx.console(f"queue remove member PJSIP/{agent} from hotline")
    pbx.console("queue reset stats")


class Talk:
    """A citizen and an agent who hear each other, on the line's queue."""

    def __init__(self, citizen: SoftCall, agent: SoftCall) -> None:
        self.citizen = citizen
        self.agent = agent

    CITIZEN_HZ, AGENT_HZ, TARGET_HZ = 500.0, 900.0, 1300.0

    def assert_together(self) -> None:
        """Both hear each other."""
        self.citizen.wait_hears(self.AGENT_HZ, 6)
        self.agent.wait_hears(self.CITIZEN_HZ, 6)


def begin_talk(citizen: Softphone, agent: Softphone) -> Talk:
    """A citizen calls, a signed-in agent answers."""
    outgoing = citizen.call(LINE)
    incoming = agent.wait_for_call(15)
    incoming.answer()
    outgoing.wait_answered(5)
    both = Talk(outgoing, incoming)
    outgoing.play_tone(Talk.CITIZEN_HZ)
    incoming.play_tone(Talk.AGENT_HZ)
    both.assert_together()
    return both


def recordings(pbx: PrivatePbx) -> list[Path]:
    """The sound of all messages that citizens left, or leave now."""
    return sorted((pbx.places.spool / "hotline" / "messages").glob("*.wav"))


def being_recorded(pbx: PrivatePbx) -> list[Path]:
    """The sound of messages that are being spoken now."""
    lines = [line.split("!") for line in pbx.console("core show channels concise").splitlines()]
    speaking = [line[-1] for line in lines if len(line) > 5 and line[5] == "Record"]
    return [one for one in recordings(pbx) if any(f"-{who}-m" in one.name for who in speaking)]
