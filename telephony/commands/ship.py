"""``hotline ship``: send this PBX's CEL rows and sounds to a service on another host."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from telephony.commands.output import clear_errors, print_json, stderr
from telephony.errors import SettingsError

if TYPE_CHECKING:
    from telephony.shipping.spool import Kind
    from telephony.shipping.wire import Wire


def ship(
    pbx: Annotated[str, typer.Option(help="This PBX's name in the service's settings.")],
    to: Annotated[
        list[str],
        typer.Option(help="https://host:port of the service; of several processes, each."),
    ],
    token_file: Annotated[
        Path,
        typer.Option(help="Holds a token whose ships_for names this PBX, readable by us alone."),
    ],
    cel: Annotated[
        Path, typer.Option(help="The CEL file; rotated ones are looked for beside it.")
    ] = Path("/var/log/asterisk/cel-custom/hotline.csv"),
    messages: Annotated[Path | None, typer.Option(help="Folder of the messages' sound.")] = None,
    recordings: Annotated[Path | None, typer.Option(help="Folder of the recordings.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Keeps which sounds have arrived; needed for sounds.")
    ] = None,
    ca_file: Annotated[Path | None, typer.Option(help="CA of the service's certificate.")] = None,
    max_age_days: Annotated[
        int, typer.Option(min=1, help="Older sounds and rotated CEL files are left alone.")
    ] = 30,
    once: Annotated[bool, typer.Option(help="Send what there is now, then end.")] = False,
) -> None:
    """Send this PBX's CEL rows and sounds to the service, from where it has got to, until stopped.

    Nothing is lost while either side is down, and nothing is there twice. Exit status 1 with --once
    when not all could be sent, 2 for wrong usage.
    """
    from telephony.shipping.shipper import Shipper
    from telephony.shipping.wire import Away, Refused

    with clear_errors():
        token = _token(token_file)
        if (messages or recordings) and state is None:
            raise SettingsError(["--state: name a file that keeps which sounds have arrived"])
        folders: dict[Kind, Path | None] = {"messages": messages, "recordings": recordings}
        shipper = Shipper(
            pbx,
            cel,
            _wires(to, token, ca_file),
            sounds={kind: folder for kind, folder in folders.items() if folder is not None},
            state=state,
            oldest_s=max_age_days * 86400.0,
            say=lambda text: stderr.print(text, soft_wrap=True, markup=False, highlight=False),
        )
        if once:
            try:
                sent = shipper.round()
            except (Away, Refused, OSError) as error:
                stderr.print(f"hotline: {error}", soft_wrap=True, markup=False)
                raise typer.Exit(1) from None
            print_json({"bytes": sent.bytes, "files": sent.files, "sounds": sent.sounds})
            if sent.waiting:
                stderr.print(f"hotline: {sent.waiting}", soft_wrap=True, markup=False)
                raise typer.Exit(1)
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        shipper.run(stop)


def _token(file: Path) -> str:
    try:
        token = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError([f"--token-file: {file}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise SettingsError([f"--token-file: {file}: holds no text"]) from None
    if not token.isascii():
        raise SettingsError([f"--token-file: {file}: a token has letters, digits, - and _ only"])
    return token


def _wires(to: list[str], token: str, ca_file: Path | None) -> list[Wire]:
    from telephony.shipping.wire import Wire

    try:
        return [Wire(url, token, ca_file=ca_file) for url in to]
    except OSError as error:  # also what ssl says of a file without certificates
        raise SettingsError([f"--ca-file: {ca_file}: {error.strerror or error}"]) from None
    except ValueError as error:  # an address with half a bracket
        raise SettingsError([f"--to: {error}"]) from None
