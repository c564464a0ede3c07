"""The ``hotline`` command: every part of the service from a shell."""

from __future__ import annotations

import typer

app = typer.Typer(
    name="hotline",
    help="One-key transfer, three-way calls, first-contact records (一键转接 三方通话 首接负责制).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point of the ``hotline`` command."""
    app()
