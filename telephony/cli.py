"""The ``hotline`` command: every part of the service from a shell."""

from __future__ import annotations

import typer

from telephony.commands.on_demand import on_demand

COMMANDS = {
    "demo": "demo:demo",
    "run": "demo:run",
    "up": "serve:up",
    "calls": "calls:calls",
    "agents": "agents:agents",
    "transfer": "calls:transfer",
    "phone": "phone:phone",
    "doctor": "doctor:doctor",
    "legs": "legs:app",
    "cases": "cases:cases",
    "voicemail": "voicemail:app",
    "callbacks": "voicemail:callbacks",
    "calendar": "calendar:app",
    "figures": "figures:app",
    "matters": "matters:app",
    "ledger": "ledger:app",
    "handovers": "exports:handovers_app",
    "retention": "retention:app",
    "orders": "orders:app",
    "outbox": "outbox:app",
    "dialplan": "dialplan:app",
    "ship": "ship:ship",
    "backup": "backup:backup",
    "restore": "backup:restore",
    "users": "users:app",
}
"""Each command, and the module of ``telephony.commands`` with its function or group."""

app = typer.Typer(
    name="hotline",
    cls=on_demand(COMMANDS),
    help="One-key transfer, three-way calls, first-contact records (一键转接 三方通话 首接负责制).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _hotline() -> None:
    """Make it a group; its commands are loaded on demand."""


def main() -> None:
    """Entry point of the ``hotline`` command."""
    app()


if __name__ == "__main__":
    main()
