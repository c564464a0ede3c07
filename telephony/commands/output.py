"""What all commands share: tables or JSON on stdout, one clear line on stderr, exit 0 / 1 / 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from telephony.errors import HotlineError, SettingsError, SettingsFileBroken

# A pipe or a log has no width of its own; 80 columns would cut every time and number.
WIDTH_WITHOUT_TERMINAL = 140
WIDEST = 10_000
# No emoji: `:x:` in a line of a dialplan or a name is what somebody wrote.
stdout = Console(
    highlight=False, emoji=False, width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL
)
stderr = Console(stderr=True, highlight=False, emoji=False)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn our errors into a line on stderr and an exit status: 2 for settings, 1 for the rest."""
    try:
        yield
    except SettingsError as error:
        what = "" if isinstance(error, SettingsFileBroken) else "setting "
        for line in error.lines:
            stderr.print(f"hotline: {what}{line}", soft_wrap=True, markup=False)
        raise typer.Exit(2) from None
    except HotlineError as error:
        stderr.print(f"hotline: {error.detail} [{error.code}]", soft_wrap=True, markup=False)
        raise typer.Exit(1) from None


def print_json(data: Any) -> None:
    """Print data as JSON, readable by people and programs alike."""
    sys.stdout.write(orjson.dumps(data, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table; what is unknown shows as an empty cell."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*("" if row.get(name) is None else str(row[name]) for name in columns))
    if stdout.is_terminal:
        stdout.print(table)
        return
    # A pipe takes lines of any length: nothing is cut that another program is to find.
    width = table.__rich_measure__(stdout, stdout.options.update(width=WIDEST)).maximum
    Console(highlight=False, emoji=False, width=max(width, WIDTH_WITHOUT_TERMINAL)).print(table)


def so_many(count: int, what: str) -> str:
    """``1 day``, ``2 days``."""
    return f"{count} {what}{'' if count == 1 else 's'}"
