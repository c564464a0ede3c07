"""Checks of what callers hear: ports for sound, and spoken prompts."""

from __future__ import annotations

from pathlib import Path

from telephony.checkup.model import Patient, Verdict, Words, ok, setting, warning, wrong
from telephony.dialplan import SOUNDS

USUAL_DATA = "/usr/share/asterisk"
RTP_FIRST, RTP_LAST = 5000, 31000
"""What Asterisk takes where rtp.conf says nothing (res_rtp_asterisk.c)."""
PORTS_A_CALL = 4
"""Two legs, each with one port for sound and one for its reports (RFC 3550)."""
WITH_THIRD = 6
"""A call with a desk that is called in has a third leg."""
NAMED = 5
SOUND_FILES = {".wav", ".sln", ".sln16", ".g722", ".alaw", ".al", ".ulaw", ".ul", ".gsm"}


def ports_verdict(ports: int, expected: int) -> Verdict:
    """Whether so many ports carry so many calls at once."""
    calls = ports // PORTS_A_CALL
    found = f"{ports} ports carry {calls} calls of two legs; {expected} at once are expected"
    todo = Words(
        f"let rtpend - rtpstart in the PBX's rtp.conf be {expected * WITH_THIRD} or more, open the "
        "same ports in the firewall, then restart the PBX; or correct checkup.expected_calls",
        f"让交换机 rtp.conf 中 rtpend 减 rtpstart 不小于 {expected * WITH_THIRD}，"
        "在防火墙上放开同样的端口，然后重启交换机；或改正设置项 checkup.expected_calls",
    )
    if calls < expected:
        return wrong(found, todo)
    if ports < expected * WITH_THIRD:
        return warning(
            f"{found}, but not all of them with a third leg",
            todo,
            Words(
                "On a full day a desk that is called in may not be heard.",
                "来电多的日子里，叫进来的单位可能没有声音。",
            ),
        )
    return ok(found)


async def check_ports(patient: Patient) -> Verdict:
    """There are ports for the sound of all calls that are expected at once."""
    config = await patient.config("rtp.conf") or {}
    told = [setting(config, "general", key) for key in ("rtpstart", "rtpend")]
    first, last = (
        int(value) if value.isdecimal() else usual
        for value, usual in zip(told, (RTP_FIRST, RTP_LAST), strict=True)
    )
    return ports_verdict(max(last - first + 1, 0), patient.settings.checkup.expected_calls)


def prompts_of(language: str) -> list[str]:
    """The prompts that we ship for a language, by name."""
    return sorted(path.stem for path in (SOUNDS / language / "hotline").glob("*.wav"))


async def check_prompts(patient: Patient) -> Verdict:
    """Every prompt of every line's language lies where the PBX looks for it."""
    data = await patient.value("ASTDATADIR")
    languages = list(dict.fromkeys(line.language for line in patient.settings.every_line))
    if not patient.is_here or not data:
        return warning(
            "not checked: the PBX is on another machine",
            Words(
                f"there, `ls {data or USUAL_DATA}/sounds/{languages[0]}/hotline` must show what "
                "dialplans/sounds holds",
                f"在那台机器上，`ls {data or USUAL_DATA}/sounds/{languages[0]}/hotline` 应列出 "
                "dialplans/sounds 里的全部提示音",
            ),
        )
    folders = {one: Path(data) / "sounds" / one / "hotline" for one in languages}
    missing = [
        f"{language}/{name}"
        for language, folder in folders.items()
        for name in prompts_of(language) or prompts_of("en")
        if name not in _readable(folder)
    ]
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        return wrong(
            f"not in {data}/sounds: {', '.join(missing[:NAMED])}{more}",
            Words(
                f"cp -r dialplans/sounds/{languages[0]}/hotline {data}/sounds/{languages[0]}/",
                f"运行 cp -r dialplans/sounds/{languages[0]}/hotline {data}/sounds/{languages[0]}/",
            ),
        )
    count = sum(len(prompts_of(one) or prompts_of("en")) for one in languages)
    return ok(f"all {count} in {', '.join(languages)} lie in {data}/sounds")


def _readable(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    return {
        path.stem
        for path in folder.iterdir()
        if path.suffix.lower() in SOUND_FILES and path.is_file() and path.stat().st_size
    }
