"""Settings: what is refused and how it is said, and the way through the environment and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from telephony.errors import SettingsError
from telephony.settings import Agent, Desk, Settings, as_environment, load_settings


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("HOTLINE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refused(**settings: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(**settings)
    return caught.value.lines


def desk(**values: Any) -> dict[str, Any]:
    return {"id": "119", "name": "消防119", "dial": "PJSIP/119", **values}


WRONG_PASSWORDS = [
    "short-1",
    "x" * 129,
    "cut;short",
    "a-secret\nallow=all",
    "a secret here",
    "密码密码密码密码",
]


@pytest.mark.parametrize("password", WRONG_PASSWORDS)
def test_given_a_password_that_pjsip_conf_cannot_hold_then_it_is_refused_unseen(
    password: str,
) -> None:
    settings = {
        "desks": [desk(password=password)],
        "keys": [],
        "agents": [{"id": "8001", "password": password}],
    }
    lines = refused(**settings)
    rule = "a SIP password is 8 to 128 visible ASCII characters without ';'"
    assert lines == [f"desks.0.password: {rule}", f"agents.0.password: {rule}"]


@pytest.mark.parametrize("password", ["a-secret-of-the-tests", "!" * 8, "~" * 128, '"#$%&=>[\\]'])
def test_given_a_password_of_visible_characters_then_it_is_taken(password: str) -> None:
    settings = load_settings(agents=[{"id": "8001", "password": password}])
    taken = settings.agents[0].password
    assert taken is not None
    assert taken.get_secret_value() == password


@pytest.mark.parametrize("name", ["h", "i", "s", "t", "T", "a", "o", "e", "fax", "s-", "h-"])
def test_given_a_desk_named_as_a_special_extension_then_it_is_refused(name: str) -> None:
    assert refused(desks=[desk(id=name)], keys=[]) == [
        "desks.0.id: this extension has a meaning of its own in Asterisk; choose another id "
        f"(found {name!r})"
    ]


@pytest.mark.parametrize("name", ["_X", "_", "-110", "-"])
def test_given_a_desk_that_does_not_begin_with_a_letter_or_digit_then_it_is_refused(
    name: str,
) -> None:
    assert refused(desks=[desk(id=name)], keys=[]) == [
        "desks.0.id: a desk's id is its extension and begins with a letter or digit "
        f"(found {name!r})"
    ]


@pytest.mark.parametrize("name", ["119", "fire", "sh", "desk_2", "x-1"])
def test_given_an_ordinary_id_of_a_desk_then_it_is_taken(name: str) -> None:
    assert load_settings(desks=[desk(id=name)], keys=[]).desks[0].id == name


def test_given_two_names_that_are_one_extension_then_they_are_refused() -> None:
    desks = [desk(id="119"), desk(id="1-19")]
    assert refused(desks=desks, keys=[]) == [
        "settings: 119 and 1-19 are one extension in Asterisk; rename one"
    ]


def through_the_environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_given_all_defaults_when_sent_by_the_environment_then_they_arrive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = load_settings()
    assert through_the_environment(settings, monkeypatch) == settings


def test_given_desks_and_secrets_when_sent_by_the_environment_then_they_arrive(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = load_settings(
        database_url="sqlite:////tmp/a b.sqlite",
        pbx={"ami_secret": 'q"uo\\te', "cel_file": tmp_path / "记录.csv"},
        line={"name": "朝阳市民意热线", "opens": "09:15", "closes": "16:45"},
        desks=[
            Desk(id="119", name="消防119", dial="PJSIP/119"),
            Desk(
                id="110",
                name="公安110",
                department="公安局指挥中心",
                dial="PJSIP/110",
                dial_backup="PJSIP/110@trunk",
                acceptance="confirm",
                password=SecretStr("a-secret-of-the-tests"),
            ),
        ],
        agents=[Agent(id="8001", name="坐席一", password=SecretStr('another"\\secret'))],
        keys=[{"code": "*1", "action": "transfer", "desk": "119"}],
        tokens=[{"name": "班长", "role": "supervisor", "token": "t" * 16}],
    )
    assert through_the_environment(settings, monkeypatch) == settings


def test_given_a_token_that_ships_for_no_pbx_of_ours_or_for_no_integrator_then_it_is_refused() -> (
    None
):
    token = {"name": "north", "role": "integrator", "token": "x" * 20}
    [said] = refused(tokens=[token | {"ships_for": ["nroth"]}], pbx={"name": "north"})
    assert "nroth" in said
    [said] = refused(tokens=[token | {"role": "supervisor", "ships_for": ["pbx1"]}])
    assert "ships_for" in said
    load_settings(tokens=[token | {"ships_for": ["north"]}], pbx={"name": "north"})


def test_a_mistyped_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTLINE_DATABSE_URL", "sqlite:///x")
    with pytest.raises(SettingsError, match="HOTLINE_DATABSE_URL: no setting has this name"):
        load_settings()


def test_a_list_that_is_no_json_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTLINE_AGENTS", "[{")
    with pytest.raises(SettingsError, match="HOTLINE_AGENTS"):
        load_settings()


def test_a_line_that_never_opens_is_refused() -> None:
    with pytest.raises(SettingsError, match="not before closes"):
        load_settings(line={"opens": "17:00", "closes": "08:00"})
