"""Dialplans loaded while calls go on: how long, and how many calls are lost (none may be).

    python -m bench.dialplan_load [CALLS] [ROUNDS]

Each round loads another dialplan by file and over AMI and rolls it back, check and reading back
included. The calls carry no sound and are counted at both ends: at the phones and on the PBX.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from bench.plain_sip import Dialog
from bench.stage import BenchStage, bench_stage
from telephony.dialplan import render
from telephony.plans import desk
from telephony.plans.load import Loaded
from telephony.private_pbx import PrivatePbx
from telephony.settings import Settings

LIMIT_S = 3.0
OWN = "[custom-bench]\nexten => 90%02d,1,Answer()\n same => n,Hangup()\n"


async def begin_calls(stage: BenchStage, count: int) -> list[Dialog]:
    """So many calls of citizens with agents."""
    calls = []
    for _ in range(count):
        call = stage.citizens.call(stage.pbx.settings.line.number)
        await asyncio.wait_for(call.answered.wait(), 10)
        assert call.code == 200, call.code
        calls.append(call)
    async with asyncio.timeout(30):
        # The citizen is answered by the PBX before an agent takes the call, who tells nobody.
        while len(stage.agents.dialogs) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return calls


def channels(pbx: PrivatePbx) -> int:
    """Channels now, as the PBX counts them."""
    return int(pbx.console("core show channels count").split()[0])


def settings_at(pbx: PrivatePbx, folder: Path, *, by_ami: bool) -> Settings:
    """The PBX's settings with a folder for dialplans of one's own and for versions."""
    (folder / "custom").mkdir(parents=True, exist_ok=True)
    kept = {"custom": folder / "custom", "versions": folder / f"versions-{by_ami}"}
    at = pbx.settings.pbx.model_copy(
        update={"load_over_ami": True} if by_ami else {"etc": pbx.places.etc}
    )
    plans = pbx.settings.dialplan.model_copy(update=kept)
    return pbx.settings.model_copy(update={"pbx": at, "dialplan": plans})


async def measure(calls: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each load and roll-back; raises when a call is lost or nothing was proven."""
    took: dict[str, list[float]] = {}
    # Calls without sound are not cut by the PBX for as long as this takes.
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(bench_stage(calls, silence_s=3600, served=False))
        pbx, folder = stage.pbx, stage.pbx.folder.parent
        going = await begin_calls(stage, calls)
        before = channels(pbx)
        print(f"{calls} calls go on, {before} channels", flush=True)
        rights = pbx.places.etc / "hotline/manager.conf"
        for by_ami in (False, True):
            settings = settings_at(pbx, folder, by_ami=by_ami)
            rights.write_text(render(settings, pbx.places)["hotline/manager.conf"])
            pbx.console("manager reload")
            async with desk.linked(settings) as (client, actions):
                loader = desk.loader_of(settings, client, actions)
                for number in range(rounds):
                    (folder / "custom/bench.conf").write_text(OWN % number)
                    done = await loader.load(by="bench")
                    _note(took, "load", done)
                    assert f"90{number:02}" in pbx.console("dialplan show custom-bench")
                    _note(took, "rollback", await loader.rollback(by="bench"))
        lost = [call for call in going if call.ended.is_set()]
        assert not lost, f"{len(lost)} calls were lost"
        assert len(stage.agents.dialogs) == calls
        assert channels(pbx) == before, f"{channels(pbx)} channels, not {before}"
        print("0 calls lost")
        for call in going:
            stage.citizens.bye(call)
    return took


def _note(took: dict[str, list[float]], what: str, done: Loaded) -> None:
    assert done.changed, "nothing was loaded"
    took.setdefault(f"{what}, by {done.way}", []).append(done.seconds)


def main() -> None:
    """Print the table; non-zero when a load takes too long."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    took = asyncio.run(measure(calls, rounds))
    print(f"checked, loaded and read back with {calls} calls going on, s (limit {LIMIT_S:g})")
    for what, seconds in took.items():
        print(f"{what:<20} median {statistics.median(seconds):4.2f}   max {max(seconds):4.2f}")
    if max(max(seconds) for seconds in took.values()) > LIMIT_S:
        sys.exit(f"a load took longer than {LIMIT_S:g} s")


if __name__ == "__main__":
    main()
