"""``hotline dialplan``: the files of ``dialplans/``, made from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from telephony import dialplan
from telephony.commands import dialplan_check, dialplan_load
from telephony.commands.output import clear_errors, print_json, stdout
from telephony.dialplan import Standalone
from telephony.settings import load_settings

app = typer.Typer(
    help="The PBX's configuration: make it, compare it, load it, take it back.",
    no_args_is_help=True,
)
app.command()(dialplan_check.check)
dialplan_load.add_to(app)


@app.command()
def render(
    out: Annotated[Path, typer.Option(help="Folder to write to, such as /etc/asterisk.")],
    standalone: Annotated[
        bool, typer.Option(help="Also what a PBX of its own needs: SIP, manager, modules, ports.")
    ] = False,
    force: Annotated[
        bool, typer.Option(help="Write over files that hotline did not make, or you changed.")
    ] = False,
    moh_dir: Annotated[
        Path | None, typer.Option(help="Folder with music on hold on the PBX.")
    ] = None,
    bind: Annotated[
        str, typer.Option(help="Stand-alone: address for SIP and AMI to listen on.")
    ] = "127.0.0.1",
    address: Annotated[
        str, typer.Option(help="Stand-alone: address that phones send their sound to.")
    ] = "127.0.0.1",
    rtp: Annotated[
        str, typer.Option(help="Stand-alone: first-last port of sound.")
    ] = "10000-10999",
    ami_permit: Annotated[
        str, typer.Option(help="Addresses from which the service may log in over AMI.")
    ] = "127.0.0.1/255.255.255.255",
    ami_certificate: Annotated[
        Path | None,
        typer.Option(help="Stand-alone: PEM file on the PBX, certificate and key; AMI by TLS."),
    ] = None,
    browser_port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            help="Stand-alone: port of the WebSocket (/ws) for phones in the browser; 0: none.",
        ),
    ] = 0,
    pbx: Annotated[
        str | None, typer.Option(help="For this one of several; without: the first.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write the configuration; only files that differ are touched.

    A file that hotline did not make, or that you changed since it did, is not written over, and
    nothing else is: put additions into files of your own, or use --force.
    """
    first, _, last = rtp.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) < int(last) < 65536):
        raise typer.BadParameter(f"{rtp!r} is no range such as 10000-10999", param_hint="--rtp")
    places = None
    if standalone:
        modules = next(Path("/usr/lib").glob("*-linux-gnu/asterisk/modules"), None)
        places = Standalone(
            etc=Path("/etc/asterisk"),
            modules=modules or Path("/usr/lib/asterisk/modules"),
            data=Path("/usr/share/asterisk"),
            var=Path("/var/lib/asterisk"),
            spool=Path("/var/spool/asterisk"),
            run=Path("/var/run/asterisk"),
            log=Path("/var/log/asterisk"),
            sip_bind=bind,
            sip_address=address,
            ami_bind=bind,
            ami_certificate=ami_certificate,
            rtp_first=int(first),
            rtp_last=int(last),
            http_port=browser_port,
        )
    with clear_errors():
        settings = load_settings()
        here = settings.of_pbx(pbx or settings.pbx.name)
        files = dialplan.render(here, places, moh_dir=moh_dir, ami_permit=ami_permit)
        changed = [str(path) for path in dialplan.write(files, out, force=force)]
    if as_json:
        print_json({"files": sorted(str(out / name) for name in files), "changed": changed})
        return
    for path in changed:
        stdout.print(path, markup=False, soft_wrap=True)
    stdout.print(f"{len(files)} files, {len(changed)} written to {out}", markup=False)
