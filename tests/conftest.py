"""What all tests share: both databases, a practice, fixed times. The test zone is Europe/London."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import Engine

from storage import schema
from storage.engine import Database
from storage.keys import FixedSource
from storage.keystore import KeyStore
from storage.vault import Vault

os.environ["TZ"] = "Europe/London"
time.tzset()

_IN_MEMORY = Path("/dev/shm")
if _IN_MEMORY.is_dir() and os.access(_IN_MEMORY, os.W_OK) and shutil.disk_usage(_IN_MEMORY).free > 4 * 2**30:
    # Every commit is synced: on a disk the tests would do little but wait for it.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_IN_MEMORY))

FRIDAY_1640 = datetime(2026, 11, 27, 16, 40, tzinfo=UTC)
"""The worried email's hour; Europe/London keeps UTC in November."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="Run what make soak runs too: the rest of long rows.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked slow, unless it is asked for."""
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


def often(steps: Iterable[Any], *, always: Collection[Any]) -> list[Any]:
    """The steps of a long row as parameters: those of ``always`` in every run, the others in make soak."""
    missing = set(always) - set(steps := list(steps))
    assert not missing, missing
    return [step if step in always else _slow(step) for step in steps]


def _slow(step: Any) -> Any:
    return pytest.param(*(step if isinstance(step, tuple) else (step,)), marks=pytest.mark.slow)


class PostgresCluster:
    """A cluster of the tests' own, on a free loopback port, run by a user that is not root (PostgreSQL insists)."""

    def __init__(self, bin_dir: Path, *, fsync: str = "off", also_at: str = "", also_for: str = "") -> None:
        """``also_at`` is an address to listen at beside loopback, ``also_for`` the network that may come in by it."""
        self._bin = bin_dir
        self._folder = Path(tempfile.mkdtemp(prefix="intake-bot-pg-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")))
        self._as_user: dict[str, object] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        data = self._folder / "data"
        self._run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C")
        if also_for:
            with (data / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {also_for} trust\n")
        listening = ",".join(filter(None, ("127.0.0.1", also_at)))
        self._options = (
            f"-p {self._port} -c listen_addresses={listening} -c unix_socket_directories={self._folder} -c fsync={fsync}"
        )  # fmt: skip
        self.resume()
        self._made = 0

    def new_database(self, like: str = "") -> str:
        """The url of a fresh database: empty, or a copy of the one whose url is ``like``."""
        self._made += 1
        name = f"test_{self._made}"
        template = f' TEMPLATE "{like.rpartition("/")[2]}"' if like else ""
        server = f"postgresql://postgres@127.0.0.1:{self._port}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"{template}')
        return f"{server}/{name}"

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it: thousands of them would fill the memory that they are in."""
        server, _, name = url.rpartition("/")
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def resume(self) -> None:
        self._run(
            "pg_ctl", "-D", self._folder / "data", "-l", self._folder / "log", "-o", self._options, "-w", "start"
        )  # fmt: skip

    def halt(self, how: str = "immediate") -> None:
        """As pg_ctl's -m: ``immediate`` is as if the machine had died, ``fast`` sends everybody away first."""
        self._run("pg_ctl", "-D", self._folder / "data", "-m", how, "-w", "stop")

    @property
    def cpu_seconds(self) -> float:
        """Of all its processes that have ended, and of the one that has started them, since the last start (Linux)."""
        pid = (self._folder / "data" / "postmaster.pid").read_text().split()[0]
        spent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
        return sum(map(int, spent)) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.halt()
        # Nobody waits for the end of all those files.
        subprocess.run(["sh", "-c", 'rm -rf "$0" &', str(self._folder)], check=True, stdout=subprocess.DEVNULL)

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(
            [str(self._bin / program), *map(str, arguments)],
            check=True,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            **self._as_user,  # type: ignore[call-overload]
        )


def postgres_binaries() -> Path | None:
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    return next(
        (folder for folder in candidates if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None
    )


@pytest.fixture(scope="session", autouse=True)
def _statements_are_compiled_once() -> Iterator[None]:
    """Lets the databases of all tests share what SQLAlchemy has made of the statements: a new one would make all anew,
    which takes longer than most tests. What they share is the first database's dialect, once it has been connected.
    """
    first: dict[str, Engine] = {}

    def create(url: str, **options: Any) -> Engine:
        engine = sqlalchemy.create_engine(url, **options)
        like = first.get(engine.name)
        if like is None:
            sqlalchemy.event.listen(engine, "engine_connect", lambda _: first.setdefault(engine.name, engine))
        else:
            engine.dialect, engine._compiled_cache = like.dialect, like._compiled_cache
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storage.engine.create_engine", create)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server binaries on this machine")
    if os.geteuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip("PostgreSQL refuses to run as root and there is no postgres user")
    cluster = PostgresCluster(binaries)
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[PostgresCluster | None], str]:
    """The url of an empty database with every migration, by kind: made once, for each test to have a copy of its own."""
    urls: dict[bool, str] = {}

    def url_of(cluster: PostgresCluster | None) -> str:
        if (cluster is None) not in urls:
            path = tmp_path_factory.mktemp("migrated") / "test.db"
            url = cluster.new_database() if cluster is not None else f"sqlite:///{path}"
            database = Database(url)
            schema.upgrade(database)
            database.empty_log()
            database.dispose()
            urls[cluster is None] = url
        return urls[cluster is None]

    return url_of


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(
    request: pytest.FixtureRequest, tmp_path: Path, migrated: Callable[[PostgresCluster | None], str]
) -> Iterator[str]:
    """A fresh database of each kind: empty, unless the test has it with its tables as ``database``."""
    with_tables = "database" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "test.db"
        if with_tables:
            shutil.copyfile(migrated(None).removeprefix("sqlite:///"), path)
        yield f"sqlite:///{path}"
        return
    cluster: PostgresCluster = request.getfixturevalue("postgres")
    url = cluster.new_database(like=migrated(cluster) if with_tables else "")
    yield url
    cluster.drop(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.dispose()


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    keys = KeyStore(Database(f"sqlite:///{tmp_path / 'keys.db'}"), FixedSource("0f" * 32), ahead=16)
    keys.open()
    yield Vault(keys)
    keys.database.dispose()


@pytest.fixture
def practice(vault: Vault):
    from intake_bot.house import make_practice
    from intake_bot.settings import Settings

    return make_practice(Settings.model_validate({"mail": {"address": "lado@elmshire.example"}}), vault)
