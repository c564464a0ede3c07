"""Hand-overs that run, as the dialplan tells of them: by facts, and by what it keeps on channels.

No AMI here: :mod:`telephony.live_calls` asks for these variables and hears these facts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from telephony.live.model import RunningHandover

if TYPE_CHECKING:
    from telephony.pbx import ChannelNow

HANDED = ("HANDED_BY", "THEIR_CASE")
"""Which side handed the call over to us, and its case number there: on the citizen's channel."""
VARIABLES = ("HOTLINE_ROLE", "PARTY", "HANDOVER_ID", "DESK", "BY", "KIND", "REASON", *HANDED)
"""What our dialplan keeps on channels, asked for when the picture is rebuilt."""
HANDOVER = "SHARED(HANDOVER)"
"""The id of the hand-over that runs, on the citizen's channel."""
ANSWERED = "SHARED(ANSWERED)"
"""The id of the hand-over whose desk has answered, but has not accepted yet."""
ENDS_HANDOVER = frozenset({"HOTLINE_ACCEPTED", "HOTLINE_ENDED", "HOTLINE_RETURNED"})


def offered(fact: Mapping[str, str]) -> RunningHandover:
    """The hand-over of which a ``HOTLINE_OFFERED`` tells."""
    return RunningHandover(
        id=fact.get("id", ""),
        desk=fact.get("desk", ""),
        by=fact.get("by", ""),
        kind=fact.get("kind", ""),
        reason=fact.get("reason", ""),
    )


def taken_up(
    channels: Iterable[ChannelNow], citizens: Collection[str]
) -> dict[str, RunningHandover]:
    """The hand-overs that run, by the citizen's uniqueid, from the channels as they stand.

    The citizen's channel names the hand-over; what is known of it may be on another (the third
    party's, the agent's who asks a desk).
    """
    channels = list(channels)
    known_by_id: dict[str, dict[str, str]] = {}
    for now in channels:
        if "DESK" in now.variables:
            facts = known_by_id.setdefault(now.variables.get("HANDOVER_ID", ""), {})
            facts |= {name: value for name, value in now.variables.items() if value}
    found = {}
    for now in channels:
        running = now.variables.get(HANDOVER, "")
        # Before the dialplan's first step it has no id yet; the event with the id follows.
        if now.uniqueid in citizens and running.startswith(f"{now.account}-h"):
            facts = known_by_id.get(running, {})
            found[now.uniqueid] = RunningHandover(
                id=running,
                desk=facts.get("DESK", ""),
                by=facts.get("BY", ""),
                kind=facts.get("KIND", "three-way"),
                reason=unquote(facts.get("REASON", "")),
                state="answered" if now.variables.get(ANSWERED) == running else "offered",
            )
    return found
