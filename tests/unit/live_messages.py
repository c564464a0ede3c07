"""What the live feed has told a subscriber."""

from __future__ import annotations

import json
from typing import Any

from telephony.live.feed import Subscriber

Message = dict[str, Any]


def waiting(subscriber: Subscriber) -> list[Message]:
    """What waits for a client now."""
    found = [json.loads(text) for text, _ in subscriber._pending]
    subscriber._pending.clear()
    subscriber._size = 0
    return found
