"""``hotline users``: people who sign in with a password, and tokens for programs."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import ValidationError

from telephony.commands.output import clear_errors, print_json, print_table, stdout
from telephony.errors import SettingsError
from telephony.plain_words import in_plain_words
from telephony.settings import Role, Token, load_settings

if TYPE_CHECKING:
    from telephony.people.book import PeopleBook

app = typer.Typer(help="People who sign in, and tokens for programs.", no_args_is_help=True)
Answer = TypeVar("Answer")

TOKEN_BYTES = 32
COLUMNS = ("name", "display_name", "roles", "agent", "department", "active", "changed_at")
Name = Annotated[str, typer.Argument(help="What the person types to sign in.")]
Invent = Annotated[
    bool, typer.Option("--invent", help="Invent the password and print it; nobody is asked.")
]
Stdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from a pipe.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def _group() -> None:
    """People who sign in with a password, and tokens for programs."""


@app.command()
def add(
    name: Name,
    role: Annotated[
        list[str], typer.Option(help="agent, supervisor, admin, auditor, integrator; repeatable.")
    ],
    display_name: Annotated[str, typer.Option(help="What others call them.")] = "",
    agent: Annotated[
        str | None, typer.Option(help="The agent (extension) whose calls alone they move.")
    ] = None,
    department: Annotated[str, typer.Option(help="Where they work.")] = "",
    may_monitor: Annotated[
        bool, typer.Option(help="A supervisor who may listen to calls.")
    ] = False,
    invent: Invent = False,
    password_stdin: Stdin = False,
) -> None:
    """Add a person. The password is asked for twice; there is no default one."""
    with clear_errors():
        roles = tuple(_role(one) for one in role)
        password = _password(invent=invent, from_stdin=password_stdin)

        async def put(book: PeopleBook, by: str) -> None:
            from telephony.people.rules import Person

            shown = display_name or name
            person = Person(name, shown, roles, agent, department, may_monitor=may_monitor)
            await book.add(person, password, by=by, role="command")

        _with_book(put)
        _tell(f"{name} may sign in", password if invent else None)


@app.command("list")
def list_people(as_json: Json = False) -> None:
    """Who may sign in, and who no longer may."""
    with clear_errors():

        async def look(book: PeopleBook, _by: str) -> list[dict[str, Any]]:
            return await book.everybody()

        people = _with_book(look)
        if as_json:
            print_json(people)
            return
        rows = [
            one
            | {
                "roles": ", ".join(one["roles"]),
                "active": "yes" if one["active"] else "no",
                "changed_at": f"{one['changed_at']:%Y-%m-%d %H:%M}",
            }
            for one in people
        ]
        print_table("People", COLUMNS, rows)


@app.command()
def passwd(name: Name, invent: Invent = False, password_stdin: Stdin = False) -> None:
    """Give a person a new password; wherever they are signed in, they no longer are."""
    with clear_errors():
        password = _password(invent=invent, from_stdin=password_stdin)

        async def put(book: PeopleBook, by: str) -> None:
            await book.set_password(name, password, by=by, role="command")

        _with_book(put)
        _tell(f"{name} has a new password", password if invent else None)


@app.command()
def disable(name: Name) -> None:
    """Sign a person out and let them in no more; the record keeps their name."""
    _switch(name, active=False)


@app.command()
def enable(name: Name) -> None:
    """Let a person in again who was disabled."""
    _switch(name, active=True)


@app.command("sign-out")
def sign_out(name: Name) -> None:
    """End a person's sessions wherever they are signed in."""
    with clear_errors():

        async def end(book: PeopleBook, by: str) -> int:
            return await book.sign_out(name, by=by, role="command")

        ended = _with_book(end)
        _tell(f"{ended} sessions of {name} were ended", None)


@app.command()
def token(
    name: Annotated[str, typer.Option(help="Whose token it is, as it shows in the settings.")],
    role: Annotated[str, typer.Option(help="agent, supervisor, admin, auditor or integrator.")],
    agent: Annotated[
        str | None,
        typer.Option(help="The agent (extension) whose calls alone it may move; for role agent."),
    ] = None,
    ships_for: Annotated[
        list[str] | None,
        typer.Option(help="A PBX for which `hotline ship` may send with it; repeatable."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a token and print the lines to add to hotline.toml.

    Nothing is stored: who has the printed lines has the token.
    """
    with clear_errors():
        value = secrets.token_urlsafe(TOKEN_BYTES)
        try:
            made = Token.model_validate(
                {"name": name, "role": role, "token": value, "agent": agent}
                | {"ships_for": ships_for or []}
            )
        except ValidationError as error:
            raise SettingsError(
                [
                    f"{(*item['loc'], 'agent')[0]}: {in_plain_words(item, unknown='is not known')}"
                    for item in error.errors()
                ]
            ) from None
        if as_json:
            said = {"name": made.name, "role": made.role, "agent": agent, "token": value}
            print_json(said | ({"ships_for": made.ships_for} if made.ships_for else {}))
            return
        text = toml_of(made.name, made.role, value, made.agent, made.ships_for)
        stdout.print(text, markup=False, soft_wrap=True)


def toml_of(
    name: str, role: Role, value: str, agent: str | None, ships_for: Sequence[str] = ()
) -> str:
    """The lines of a token for hotline.toml."""
    lines = ["[[tokens]]", f'name = "{name}"', f'role = "{role}"', f'token = "{value}"']
    if agent:
        lines.append(f'agent = "{agent}"')
    if ships_for:
        lines.append("ships_for = [" + ", ".join(f'"{one}"' for one in ships_for) + "]")
    return "\n".join(lines)


def _switch(name: str, *, active: bool) -> None:
    with clear_errors():

        async def put(book: PeopleBook, by: str) -> None:
            await book.change(name, {"active": active}, by=by, role="command")

        _with_book(put)
        _tell(f"{name} may sign in" if active else f"{name} may not sign in any more", None)


def _role(word: str) -> Role:
    from typing import get_args

    known: tuple[Role, ...] = get_args(Role)
    for role in known:
        if role == word:
            return role
    raise typer.BadParameter(f"{word} is none of {', '.join(known)}", param_hint="--role")


def _password(*, invent: bool, from_stdin: bool) -> str:
    if invent:
        from telephony.people.passwords import invented

        return invented()
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    said: str = typer.prompt("Password", hide_input=True, confirmation_prompt="Once more")
    return said


def _with_book(work: Callable[[PeopleBook, str], Awaitable[Answer]]) -> Answer:
    # A database takes a while to load: not for every other command.
    from telephony.commands.stored import open_database, user
    from telephony.people.book import PeopleBook

    async def run() -> Answer:
        async with open_database() as database:
            await database.migrate()
            return await work(PeopleBook(database, load_settings()), user())

    return asyncio.run(run())


def _tell(done: str, password: str | None) -> None:
    stdout.print(done, markup=False)
    if password is not None:
        stdout.print(f"password: {password}", markup=False)
