"""Two real PBXs in one service: calls at both, a case over the trunk between, one that dies."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from telephony.asterisk_program import find_asterisk
from telephony.demo.stage import Service
from telephony.dialplan import Phone
from telephony.private_pbx import PrivatePbx, free_port
from telephony.settings import Agent, Desk, Http, Key, Line, Pbx, Settings, Token
from telephony.softphone import CallState, Softphone
from tests.pbx.scene import (
    CITIZENS,
    PASSWORD,
    Talk,
    assert_quiet,
    begin_talk,
    set_hours,
    sign_in,
    wait_until,
)
from tests.pbx.served import serving, whole_case

pytestmark = pytest.mark.pbx


class Trunked(PrivatePbx):
    """A PBX with a trunk of its own to another one, as an admin would write it."""

    other: PrivatePbx

    def _prepare(self) -> None:
        super()._prepare()
        there = self.other.settings.pbx.name
        trunk = f"to-{there}"
        with (self.places.etc / "pjsip.conf").open("a") as file:
            file.write(
                f"\n[{trunk}]\ntype = endpoint\ncontext = hotline-between\ndisallow = all\n"
                f"allow = ulaw\naors = {trunk}\nfrom_user = to-{self.settings.pbx.name}\n"
                "send_pai = yes\ntrust_id_inbound = yes\ntrust_id_outbound = yes\n"
                "direct_media = no\nmedia_address = 127.0.0.1\n"
                f"\n[{trunk}]\ntype = aor\ncontact = sip:127.0.0.1:{self.other.sip_port}\n"
            )


def settings() -> Settings:
    def desk(name: str) -> Desk:
        password = SecretStr(PASSWORD)
        return Desk(id=name, name=name, dial=f"PJSIP/{name}", ring_s=5, password=password)

    return Settings(
        line=Line(queue_wait_s=8, agent_ring_s=3),
        pbx=Pbx(name="east", dials={"12345": "PJSIP/12345@to-west"}, trunks=["to-west"]),
        pbxs=[Pbx(name="west", agents=["8003"], desks=["12345"], trunks=["to-east"])],
        agents=[Agent(id=one, name=one, password=SecretStr(PASSWORD)) for one in ("8001", "8003")],
        desks=[desk("110"), desk("12345")],
        keys=[Key(code="*1", action="transfer", desk="110")],
        tokens=[Token(name="tests", role="admin", token=SecretStr(PASSWORD))],
    )


@pytest.fixture
def pair() -> Iterator[tuple[PrivatePbx, PrivatePbx]]:
    with tempfile.TemporaryDirectory(prefix="hotline-two-") as name, ExitStack() as stack:
        Path(name).chmod(0o755)
        phones = [Phone(one, PASSWORD, "hotline-trunk") for one in CITIZENS]
        phones.append(Phone("stranger", PASSWORD, "hotline-between"))
        base = settings()
        east, west = (
            Trunked(find_asterisk(), Path(name) / one, base.of_pbx(one), phones)
            for one in ("east", "west")
        )
        east.other, west.other = west, east
        for one in (east, west):
            stack.callback(one.stop)
            one.launch()
        for one in (east, west):
            one.wait_until_up()
            set_hours(one, "0000-2400")
        yield east, west


@pytest.fixture
def service(pair: tuple[PrivatePbx, PrivatePbx], tmp_path: Path) -> Iterator[Service]:
    base = settings()
    places = {"ami_port", "ami_secret", "ami_user", "cel_file"}
    where = [one.settings.pbx.model_dump(include=places) for one in pair]
    everything = base.model_copy(
        update={
            "pbx": base.pbx.model_copy(update=where[0]),
            "pbxs": [base.pbxs[0].model_copy(update=where[1])],
            "database_url": f"sqlite:///{tmp_path / 'record.sqlite'}",
            "http": Http(port=free_port(socket.SOCK_STREAM)),
        }
    )
    with serving(everything, tmp_path) as one:
        wait_until(lambda: links(one) == {"east": "up", "west": "up"}, "both are seen", 10)
        yield one


def links(service: Service) -> dict[str, str]:
    return {one["name"]: one["link"] for one in service.get("/pbxs")["items"]}


@pytest.fixture
def phone() -> Iterator[Callable[[PrivatePbx, str], Softphone]]:
    phones: dict[tuple[int, str], Softphone] = {}

    def register(pbx: PrivatePbx, who: str) -> Softphone:
        if (pbx.sip_port, who) not in phones:
            one = phones[pbx.sip_port, who] = Softphone("127.0.0.1", pbx.sip_port, who, PASSWORD)
            one.start()
        return phones[pbx.sip_port, who]

    yield register
    for one in phones.values():
        one.stop()


def calls(service: Service) -> dict[str, dict[str, Any]]:
    """The calls that talk now, by their PBX."""
    items = service.get("/calls")["items"]
    return {one["pbx"]: one for one in items if one["state"] == "talking" and one["caller"]}


def test_given_two_pbxs_then_each_has_its_calls_a_case_crosses_the_trunk_and_one_that_dies_is_shown(
    pair: tuple[PrivatePbx, PrivatePbx],
    service: Service,
    phone: Callable[[PrivatePbx, str], Softphone],
) -> None:
    east, west = pair
    names = {one["name"]: one["system_name"] for one in service.get("/pbxs")["items"]}
    assert names == {"east": "east", "west": "west"}
    desk_at_west, desk_at_east = phone(west, "12345"), phone(east, "110")
    sign_in(phone(east, "8001"), east)
    sign_in(phone(west, "8003"), west)
    agents = {one["id"]: one["signed_in"] for one in service.get("/agents")["items"]}
    assert agents == {"8001": True, "8003": True}
    here = begin_talk(phone(east, CITIZENS[0]), phone(east, "8001"))
    there = begin_talk(phone(west, CITIZENS[1]), phone(west, "8003"))
    wait_until(lambda: set(calls(service)) == {"east", "west"}, "both calls are shown")
    shown = calls(service)
    assert shown["east"]["id"].startswith("east-")
    assert shown["west"]["caller"] == CITIZENS[1]

    # A transfer on each; the desk at west is reached from there, and not 110, which is at east.
    at_west = service.post(f"/calls/{shown['west']['case']}/transfer", {"desk": "12345"})
    assert at_west.status_code == 202, at_west.text
    second = desk_at_west.wait_for_call(5)
    second.answer()
    second.play_tone(Talk.TARGET_HZ)
    there.citizen.wait_hears(Talk.TARGET_HZ, 5)
    there.citizen.hangup()
    case = whole_case(service, shown["west"]["case"])
    assert {leg["pbx"] for leg in case["legs"]} == {"west"}
    assert case["owner"] == "12345"

    # From east to a desk at west, over the trunk: one case, with the legs of both.
    over = service.post(f"/calls/{shown['east']['id']}/transfer", {"desk": "12345"})
    assert over.status_code == 202, over.text
    ringing = desk_at_west.wait_for_call(5)
    assert ringing.caller_number == CITIZENS[0]
    ringing.answer()
    ringing.play_tone(Talk.TARGET_HZ)
    here.citizen.wait_hears(Talk.TARGET_HZ, 5)
    ringing.wait_hears(Talk.CITIZEN_HZ, 5)
    here.citizen.hangup()
    ringing.wait_ended(5)
    number = shown["east"]["case"]
    wait_until(
        lambda: [leg["pbx"] for leg in whole_case(service, number)["legs"]].count("west") == 2,
        "the legs at west are on record",
        10,
    )
    case = whole_case(service, number)
    assert case["owner"] == "12345"
    assert [one["state"] for one in case["handovers"]] == ["accepted"]
    roles = sorted((leg["pbx"], leg["role"] or "", leg["party"] or "") for leg in case["legs"])
    assert [one for one in roles if one[0] == "east"] == [
        ("east", "agent", "8001"),
        ("east", "citizen", CITIZENS[0]),
        ("east", "target", "12345"),
    ]
    assert ("west", "target", "12345") in roles
    for one in pair:
        assert_quiet(one)

    # Whoever comes there over anything but a trunk of ours is refused, whatever they say.
    stranger = phone(west, "stranger").call("12345")
    assert stranger.wait_ended(5) >= 400
    assert all(one.state is CallState.ENDED for one in desk_at_west.calls)

    # West dies: it is shown, and what is at east goes on.
    here = begin_talk(phone(east, CITIZENS[0]), phone(east, "8001"))
    wait_until(lambda: "east" in calls(service), "the call is shown")
    west.kill()
    wait_until(lambda: links(service) == {"east": "up", "west": "down"}, "it is shown", 15)
    ready = service.http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["pbxs"]["west"]["link"] == "down"
    call = calls(service)["east"]
    gone = service.http.get(f"/api/v1/calls/{shown['west']['id']}")
    assert (gone.status_code, gone.json()["code"]) == (503, "pbx-unavailable")
    assert service.post(f"/calls/{call['id']}/transfer", {"desk": "110"}).status_code == 202
    desk = desk_at_east.wait_for_call(5)
    desk.answer()
    desk.play_tone(Talk.TARGET_HZ)
    here.citizen.wait_hears(Talk.TARGET_HZ, 5)
    here.citizen.hangup()
    assert whole_case(service, call["case"])["owner"] == "110"
    assert_quiet(east)
