"""``hotline users``: tokens for the HTTP interface."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer
from pydantic import ValidationError

from telephony.commands.output import clear_errors, print_json, stdout
from telephony.errors import SettingsError
from telephony.settings import Role, Token

app = typer.Typer(help="Tokens for the HTTP interface.", no_args_is_help=True)

TOKEN_BYTES = 32


@app.callback()
def _group() -> None:
    """Tokens for the HTTP interface."""


@app.command()
def token(
    name: Annotated[str, typer.Option(help="Whose token it is, as it shows in the settings.")],
    role: Annotated[str, typer.Option(help="agent, supervisor or admin.")],
    agent: Annotated[
        str | None,
        typer.Option(help="The agent (extension) whose calls alone it may move; for role agent."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a token and print the lines to add to hotline.toml.

    Nothing is stored: who has the printed lines has the token.
    """
    with clear_errors():
        value = secrets.token_urlsafe(TOKEN_BYTES)
        try:
            made = Token.model_validate(
                {"name": name, "role": role, "token": value, "agent": agent}
            )
        except ValidationError as error:
            raise SettingsError(
                [f"{(*item['loc'], 'agent')[0]}: {item['msg']}" for item in error.errors()]
            ) from None
        if as_json:
            print_json({"name": made.name, "role": made.role, "agent": agent, "token": value})
            return
        stdout.print(toml_of(made.name, made.role, value, made.agent), markup=False, soft_wrap=True)


def toml_of(name: str, role: Role, value: str, agent: str | None) -> str:
    """The lines of a token for hotline.toml."""
    lines = ["[[tokens]]", f'name = "{name}"', f'role = "{role}"', f'token = "{value}"']
    return "\n".join([*lines, f'agent = "{agent}"'] if agent else lines)
