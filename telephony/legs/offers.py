"""What was offered to whom in a call, as far as the legs of the targets are concerned (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from telephony.cel.rows import Fact
from telephony.legs.model import Leg


@dataclass(slots=True)
class Offer:
    """A hand-over as far as its target's leg is concerned."""

    id: str
    case: str
    desk: str
    start: int
    end: int | None = None


def offers_of(facts: Iterable[Fact]) -> list[Offer]:
    """The hand-overs that these facts tell of."""
    offers: dict[str, Offer] = {}
    for fact in facts:
        name = fact.values.get("id", "")
        if fact.kind == "OFFERED" and name and name not in offers:
            offers[name] = Offer(
                name, fact.values.get("case", ""), fact.values.get("desk", ""), fact.at
            )
        elif fact.kind in ("ACCEPTED", "ENDED") and name in offers:
            offers[name].end = fact.at
    return list(offers.values())


def offer_for(leg: Leg, offers: Iterable[Offer]) -> Offer | None:
    """The hand-over during which this leg was called."""
    for offer in offers:
        same = not offer.case or leg.case is None or leg.case == offer.case
        if (
            same
            and leg.first_at >= offer.start
            and (offer.end is None or leg.first_at <= offer.end)
        ):
            return offer
    return None
