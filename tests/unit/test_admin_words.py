"""What the admins' page says in Chinese of the doctor and of a dialplan that cannot be loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from telephony.doctor import CHECKS
from telephony.plans.ways import FileWay, NotReachable, way_to
from telephony.settings import Pbx, load_settings

if TYPE_CHECKING:
    from telephony.ami_client import AmiClient

ADMIN = Path(__file__).parents[2] / "api" / "web" / "admin"
CHINESE = "\u4e00-\u9fff"


def table(file: str, name: str, ends: str) -> str:
    """The text of a table of a page's script."""
    found = re.search(rf"const {name} = .(.*?)\n{ends};", (ADMIN / file).read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def no_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Every reason that the page may be told why no dialplan can be loaded."""
    client = cast("AmiClient", None)
    over_ami = load_settings(pbx=Pbx(load_over_ami=True))
    tries: list[Callable[[], object]] = [
        lambda: way_to(load_settings(), client, ()),
        lambda: way_to(over_ami, client, ()).check_rights(),
        FileWay(tmp_path / "nowhere").check_rights,
        FileWay(tmp_path).check_rights,
    ]
    monkeypatch.setattr("os.access", lambda *_: False)
    for one in tries:
        with pytest.raises(NotReachable) as told:
            one()
        yield told.value.detail


def test_every_reason_why_a_dialplan_cannot_be_loaded_is_there_in_chinese(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = table("dialplan.js", "NO_WAY", r"\]")
    patterns = re.findall(rf'\[/(.*?)/, "[^"]*[{CHINESE}]', rows)
    matched = [
        [one for one in patterns if re.search(one, why)] for why in no_ways(tmp_path, monkeypatch)
    ]
    assert sorted(matched) == sorted([one] for one in patterns)


def test_every_check_of_the_doctor_has_a_name_in_chinese() -> None:
    named = re.findall(rf'"doctor\.([\w-]+)": "[^"]*[{CHINESE}]', (ADMIN / "words.js").read_text())
    assert {one.name for one in CHECKS} | {"ami"} <= set(named)
