"""The commands of ``hotline``, each loaded when it is asked for.

No command waits for the code that only another one needs: the database, the web framework or the
phones take a second and more to load.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

if TYPE_CHECKING:
    from typer._click import Command


BESIDE = {
    "legs": {"export": "exports:legs"},
    "cases": {"export": "exports:cases"},
    "ledger": {"export": "exports:ledger"},
}
"""Commands that stand under another one and are loaded by themselves."""


class OnDemand(Mapping[str, "Command"]):
    """Commands by their name. ``places``: where each is, as ``module:function or group``."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._loaded:
            self._loaded[name] = _load(name, self._places[name])
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places


def on_demand(places: Mapping[str, str]) -> type[TyperGroup]:
    """A group of these commands, for ``typer.Typer(cls=…)``."""

    class Group(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = OnDemand(places)  # type: ignore[assignment]

    return Group


def _load(name: str, place: str) -> Command:
    module, _, member = place.partition(":")
    found = getattr(importlib.import_module(f"telephony.commands.{module}"), member)
    if isinstance(found, typer.Typer):
        command: Command = get_group(found)
    else:
        alone = typer.Typer(add_completion=False)
        alone.command()(found)
        command = get_command(alone)
    command.name = name
    return _with(command, OnDemand(BESIDE[name])) if name in BESIDE else command


def _with(command: Command, beside: OnDemand) -> Command:
    """The command, with others under it: ``cases`` takes the number of a case there else."""
    if isinstance(command, TyperGroup):
        command.commands = Both(command.commands, beside)  # type: ignore[assignment]
        return command
    plain = command.make_context

    def make_context(name: str | None, args: list[str], parent: Any = None, **more: Any) -> Any:
        if args and args[0] in beside:
            return beside[args[0]].make_context(f"{name} {args[0]}", args[1:], parent, **more)
        return plain(name, args, parent, **more)

    command.make_context = make_context  # type: ignore[method-assign, assignment]
    command.beside = beside  # type: ignore[attr-defined]
    return command


class Both(Mapping[str, "Command"]):
    """Commands of a group, and those that stand beside them."""

    def __init__(self, own: Mapping[str, Command], beside: OnDemand) -> None:
        self._own, self._beside = own, beside

    def __getitem__(self, name: str) -> Command:
        return self._beside[name] if name in self._beside else self._own[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self._own, *self._beside))

    def __len__(self) -> int:
        return len(self._own) + len(self._beside)
