"""Dialplans by command and over HTTP, with the service beside the PBX and a call going on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from telephony.cli import app
from telephony.dialplan import write
from telephony.plans.versions import Unfinished, Versions
from telephony.plans.wanted import wanted
from telephony.private_pbx import PrivatePbx
from telephony.settings import Settings, as_environment
from tests.pbx.plans_scene import WELL, as_before, own, settings_for_loads
from tests.pbx.scene import Talk, wait_until
from tests.pbx.served import service_settings, serving

pytestmark = pytest.mark.pbx

Hotline = Callable[..., Result]


@pytest.fixture
def settings(pbx: PrivatePbx, tmp_path: Path) -> Iterator[Settings]:
    plain = settings_for_loads(service_settings(pbx, tmp_path), pbx, tmp_path)
    often = plain.checkup.model_copy(update={"every_s": 4})
    with as_before(pbx):
        yield plain.model_copy(update={"checkup": often})


@pytest.fixture
def hotline(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Hotline:
    """A command of ours with these settings."""
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["dialplan", *words])

    return run


def cut_off(pbx: PrivatePbx, settings: Settings, versions: Versions) -> None:
    """As after a load whose process was killed between the reload and its proof."""
    old = wanted(settings)
    own(settings, WELL)
    new = wanted(settings)
    before = versions.keep(old, by="li", what="found")
    after = versions.keep(new, by="li", what="failed")
    at = datetime.now(UTC)
    note = Unfinished("verifying", "file", "li", at, 1, before.number, after.number)
    versions.begin(note)
    write(new, pbx.places.etc)
    pbx.console("dialplan reload")
    assert "9001" in pbx.console("dialplan show custom-info")


def test_given_a_load_cut_off_when_the_service_starts_then_undone_and_loads_by_http_and_command(
    pbx: PrivatePbx, settings: Settings, tmp_path: Path, talk: Talk, hotline: Hotline
) -> None:
    versions = Versions(settings.dialplan.versions, settings.pbx.name)
    cut_off(pbx, settings, versions)
    assert "has begun and not ended" in hotline("history").output
    with serving(settings, tmp_path) as service:
        service.wait_until_ready()
        wait_until(lambda: versions.unfinished() is None, "the service undid it", 15)
        assert "no existence" in pbx.console("dialplan show custom-info")
        state = service.get("/dialplan")
        assert (state["way"], state["running"], state["unfinished"]) == ("file", 1, None)
        assert [one["context"] for one in service.get("/dialplan/diff")["contexts"]] == [
            "custom-info"
        ]
        draft = {"draft.conf": "[draft]\nexten => 1,1,Answer()\n same => n,Nonsense()\n"}
        checked = service.post("/dialplan/check", {"files": draft}).json()
        assert ("draft.conf", 3) in [(one["file"], one["line"]) for one in checked["findings"]]
        assert not checked["ok"]
        # A file that Asterisk would load in part is refused whole, with its line.
        own(
            settings,
            WELL.replace("custom-info", "custom-half") + " same => n,Nonsense()\n",
            "half.conf",
        )
        refused = service.post("/dialplan/load", {})
        assert refused.json()["code"] == "dialplan-check-failed", refused.text
        assert "custom-half.conf:7: error" in refused.json()["detail"]
        assert not list((pbx.places.etc / "hotline/extensions").glob("custom-*"))
        (tmp_path / "custom/half.conf").unlink()
        loaded = service.post("/dialplan/load", {})
        assert loaded.status_code == 200, loaded.text
        assert loaded.json()["changed"] == ["hotline/extensions/custom-info.conf"]
        assert loaded.json()["version"]["by"] == "tests"
        assert "9001" in pbx.console("dialplan show custom-info")
        talk.assert_together()

        assert "nothing: the PBX has what would be loaded" in hotline("diff").output
        kept = json.loads(hotline("history", "--json").output)["versions"]
        assert [one["what"] for one in kept] == ["loaded", "failed", "found"]
        assert kept[0]["by"] == "tests"
        back = hotline("rollback")
        assert back.exit_code == 0, back.output
        assert "hotline/extensions/custom-info.conf" in back.output
        assert "+ 9001,1  Answer()" in hotline("diff").output
        unknown = hotline("rollback", "99")
        assert unknown.exit_code == 1
        assert "no version 99 is kept" in unknown.output

        answer = service.post("/dialplan/rollback", {"version": 3})
        assert (answer.status_code, answer.json()["version"]["of"]) == (200, 3), answer.text
        assert service.post("/dialplan/rollback", {"version": 99}).status_code == 404
        audited = [one["what"] for one in service.get("/audit")["items"]]
        assert audited.count("dialplan-rollback") == 2
        assert audited.count("dialplan-load") == 2
        figure = 'hotline_check{check="dialplan",pbx="pbx1"} 0.0'
        well = "the doctor found the dialplan as it is loaded"
        wait_until(lambda: figure in service.http.get("/metrics").text, well, 20)
        told = {one["name"]: one["state"] for one in service.get("/doctor")["checks"]}
        assert told["dialplan"] == "ok"

        # A command that was killed tells nobody; the service finds its note while all is linked.
        versions.begin(Unfinished("writing", "file", "wang", datetime.now(UTC), 1, 1, 3))
        wait_until(lambda: versions.unfinished() is None, "the service undid it", 20)
        assert "no existence" in pbx.console("dialplan show custom-info")
    talk.assert_together()
    talk.citizen.hangup()
    talk.agent.wait_ended(5)
