"""A PBX whose agents have time after calls, call citizens back and have them asked afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from telephony.agent_settings import Callback, Survey
from telephony.asterisk_program import find_asterisk
from telephony.call_legs import Directory, build_legs
from telephony.cel.rows import Fact, our_layout, read_fact, read_lines
from telephony.dialplan import Phone
from telephony.legs.model import Leg
from telephony.private_pbx import PrivatePbx
from telephony.settings import Token
from telephony.softphone import Softphone
from tests.pbx.scene import CITIZENS, PASSWORD, brief_prompts, pbx_settings, wait_until

WRAPUP_S = 2
AGENT_TOKEN = "agent-8001-of-the-tests"
PAUSE, RESUME, PICK_UP, CALL_BACK = "*49", "*44", "*43", "*40"


@contextmanager
def agents_pbx() -> Iterator[PrivatePbx]:
    """The line of the other tests with all that is off there switched on."""
    settings = pbx_settings()
    settings = settings.model_copy(
        update={
            "line": settings.line.model_copy(update={"wrapup_s": WRAPUP_S}),
            "lines": [one.model_copy(update={"wrapup_s": WRAPUP_S}) for one in settings.lines],
            "callback": Callback(dial="PJSIP/{number}", ring_s=3),
            "survey": Survey(enabled=True, levels=3, wait_s=1),
            "tokens": [
                *settings.tokens,
                Token(name="8001", role="agent", token=SecretStr(AGENT_TOKEN), agent="8001"),
            ],
        }
    )
    phones = [
        *(Phone(one, PASSWORD, "hotline-trunk") for one in CITIZENS),
        Phone("8004", PASSWORD, "hotline-agents", silence_s=2),
    ]
    with tempfile.TemporaryDirectory(prefix="hotline-tests-") as name:
        Path(name).chmod(0o755)
        with PrivatePbx(find_asterisk(), Path(name) / "root", settings, phones) as pbx:
            brief_prompts(pbx)
            pbx.console("logger add channel steps verbose(3),notice,warning,error")
            yield pbx


def member(pbx: PrivatePbx, agent: str) -> str:
    """The queue's line about an agent; empty for one who is not signed in."""
    lines = pbx.console("queue show hotline").splitlines()
    return next((line for line in lines if f"PJSIP/{agent}" in line), "")


def is_paused(pbx: PrivatePbx, agent: str, reason: str) -> bool:
    """Whether the queue has paused the agent for this reason."""
    return f"paused:{reason}" in member(pbx, agent)


def is_free(pbx: PrivatePbx, agent: str) -> bool:
    """Whether the queue would ring the agent."""
    line = member(pbx, agent)
    return "Not in use" in line and "paused" not in line


def assert_free(pbx: PrivatePbx, agent: str) -> None:
    """The queue would ring the agent, as soon as it has heard that the phone is not in use."""
    wait_until(lambda: is_free(pbx, agent), f"free; the queue has {member(pbx, agent)}")


def dial(phone: Softphone, code: str) -> None:
    """Dial a code and hear its answer to the end."""
    call = phone.call(code)
    call.wait_answered(5)
    call.wait_ended(10)


class Record:
    """What the PBX wrote from now on."""

    def __init__(self, pbx: PrivatePbx) -> None:
        self._pbx = pbx
        self._from = pbx.cel_file.stat().st_size if pbx.cel_file.exists() else 0

    def _lines(self) -> list[str]:
        with self._pbx.cel_file.open(encoding="utf-8") as file:
            file.seek(self._from)
            return file.readlines()

    def facts(self, kind: str) -> list[Fact]:
        """The facts of one kind (without ``HOTLINE_``), in order."""
        layout = our_layout()
        rows = (layout.row(one) for _, one in read_lines(self._lines(), layout, _never))
        facts = (read_fact(row) for row in rows)
        return [fact for fact in facts if fact is not None and fact.kind == kind]

    def fact(self, kind: str) -> dict[str, str]:
        """The values of the one fact of this kind; waits until it is there."""
        wait_until(lambda: self.facts(kind), f"a fact {kind}")
        (fact,) = self.facts(kind)
        return fact.values

    def legs(self) -> list[Leg]:
        """The legs, once the PBX has written the last row of each."""
        layout = our_layout()
        rows = [layout.row(one) for _, one in read_lines(self._lines(), layout, _never)]
        return list(build_legs(rows, directory=Directory.from_settings(self._pbx.settings)))


def _never(number: int, reason: str) -> None:
    raise AssertionError(f"line {number}: {reason}")
