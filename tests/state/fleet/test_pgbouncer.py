"""A fleet behind PgBouncer, which gives each transaction the next connection that is free: nothing
may need what an earlier transaction has left in one, or leave anything there."""

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from state.errors import FleetBusy
from state.fleet.push.batch import Content
from state.fleet.push.push import Pushed, PushOptions, push
from state.fleet.push.raw import RawContent
from state.fleet.push.text import TextContent
from state.fleet.reading.index import open_fleet
from state.fleet.server.admin import setup
from state.fleet.server.admin.check import check_fleet
from state.fleet.server.admin.logins import MACHINE, READER, let_in, revoke
from state.query.model import Query
from state.thread_index import ThreadIndex
from tests.samples.homes import thread_id, write
from tests.support.indexes import in_index, sync
from tests.support.postgres.cluster import Cluster

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
CONFIG = """
[databases]
* = host={socket} port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 1
query_wait_timeout = 1
logfile = {folder}/log
pidfile = {folder}/pid
"""


_LEFT = (
    "SELECT (SELECT count(*) FROM pg_prepared_statements),"
    " (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),"
    " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),"
    " (SELECT count(*) FROM pg_listening_channels()),"
    " (SELECT string_agg(name, ' ') FROM pg_settings WHERE source = 'session' AND name <> ALL(%s))"
)
_OF_PGBOUNCER = ["application_name", "client_encoding", "DateStyle", "TimeZone"]
"""Settings that it keeps for each client."""
ROLES = ("bouncing_machine", "bouncing_reader")


@pytest.fixture
def bouncer(cluster: Cluster) -> Iterator[str]:
    """A PgBouncer with one connection for each user: the address of an empty database, without the
    user."""
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed: apt-get install pgbouncer")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    superuser = superuser_of(cluster)
    with tempfile.TemporaryDirectory(prefix="threadkeep-") as name:
        folder = Path(name)
        config = {"socket": cluster.folder, "server_port": cluster.port, "port": port}
        (folder / "config").write_text(CONFIG.format(**config, folder=folder))
        (folder / "users").write_text("".join(f'"{each}" ""\n' for each in (superuser, *ROLES)))
        user = superuser if os.geteuid() == 0 else None  # it refuses to be root
        if user is not None:
            for path in (folder, *folder.iterdir()):
                os.chown(path, pwd.getpwnam(user).pw_uid, -1)
        database = "fleet_behind_pgbouncer"
        with psycopg.connect(cluster.address("postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {database}")
            try:
                with subprocess.Popen(
                    [PROGRAM, "-q", folder / "config"], user=user, cwd="/"
                ) as run:
                    while not listens(port) and run.poll() is None:
                        time.sleep(0.01)
                    yield f"host=127.0.0.1 port={port} dbname={database} user="
                    run.terminate()
            finally:
                admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
                for role in ROLES:
                    admin.execute(f"DROP ROLE IF EXISTS {role}")


def started(folder: Path, user: str | None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([str(PROGRAM), "-q", folder / "config"], user=user, cwd="/")


def superuser_of(cluster: Cluster) -> str:
    return cluster.address("postgres").rpartition("user=")[2]


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def left_by(address: str) -> tuple[object, ...] | None:
    """What is left of earlier transactions in the connection that the next one gets."""
    with psycopg.connect(address, prepare_threshold=None, autocommit=True) as connection:
        return connection.execute(_LEFT, [_OF_PGBOUNCER]).fetchone()


def test_all_of_a_fleet_works_behind_pgbouncer(
    bouncer: str, cluster: Cluster, home: Path, index_path: Path
) -> None:
    admin, machine, reader = (f"{bouncer}{who}" for who in (superuser_of(cluster), *ROLES))
    setup.initialize(admin)
    let_in(admin, MACHINE, "one", role=ROLES[0])
    let_in(admin, READER, ROLES[1])
    assert check_fleet(admin).clean
    for number in range(3):
        write(home, number)
    sync(home, index_path)

    async def send(index: ThreadIndex) -> Pushed:
        contents: list[Content] = [TextContent(index, str), RawContent(index)]
        return await push(index, machine, PushOptions(level="raw", contents=contents))

    assert in_index(home, index_path, send).threads == 3

    async def pages() -> list[list[str]]:
        """Read by two connections in turn, each of which gets the one that there is."""
        async with (
            open_fleet(home, index_path, reader) as one,
            open_fleet(home, index_path, reader) as other,
        ):
            found = await asyncio.gather(*(each.page(Query()) for each in (one, other) * 3))
            return [[row["id"] for row in page.rows] for page in found]

    assert asyncio.run(pages()) == [[thread_id(number) for number in (2, 1, 0)]] * 6
    write(home, 1).unlink()
    sync(home, index_path)
    assert in_index(home, index_path, send).deleted == 1
    for address in (admin, machine, reader):
        assert left_by(address) == (0, 0, 0, 0, None), address
    assert check_fleet(admin).clean
    revoke(admin, MACHINE, "one")
    with pytest.raises(FleetBusy):  # it waits for a login that works
        in_index(home, index_path, send)
