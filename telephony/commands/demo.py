"""``hotline demo`` and ``hotline run``: everything on this machine, on loopback.

``demo`` plays the main job and says whether it came out right; ``run`` stays up for people to try.
"""

from __future__ import annotations

import shlex
import shutil
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import orjson
import typer

from telephony.asterisk_program import cache_dir
from telephony.commands.output import clear_errors, print_table, stderr, stdout
from telephony.demo.stage import Stage
from telephony.errors import HotlineError, SetupError
from telephony.settings import TIME_ZONE, as_environment

LEG_COLUMNS = ("started", "role", "party", "department", "ring", "talk", "cause", "state", "case")


def demo(
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the result here as JSON too.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep logs, CEL and database in this folder.")
    ] = None,
) -> None:
    """Play the main job on a private Asterisk with real SIP phones; exit 0 only if all is right."""
    started = time.monotonic()
    if json_file is not None and not _can_be_written(json_file):
        raise typer.BadParameter(f"{json_file} cannot be written", param_hint="--json")
    with clear_errors(), _folder(keep) as folder, Stage(folder, _say) as stage:
        from telephony.demo.scenes import SCENES, sign

        agent = stage.settings.agents[0].id
        _say(f"agent {agent} signs in by dialling {stage.settings.sign_in_code} ...")
        sign(stage, agent, stage.settings.sign_in_code)
        stage.service.wait_until_ready()
        _say(f"ready for calls after {time.monotonic() - started:.1f} s")
        scenarios = [_play(stage, *scene) for scene in SCENES]
        result = {
            "ok": all(one["ok"] for one in scenarios),
            "scenarios": scenarios,
            **_record(stage),
        }
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    _show(result)
    if not result["ok"]:
        raise typer.Exit(1)


def run() -> None:
    """Run the service with a private Asterisk until Ctrl-C, and say how to call it."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with clear_errors(), _folder(None) as folder, Stage(folder, _say, browser=True) as stage:
        stage.service.wait_until_ready()
        stage.service.import_sample()
        stage.service.open_today()
        _explain(stage, stage.service.add_people())
        while not stopped.wait(0.5):
            if stage.service.process is None or stage.service.process.poll() is not None:
                # The PBX and its calls go on meanwhile, as with a service manager.
                _say(f"the service has ended ({folder}/service.log); it is started again ...")
                stage.service.start()
                _say("the service is ready again")
        _say("stopping ...")


def _can_be_written(file: Path) -> bool:
    try:
        file.open("ab").close()
    except OSError:
        return False
    return True


def _say(text: str) -> None:
    stderr.print(f"  {text}", markup=False, soft_wrap=True)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        try:
            keep.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=keep):
                pass
        except OSError as error:
            why = f"--keep {keep}: nothing can be kept there: {error.strerror}"
            raise SetupError(why) from None
        yield keep.resolve()
        return
    # Beside the private Asterisk: the place that the unprivileged user can reach if any can.
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="stage-", dir=cache_dir()))
    except OSError as error:
        raise SetupError(f"{error}; name a folder for it: HOTLINE_CACHE_DIR") from None
    folder.chmod(0o755)
    stays = False
    try:
        yield folder
    except HotlineError:  # it may name a log of this folder
        stays = True
        raise
    finally:
        if not stays:
            shutil.rmtree(folder)


def _play(stage: Stage, name: str, scene: Any) -> dict[str, Any]:
    import httpx

    from telephony.demo.scenes import SceneFailed

    _say(f"scene {name} ...")
    try:
        detail, ok = scene(stage), True
    except (SceneFailed, TimeoutError, HotlineError, httpx.HTTPError) as error:
        # Where it went wrong, for whoever has to find out why.
        at = next(f for f in reversed(traceback.extract_tb(error.__traceback__)) if "demo" in f[0])
        detail, ok = f"{error} ({at.name}, line {at.lineno})", False
        stage.hang_up_all()
    return {"name": name, "ok": ok, "detail": detail}


def _record(stage: Stage) -> dict[str, Any]:
    """Legs, cases and ledger as the service has them."""
    import httpx

    try:
        legs = stage.service.get("/legs", limit=500)["items"][::-1]
        cases = stage.service.get("/cases", limit=500)["items"][::-1]
        entries = [
            entry
            for case in cases
            for entry in stage.service.get(f"/cases/{case['case']}")["ledger"]
        ]
    except httpx.HTTPError as error:
        _say(f"the record cannot be read: {error}")
        return {"legs": [], "cases": [], "ledger": []}
    return {"legs": legs, "cases": cases, "ledger": entries}


def _show(result: dict[str, Any]) -> None:
    print_table("Legs", LEG_COLUMNS, [_leg_row(leg) for leg in result["legs"]])
    for case in result["cases"]:
        first = case["first_contact"] or "nobody yet (a message waits)"
        owner = case["owner"] or "open"
        stdout.print(f"case {case['case']}: first contact {first}; answers for it: {owner}")
    stdout.print()
    for one in result["scenarios"]:
        mark = "[green]ok  [/]" if one["ok"] else "[red]FAIL[/]"
        stdout.print(f"{mark} {one['name']}: ", end="")
        stdout.print(one["detail"], markup=False, soft_wrap=True)


def _leg_row(leg: dict[str, Any]) -> dict[str, Any]:
    def seconds(name: str) -> str | None:
        return None if leg[name] is None else f"{leg[name]:.1f} s"

    return {
        **leg,
        "started": _shanghai_time(leg["started_at"]),
        "ring": seconds("ring_s"),
        "talk": seconds("talk_s"),
        "cause": leg["cause_text"] or leg["cause"],
    }


def _shanghai_time(moment: str | None) -> str | None:
    if moment is None:
        return None
    return datetime.fromisoformat(moment).astimezone(ZoneInfo(TIME_ZONE)).strftime("%H:%M:%S")


def _explain(stage: Stage, people: dict[str, str]) -> None:
    token = stage.settings.tokens[0].token.get_secret_value()
    stdout.print(
        f"""
line   {stage.settings.line.number}
SIP    127.0.0.1:{stage.pbx.sip_port}
pages  {stage.service.url}/
API    {stage.service.url}/api/v1
token  {token} (admin)
files  {stage.folder}
""",
        markup=False,
        soft_wrap=True,
    )
    environment = stage.folder / "environment"
    environment.touch(mode=0o600)
    settings = as_environment(stage.settings).items()
    # Comments: a name that begins with HOTLINE_ and is no setting would be refused.
    notes = (f"# {stage.service.url}/signin  {name}  {one}\n" for name, one in people.items())
    lines = (f"export {name}={shlex.quote(one)}\n" for name, one in settings)
    environment.write_text("".join((*notes, *lines)))
    stdout.print(
        f"Commands such as `hotline cases` speak to this system after:  . {environment}\n",
        markup=False,
        soft_wrap=True,
    )
    rows = [{"name": who, "password": password} for who, password in people.items()]
    print_table("Who may sign in on the pages", ("name", "password"), rows)
    rows = [{"phone": who, "password": password} for who, password in stage.phones.items()]
    print_table("Phones that may register", ("phone", "password"), rows)
    stdout.print(
        f"\nAgents sign in by dialling {stage.settings.sign_in_code}. "
        "Try, each in a terminal of its own:",
        markup=False,
    )
    for who in (stage.settings.agents[0].id, stage.settings.desks[0].id, next(iter(stage.phones))):
        stdout.print(
            f"  HOTLINE_PHONE_PASSWORD={stage.phones[who]} .venv/bin/hotline phone {who} "
            f"--server 127.0.0.1 --port {stage.pbx.sip_port} --password-env HOTLINE_PHONE_PASSWORD",
            markup=False,
            soft_wrap=True,
        )
    stdout.print("\nCtrl-C stops everything.", markup=False)
