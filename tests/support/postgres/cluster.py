"""One PostgreSQL for all tests of a run, started by the first that needs it."""

import fcntl
import itertools
import json
import os
import pwd
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg

from state.fleet.server.admin.logins import add_machine, add_reader
from state.fleet.server.admin.setup import TENANT, initialize
from tests.support.effort import PATIENCE_S

_TEMPLATE: Final = "fleet_template"
_SETTINGS: Final = (
    *("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB"),
    *("max_connections=300", "autovacuum=off", "jit=off", "listen_addresses=127.0.0.1"),
    *("wal_level=minimal", "max_wal_senders=0", "password_encryption=scram-sha-256"),
)
_ROOM: Final = 2 * 1024**3
_ACCESS: Final = "local all,replication all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


def find_binaries() -> Path | None:
    """The folder of PostgreSQL's programs, which ``THREADKEEP_POSTGRES`` may name; None if there is
    none."""
    if chosen := os.environ.get("THREADKEEP_POSTGRES"):
        return Path(chosen)
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: -int(each.parts[-2])
    )
    on_path = shutil.which("initdb")
    folders += [Path(on_path).resolve().parent] if on_path else []
    return next((each for each in folders if (each / "initdb").exists()), None)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server."""

    folder: Path
    """Where its socket is."""
    port: int

    def address(self, database: str, role: str | None = None) -> str:
        """Over the socket, where everybody is trusted; by default as a superuser."""
        return f"host={self.folder} port={self.port} dbname={database} user={role or _user()}"

    def url(self, database: str, role: str) -> str:
        """Over TCP, where a password is asked for."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"


def start(folder: Path, *settings: str) -> Cluster:
    """Start a server whose files are in ``folder``, as somebody who is not root."""
    command = ["-E", "UTF8", "--locale=C.UTF-8", "-A", "trust", "-N", "-D", folder / "data"]
    return _start(folder, [program("initdb"), *map(str, command)], settings)


def start_standby(folder: Path, primary: Cluster, *settings: str) -> Cluster:
    """Start a server that follows another one, which has the same settings."""
    command = ["-R", "-c", "fast", "-N", "-D", folder / "data", "-d", primary.address("postgres")]
    return _start(folder, [program("pg_basebackup"), *map(str, command)], settings)


def program(name: str) -> Path:
    """One of PostgreSQL's programs."""
    binaries = find_binaries()
    assert binaries is not None
    return binaries / name


def _start(folder: Path, making: "list[str | Path]", settings: Sequence[str]) -> Cluster:
    folder.mkdir()
    for each in (folder, folder.parent):
        each.chmod(0o755)  # whoever runs the server must get there
    data, log = folder / "data", folder / "log"
    if os.geteuid() == 0:
        owner = pwd.getpwnam(_user())
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    _as_user(making)
    (data / "pg_hba.conf").write_text(_ACCESS)
    more = " ".join(f"-c {each}" for each in (*_SETTINGS, *settings))
    command: list[str | Path] = [program("pg_ctl"), "-D", data, "-l", log, "-w"]
    command += ["-t", f"{PATIENCE_S:.0f}"]
    while True:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        done = _run_as_user([*command, "-o", f"-p {port} -k {folder} {more}", "start"])
        if not done.returncode:
            return Cluster(folder, port)
        said = log.read_text()
        assert "Address already in use" in said, said  # by another process, since it was free
        log.unlink()


def stop(folder: Path) -> None:
    """Stop the server at once."""
    patience = ("-t", f"{PATIENCE_S:.0f}")
    _as_user([program("pg_ctl"), "-D", folder / "data", "-m", "immediate", *patience, "stop"])


@contextmanager
def shared(folder: Path) -> Iterator[Cluster]:
    """The server in ``folder``, which the first of several processes starts with a fleet in a
    database to copy, and the last one stops."""
    folder.mkdir(exist_ok=True)
    running, users = folder / "running.json", folder / "users"
    with _locked(folder):
        if not running.exists():
            # Not below pytest's folder, which is for nobody but the one who runs it.
            place = tempfile.mkdtemp(prefix="threadkeep-", dir=_in_memory())
            cluster = start(Path(place) / "postgres")
            _stop_with(
                os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid(), cluster
            )
            with psycopg.connect(cluster.address("postgres"), autocommit=True) as admin:
                if admin.info.server_version < 150_000:
                    # As fleet check says: there everybody may create in the schema public.
                    with psycopg.connect(cluster.address("template1")) as template:
                        template.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
                admin.execute(f"CREATE DATABASE {_TEMPLATE}")
            initialize(cluster.address(_TEMPLATE))
            running.write_text(json.dumps([str(cluster.folder), cluster.port]))
        users.write_text(str(int(users.read_text()) + 1 if users.exists() else 1))
        place, port = json.loads(running.read_text())
        cluster = Cluster(Path(place), port)
    try:
        yield cluster
    finally:
        with _locked(folder):
            users.write_text(str(int(users.read_text()) - 1))
            if users.read_text() == "0":
                running.unlink()
                stop(cluster.folder)
                shutil.rmtree(cluster.folder.parent)


def _in_memory() -> Path | None:
    """A folder in memory, if there is room: a database of a fleet is 600 files, and for a disk to
    make and remove those takes longer than most tests."""
    memory = Path("/dev/shm")
    has_room = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
    return memory if has_room else None


def _stop_with(pid: int, cluster: Cluster) -> None:
    """Have the server stopped that a killed run of tests leaves."""
    where, all_of_it = (shlex.quote(str(each)) for each in (cluster.folder, cluster.folder.parent))
    kill = f"head -1 {where}/data/postmaster.pid | xargs -r kill -QUIT; sleep 1; rm -rf {all_of_it}"
    waiting = f"while kill -0 {pid}; do sleep 2; test -e {where} || exit; done"
    subprocess.run(
        ["sh", "-c", f"({waiting}; {kill}) > /dev/null 2>&1 < /dev/null &"],
        start_new_session=True,
        check=True,
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _user() -> str:
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    names = [each.pw_name for each in pwd.getpwall()]
    return "postgres" if "postgres" in names else "nobody"


def _as_user(command: "list[str | Path]") -> None:
    done = _run_as_user(command)
    assert done.returncode == 0, (command, done.stdout)


def _run_as_user(command: "list[str | Path]") -> "subprocess.CompletedProcess[bytes]":
    user = _user() if os.geteuid() == 0 else None
    group = pwd.getpwnam(user).pw_gid if user else None
    extra: list[int] | None = [] if user else None
    return subprocess.run(
        [*map(str, command)],
        user=user,
        group=group,
        extra_groups=extra,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if "initdb" in str(command[0]) else subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        check=False,
    )


_numbers = itertools.count()


@dataclass(slots=True)
class Fleet:
    """A fleet in a database of its own. The names of its logins are those of no other fleet of the
    server."""

    cluster: Cluster
    database: str
    admin: str
    """The address for a superuser."""
    _kept: "psycopg.Connection[Any] | None" = field(default=None, init=False)

    @contextmanager
    def administered(self) -> Iterator["psycopg.Connection[Any]"]:
        """A superuser's connection, in a transaction that is committed in the end. It is kept for
        the next time: one that is new reads of each table what is in the catalogs."""
        if self._kept is not None and not _lives(self._kept):
            self.close()
        if self._kept is None:
            self._kept = psycopg.connect(self.admin, autocommit=True)
        with self._kept.transaction():
            yield self._kept

    def close(self) -> None:
        """Close the connection that is kept."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def machine(
        self, name: str, *, tenant: str = TENANT, user: str = "", reads: bool = False
    ) -> str:
        """Add a machine: its address."""
        role = f"{self.database}_{tenant}_{name}"
        with self.administered() as connection:
            add_machine(
                connection, name, role=role, password=None, tenant=tenant, user=user, reads=reads
            )
        return self.cluster.address(self.database, role)

    def reader(self, name: str = "reader", *, tenant: str = TENANT) -> str:
        """Add a reader: its address."""
        role = f"{self.database}_{tenant}_{name}"
        with self.administered() as connection:
            add_reader(connection, role, password=None, tenant=tenant)
        return self.cluster.address(self.database, role)


def _lives(connection: "psycopg.Connection[Any]") -> bool:
    try:
        connection.execute("SELECT")
    except psycopg.OperationalError:
        return False
    return True


def copy_database(admin: "psycopg.Connection[Any]", source: str, target: str) -> None:
    """Make a database that is a copy of one that nobody is connected to."""
    # Cheaper than by the WAL, and the only way before PostgreSQL 15.
    how = " STRATEGY FILE_COPY" if admin.info.server_version >= 150_000 else ""
    admin.execute(f"CREATE DATABASE {target} TEMPLATE {source}{how}")


@contextmanager
def new_fleet(cluster: Cluster) -> Iterator[Fleet]:
    """A fleet without machines."""
    name = f"f{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(cluster.address("postgres"), autocommit=True) as admin:
        copy_database(admin, _TEMPLATE, name)
        fleet = Fleet(cluster, name, cluster.address(name))
        try:
            yield fleet
        finally:
            fleet.close()
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            for (role,) in admin.execute(
                "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", [f"{name}_"]
            ).fetchall():
                admin.execute(f'DROP ROLE "{role}"')
