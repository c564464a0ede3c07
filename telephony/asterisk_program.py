"""Where the Asterisk program comes from: a setting, the PATH, or a private root made on Debian.

The private root is unpacked with mmdebstrap under the project's cache and run through the root's
own dynamic loader, without chroot: no root rights, no mounts, and nothing of the machine's own
Asterisk is touched.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from telephony.errors import SetupError

OLDEST = 20
PACKAGES = "asterisk,asterisk-core-sounds-en-wav,asterisk-moh-opsound-wav"
DOCKER_HINT = "or run it in containers: see docker/README.md"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AsteriskProgram:
    """An Asterisk that can be started: the command, and where its modules and data lie."""

    command: tuple[str, ...]
    modules: Path
    data: Path
    version: str

    @property
    def major(self) -> int:
        """The release series: 22 for 22.10.1."""
        return int(self.version.split(".")[0])


def checkout() -> Path:
    """The folder that holds ``telephony/``, ``dialplans/`` and the rest."""
    return Path(__file__).resolve().parent.parent


def cache_dir() -> Path:
    """Where what is made once is kept: HOTLINE_CACHE_DIR, or ``.cache`` in the checkout.

    Where the program was installed without its checkout it is the user's own cache. Raises
    :class:`SetupError` for a user without a home.
    """
    named = os.environ.get("HOTLINE_CACHE_DIR")
    if named:
        return Path(named).resolve()
    if (checkout() / "pyproject.toml").is_file():
        return checkout() / ".cache"
    try:
        users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        raise SetupError("this user has no home; name a folder: HOTLINE_CACHE_DIR") from None
    return users / "hotline-telephony"


def find_asterisk(say: Say = lambda text: None) -> AsteriskProgram:
    """An Asterisk 20 or newer; makes the private root when the machine has none.

    ``say`` is told about each long step. Raises :class:`SetupError` with what to do.
    """
    named = os.environ.get("HOTLINE_ASTERISK")
    if named:
        return _installed(Path(named), "HOTLINE_ASTERISK")
    on_path = shutil.which("asterisk") or shutil.which("asterisk", path="/usr/sbin:/usr/local/sbin")
    if on_path:
        try:
            return _installed(Path(on_path), "on PATH")
        except SetupError as error:
            say(f"not used: {error.detail}")
    return _in_root(private_root(say))


def private_root(say: Say = lambda text: None) -> Path:
    """The unpacked private root, made if it is not there yet."""
    root = cache_dir() / "asterisk-root"
    program = root / "usr/sbin/asterisk"
    if not program.exists():
        with _alone(root.with_name("asterisk-root.lock"), say):
            # Whoever held the lock has made it meanwhile.
            if not program.exists():
                _make_root(root, say)
    return root


@contextmanager
def _alone(lock: Path, say: Say) -> Iterator[None]:
    """Two set-ups at once would unpack into one folder; the lock goes with its process."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up that unpacks Asterisk ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _installed(program: Path, where: str) -> AsteriskProgram:
    if not program.is_file():
        raise SetupError(f"{where}: {program} is not a program; name the asterisk binary")
    version = _version((str(program),))
    base = program.resolve().parent.parent
    places = [
        base / "lib" / f"{os.uname().machine}-linux-gnu" / "asterisk/modules",
        base / "lib/asterisk/modules",
        base / "lib64/asterisk/modules",
        Path("/usr/lib/asterisk/modules"),
    ]
    modules = next((place for place in places if place.is_dir()), None)
    if modules is None:
        raise SetupError(f"{where}: no modules folder found for {program}; install asterisk whole")
    datas = [Path("/usr/share/asterisk"), base / "var/lib/asterisk", Path("/var/lib/asterisk")]
    data = next((place for place in datas if (place / "documentation").is_dir()), None)
    if data is None:
        raise SetupError(f"{where}: no data folder with documentation/ found for {program}")
    return AsteriskProgram((str(program),), modules, data, version)


def _in_root(root: Path) -> AsteriskProgram:
    libraries = next((root / "usr/lib").glob("*-linux-gnu*/asterisk"), None)
    loaders = [*root.glob("lib64/ld-linux-*.so.*"), *root.glob("lib/ld-linux-*.so.*")]
    if libraries is None or not loaders:
        raise SetupError(f"{root} is not whole; remove it and start again")
    library_dir = libraries.parent
    command = (str(loaders[0]), "--library-path", str(library_dir), str(root / "usr/sbin/asterisk"))
    return AsteriskProgram(
        command, libraries / "modules", root / "usr/share/asterisk", _version(command)
    )


def _version(command: tuple[str, ...]) -> str:
    done = subprocess.run([*command, "-V"], capture_output=True, text=True, check=False)
    found = re.search(r"Asterisk (?:certified[-/])?(\d+\.[\w.]+)", done.stdout)
    if not found:
        raise SetupError(f"{command[-1]} -V does not answer with a version: {done.stderr.strip()}")
    version = found.group(1)
    if int(version.split(".")[0]) < OLDEST:
        raise SetupError(f"{command[-1]} is Asterisk {version}; {OLDEST} or newer is needed")
    return version


def _make_root(root: Path, say: Say) -> None:
    _needs_debian()
    suite = os.environ.get("HOTLINE_DEBIAN_SUITE", "forky")
    say(f"unpacking Asterisk from Debian {suite} (about 20 s and 380 MB) ...")
    _unpack(root, PACKAGES, "minbase", say)


def unpacked(package: str, say: Say = lambda text: None) -> Path:
    """A folder in the cache with the files of one Debian package, of the private root's suite.

    Nothing is installed or run. Raises :class:`SetupError` with what to do.
    """
    root = cache_dir() / f"asterisk-root-{package}"
    if not root.exists():
        with _alone(root.with_name(f"{root.name}.lock"), say):
            if not root.exists():
                say(f"unpacking {package} ...")
                _unpack(root, package, "extract", say)
    return root


def _unpack(root: Path, packages: str, variant: str, say: Say) -> None:
    mmdebstrap = _mmdebstrap(say)
    suite = os.environ.get("HOTLINE_DEBIAN_SUITE", "forky")
    mirror = debian_mirror()
    fresh = root.with_name(root.name + ".new")
    _remove(fresh)
    command = [
        mmdebstrap,
        f"--variant={variant}",
        *([] if os.geteuid() == 0 else ["--mode=unshare"]),
        f"--include={packages}",
        # A mirror that lags has an old date; its signatures are still checked.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        suite,
        str(fresh),
        f"deb {mirror} {suite} main",
    ]
    log = root.with_name(f"{root.name}.log")
    with log.open("wb") as sink:
        done = subprocess.run(command, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL)
    if done.returncode:
        reason = _last_error(log)
        try:
            _remove(fresh)
        except SetupError as error:
            reason += f"; {error.detail}"
        raise SetupError(
            f"mmdebstrap could not unpack {packages} from {mirror}: {reason} (all of it: {log}); "
            f"set HOTLINE_DEBIAN_MIRROR, install Asterisk yourself, {DOCKER_HINT}"
        )
    fresh.rename(root)


def _needs_debian() -> None:
    if not Path("/etc/debian_version").exists():
        raise SetupError(
            f"no Asterisk here: install Asterisk {OLDEST} or newer, set HOTLINE_ASTERISK to its "
            f"program, {DOCKER_HINT}"
        )


def _last_error(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "Err:"))] or lines or ["no output"]
    return errors[0][:200]


def _remove(folder: Path) -> None:
    if not folder.exists():
        return
    try:
        shutil.rmtree(folder)
    except OSError as error:
        # Unpacked by an ordinary user, the files belong to that user's subordinate ids.
        by_hand = f"mmdebstrap --unshare-helper rm -rf {folder}; rm -rf {folder}"
        raise SetupError(
            f"{folder} could not be removed ({error.strerror}); as the user who made it run: "
            f"{by_hand} (or as root: rm -rf {folder})"
        ) from error


def _mmdebstrap(say: Say) -> str:
    found = shutil.which("mmdebstrap")
    if found:
        return found
    say("installing mmdebstrap ...")
    apt_install(["mmdebstrap"])
    found = shutil.which("mmdebstrap")
    if not found:
        raise SetupError("apt-get said yes, but mmdebstrap is not on PATH; install it by hand")
    return found


def apt_install(packages: list[str]) -> None:
    """Install Debian packages, as root or by sudo without a password; else say what to do."""
    names = " ".join(packages)
    by_hand = f"as root run: apt-get install -y {names}"
    sudo: list[str] = []
    if os.geteuid() != 0:
        quiet = ["sudo", "-n", "true"]
        if not shutil.which("sudo") or subprocess.run(quiet, capture_output=True).returncode:
            raise SetupError(f"{names} is missing and this user may not install it; {by_hand}")
        sudo = ["sudo", "-n"]
    # The package lists may be old or absent on a fresh machine.
    for step in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", *packages]):
        done = subprocess.run(
            [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *step],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise SetupError(f"apt-get could not install {names}: {reason}; {by_hand}")


def debian_mirror(sources: Path = Path("/etc/apt")) -> str:
    """The mirror to unpack from: HOTLINE_DEBIAN_MIRROR, else the one this machine's apt uses."""
    named = os.environ.get("HOTLINE_DEBIAN_MIRROR")
    if named:
        return named
    files = [sources / "sources.list", *sorted((sources / "sources.list.d").glob("*"))]
    texts = [file.read_text(errors="replace") for file in files if file.is_file()]
    lines = [line for text in texts for line in text.splitlines() if not line.startswith("#")]
    for line in lines:
        deb822 = re.match(r"URIs:\s*(\S+)", line, re.IGNORECASE)
        one_line = re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+)", line)
        found = deb822 or one_line
        # A mirror of Debian itself ends in /debian; security and third parties do not.
        if found and re.match(r"(https?|file|copy)://?\S*/debian/?$", found.group(1)):
            return found.group(1)
    raise SetupError(
        f"no Debian mirror stands in {sources}; name one: HOTLINE_DEBIAN_MIRROR=http://…/debian"
    )


def main() -> int:
    """Make what is missing; used by the Makefile before anything else."""

    def say(text: str) -> None:
        sys.stderr.write(f"  {text}\n")

    try:
        program = find_asterisk(say)
    except SetupError as error:
        sys.stderr.write(f"set-up failed: {error.detail}\n")
        return 1
    say(f"Asterisk {program.version} is ready")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
