"""What the PBX wrote about a cell's call: hand-overs, outcomes and legs."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from telephony.call_legs import Directory, Leg, build_legs
from telephony.cel.rows import CelRow, Fact, our_layout, read_fact


@dataclass(slots=True)
class Handed:
    """A hand-over on record: to which desk, how it was pressed, and what came of it."""

    id: str
    desk: str
    kind: str
    outcomes: list[str] = field(default_factory=list)


class Record:
    """The PBX's CEL file. Places in it are numbers of bytes."""

    def __init__(self, file: Path, directory: Directory) -> None:
        self._file = file
        self._directory = directory
        self._layout = our_layout()

    def place(self) -> int:
        """Where the file ends now."""
        return self._file.stat().st_size if self._file.exists() else 0

    def rows(self, since: int) -> list[CelRow]:
        """All whole rows from a place on."""
        with self._file.open("rb") as file:
            file.seek(since)
            data = file.read()
        text = data[: data.rfind(b"\n") + 1].decode()
        return [self._layout.row(fields) for fields in csv.reader(text.splitlines(True)) if fields]

    def case_of(self, number: str, since: int) -> tuple[str, str] | None:
        """Case and uniqueid of the call that this citizen made since then."""
        for fact in facts(self.rows(since)):
            if fact.kind == "CASE" and fact.values["number"] == number:
                return fact.values["case"], fact.uniqueid
        return None

    def legs(self, rows: list[CelRow]) -> list[Leg]:
        """The legs of these rows."""
        return list(build_legs(rows, pbx="table", directory=self._directory))


def facts(rows: list[CelRow]) -> list[Fact]:
    """What our dialplan noted in these rows, in their order."""
    return [fact for row in rows if (fact := read_fact(row)) is not None]


def hand_overs(rows: list[CelRow], case: str) -> list[Handed]:
    """The hand-overs of a case, in the order in which they were offered.

    Fails when an outcome has no offer before it.
    """
    found: dict[str, Handed] = {}
    for fact in facts(rows):
        values = fact.values
        if values.get("case") != case:
            continue
        if fact.kind == "OFFERED":
            assert values["id"] not in found, f"{values['id']} was offered twice"
            found[values["id"]] = Handed(values["id"], values["desk"], values["kind"])
        elif fact.kind in ("ACCEPTED", "ENDED"):
            assert values["id"] in found, f"{fact} without an offer"
            outcome = "accepted" if fact.kind == "ACCEPTED" else values["outcome"]
            found[values["id"]].outcomes.append(outcome)
    return list(found.values())


def device(channel: str) -> str:
    """The phone of a channel: ``8100`` of ``PJSIP/8100-0000002a``."""
    return channel.partition("/")[2].rpartition("-")[0]


def open_channels(rows: list[CelRow], case: str, phones: frozenset[str]) -> dict[str, str]:
    """Channels of the case or of these phones that have not ended: uniqueid -> name."""
    there = channels(rows, case, phones)
    ended = {row.uniqueid for row in rows if row.event == "CHAN_END"}
    return {uniqueid: name for uniqueid, name in there.items() if uniqueid not in ended}


def channels(rows: list[CelRow], case: str, phones: frozenset[str]) -> dict[str, str]:
    """All channels of the case or of these phones: uniqueid -> name at its start."""
    ours = {row.uniqueid for row in rows if row.account == case}
    return {
        row.uniqueid: row.channel
        for row in rows
        if row.event == "CHAN_START" and (row.uniqueid in ours or device(row.channel) in phones)
    }


def assert_legs(
    legs: list[Leg],
    there: dict[str, str],
    case: str,
    roles: dict[str, str],
    calls: Counter[str],
    *,
    apart: bool = False,
) -> None:
    """Every channel is in exactly one leg; every call of a phone is a leg with the right role.

    ``there``: the channels; ``roles``: role by phone; ``calls``: how many calls each phone had;
    ``apart``: some of them may be no part of the case.
    """
    mine = [leg for leg in legs if not there.keys().isdisjoint(leg.channels)]
    times = Counter(channel for leg in mine for channel in leg.channels)
    wrong = {name: times[uniqueid] for uniqueid, name in there.items() if times[uniqueid] != 1}
    assert not wrong, f"channels that are not in exactly one leg: {wrong}"
    seen: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    for leg in mine:
        phone = device(there.get(leg.uniqueid, leg.channel_names[0]))
        seen[phone] += 1
        answered[phone] += leg.answered is not None
        said = f"leg {leg.uniqueid} of {phone}"
        assert leg.state == "complete", f"{said} is {leg.state}"
        # Who listens calls from outside of the case.
        cases = {case, None} if leg.role == "supervisor" or apart else {case}
        assert leg.case in cases, f"{said} is in case {leg.case}, not {case}"
        assert leg.role == roles[phone], f"{said} is {leg.role}, not {roles[phone]}"
    # A call that is given up in the moment it is made never reaches its phone.
    assert answered <= calls <= seen, f"legs by phone {seen}, calls by phone {calls}"
