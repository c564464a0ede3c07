"""The refused transfer: how long until the caller hears the agent again, service running or not.

    python -m bench.return_gap [ROUNDS]

The agent plays a tone all the time. From the moment the desk refuses (486 sent) to the arrival of
the first packet with the agent's tone at the citizen's phone.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from telephony.asterisk_program import cache_dir
from telephony.demo.scenes import AGENT_HZ, HEAR_LIMIT_S, Talk, sign
from telephony.demo.stage import AGENTS, CITIZENS, Stage
from telephony.softphone import SoftCall


def refused(stage: Stage, talk: Talk, by_key: bool) -> float:
    """One refused transfer; the gap in milliseconds."""
    desk = stage.phone("110")
    if by_key:
        talk.agent.send_dtmf("*1")
    else:
        talk.press(stage, "transfer", "110")
    ringing: SoftCall = desk.wait_for_call(HEAR_LIMIT_S)
    talk.citizen.wait_silent(AGENT_HZ, HEAR_LIMIT_S)
    at = time.monotonic()
    ringing.deny(486)
    back = talk.citizen.wait_hears(AGENT_HZ, HEAR_LIMIT_S)
    talk.together()
    return (back - at) * 1000


def measure(rounds: int) -> dict[str, list[float]]:
    """The gaps with the service running (HTTP key) and with it stopped (the phone's key)."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=cache_dir()) as name:
        os.chmod(name, 0o755)
        with Stage(Path(name) / "stage", lambda text: None) as stage:
            sign(stage, AGENTS[0], stage.settings.sign_in_code)
            stage.service.wait_until_ready()
            talk = Talk(stage, CITIZENS[0], AGENTS[0])
            running = [refused(stage, talk, by_key=False) for _ in range(rounds)]
            stage.service.stop()
            stopped = [refused(stage, talk, by_key=True) for _ in range(rounds)]
            talk.citizen.hangup()
    return {"service running, HTTP key": running, "service stopped, phone's key": stopped}


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"refusal -> the caller hears the agent again, {rounds} rounds each, ms (limit 60)")
    for way, gaps in measure(rounds).items():
        print(f"{way:<30} median {statistics.median(gaps):5.1f}   max {max(gaps):5.1f}")


if __name__ == "__main__":
    main()
