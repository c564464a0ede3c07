"""What of a step is shown to nobody: PINs stand in a dialplan, and what is said of it is logged."""

from __future__ import annotations

import re

_PIN = re.compile(r'(\$\{GIVEN\}" = ")[^"]*')
"""The comparison of what a supervisor has typed (dialplans/extensions/monitor.conf.j2)."""


def hidden(text: str) -> str:
    """A step, or words with one in them, to be read by people: without a PIN."""
    return _PIN.sub(r"\1***", text)
