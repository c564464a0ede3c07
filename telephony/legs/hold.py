"""How long a leg was on hold: from the rows of our own that say when a phone pressed hold (pure).

Asterisk writes no row for hold. Where our dialplan or service notes it (``HOTLINE_HOLD`` and
``HOTLINE_UNHOLD``, on the channel whose phone pressed hold, or with its uniqueid as ``leg``), both
sides are told: the leg whose phone pressed it, and whoever was alone with it in the talk. In a
three-way the others talk on, so nobody else is on hold. Where nothing is noted it is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from telephony.legs.channels import Call
from telephony.legs.folding import Folding
from telephony.legs.model import Leg, seconds

Stretch = tuple[int, int]


def hold_seconds(call: Call, folding: Folding, legs: Mapping[str, Leg]) -> None:
    """Fill in ``hold_s`` of these legs; they have their times and segments already."""
    if not call.saw_holds:
        return
    pressed: dict[str, list[tuple[int, bool]]] = {}
    for channel in call.channels.values():
        if channel.holds:
            pressed.setdefault(folding.leg_of[channel.uniqueid], []).extend(channel.holds)
    if not pressed:
        return
    own = {key: _stretches(presses, legs[key].ended) for key, presses in pressed.items()}
    for key, leg in legs.items():
        alone_with = {part.others[0] for part in leg.segments if len(part.others) == 1}
        holders = {key, *alone_with} & own.keys()
        if leg.ended is None or not holders:
            continue
        on_hold: list[Stretch] = []
        for holder in holders:
            stretches = own[holder]
            if stretches is None:  # a row is missing
                break
            on_hold += stretches if holder == key else _while_alone(leg, holder, stretches)
        else:
            if on_hold or key in own:
                leg.hold_s = seconds(_length(on_hold))


def _stretches(presses: Iterable[tuple[int, bool]], ended: int | None) -> list[Stretch] | None:
    """From when until when; None when a press is missing, so that nobody knows."""
    found: list[Stretch] = []
    since: int | None = None
    for at, is_hold in sorted(presses):
        if is_hold:
            since = at if since is None else since
        elif since is None:
            return None
        else:
            found.append((since, at))
            since = None
    if since is not None:  # hung up while on hold
        if ended is None:
            return None
        found.append((since, max(since, ended)))
    return found


def _while_alone(leg: Leg, holder: str, stretches: Iterable[Stretch]) -> list[Stretch]:
    found = []
    for start, end in stretches:
        for part in leg.segments:
            if part.others == (holder,) and part.end is not None:
                begun, over = max(start, part.start), min(end, part.end)
                if begun < over:
                    found.append((begun, over))
    return found


def _length(stretches: Iterable[Stretch]) -> int:
    """Microseconds in any of them, each counted once."""
    total = until = 0
    for start, end in sorted(stretches):
        total += max(end - max(start, until), 0)
        until = max(until, end)
    return total
