"""The ``hotline`` command: every part of the service from a shell."""

from __future__ import annotations

import typer

from telephony.commands import (
    agents,
    calendar,
    calls,
    cases,
    demo,
    dialplan,
    doctor,
    ledger,
    legs,
    orders,
    outbox,
    phone,
    serve,
    users,
)

app = typer.Typer(
    name="hotline",
    help="One-key transfer, three-way calls, first-contact records (一键转接 三方通话 首接负责制).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(demo.demo)
app.command()(demo.run)
app.command()(serve.up)
app.command()(calls.calls)
app.command()(agents.agents)
app.command()(calls.transfer)
app.command()(phone.phone)
app.command()(doctor.doctor)
app.add_typer(legs.app, name="legs")
app.command()(cases.cases)
app.add_typer(calendar.app, name="calendar")
app.add_typer(ledger.app, name="ledger")
app.add_typer(orders.app, name="orders")
app.add_typer(outbox.app, name="outbox")
app.add_typer(dialplan.app, name="dialplan")
app.add_typer(users.app, name="users")


def main() -> None:
    """Entry point of the ``hotline`` command."""
    app()


if __name__ == "__main__":
    main()
