"""What goes wrong with a connection, and what it is called."""

import asyncio
import math
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from cli.errors import outcome
from state import errors
from state.fleet.reading.database import open_fleet_database
from state.fleet.server import connect, schema
from state.fleet.server.admin import setup
from state.fleet.server.admin.logins import MACHINE, let_in, revoke
from state.fleet.server.connect import Login, connected, log_in
from state.fleet.server.failures import failure
from tests.support.postgres.cluster import Cluster, Fleet


def logged_in(address: str, *statements: str) -> Login:
    """Who is logged in at ``address``, after some statements."""

    async def work() -> Login:
        async with connected(address) as connection:
            for statement in statements:
                await connection.execute(statement)
            return await log_in(connection)

    return asyncio.run(work())


def administer(address: str, *statements: str) -> None:
    """Run statements as a superuser."""
    with psycopg.connect(address, autocommit=True) as admin:
        for statement in statements:
            admin.execute(statement)


def test_a_login_knows_its_tenant_and_machine(fleet: Fleet) -> None:
    assert logged_in(fleet.machine("one"))[:2] == (1, 1)
    assert logged_in(fleet.machine("two"))[:2] == (1, 2)
    assert logged_in(fleet.reader())[:2] == (1, None)
    assert logged_in(fleet.reader(tenant="other"))[0] != 1


@pytest.mark.parametrize(
    ("address", "kind", "says"),
    [
        ("host=127.0.0.1 port=1", errors.FleetUnavailable, "Connection refused"),
        ("host=/nowhere", errors.FleetUnavailable, "No such file"),
        ("host=nowhere.invalid", errors.FleetUnavailable, "nowhere.invalid"),
        ("postgresql://[::1", errors.FleetAddressInvalid, "is invalid"),
        ("sqlite:///x", errors.FleetAddressInvalid, "is invalid"),
        ("host=h colour=red", errors.FleetAddressInvalid, "colour"),
        ("host=127.0.0.1 port=x", errors.FleetAddressInvalid, "x"),
        ("host=127.0.0.1 sslmode=perhaps", errors.FleetAddressInvalid, "perhaps"),
        ("service=none-of-this-name", errors.FleetAddressInvalid, "none-of-this-name"),
    ],
)
def test_what_leads_to_no_server(address: str, kind: type[Exception], says: str) -> None:
    with pytest.raises(errors.FleetError, match=says) as caught:
        logged_in(address)
    assert type(caught.value) is kind, caught.value


def test_who_is_not_let_in(fleet: Fleet) -> None:
    name = f"{fleet.database}_one"
    login = let_in(fleet.admin, MACHINE, "one", role=name)
    url = fleet.cluster.url(fleet.database, name)
    right = f"{url}?password={login.password}"
    assert logged_in(right)[:2] == (1, 1)
    for wrong in (f"{url}?password=wrong", f"{url}?passfile=/nowhere"):
        with pytest.raises(errors.FleetLoginRefused, match="password") as caught:
            logged_in(wrong)
        assert type(caught.value) is errors.FleetLoginRefused
    with pytest.raises(errors.FleetLoginRefused, match="nobody"):
        logged_in(fleet.cluster.address(fleet.database, "nobody_of_this_name"))
    with pytest.raises(errors.FleetDatabaseMissing, match='"gone"'):
        logged_in(fleet.cluster.url("gone", name) + f"?password={login.password}")
    administer(fleet.admin, f'ALTER ROLE "{name}" CONNECTION LIMIT 0')
    with pytest.raises(errors.FleetBusy, match="too many connections"):
        logged_in(right)
    assert revoke(fleet.admin, MACHINE, "one") == 0
    with pytest.raises(errors.FleetLoginRevoked, match="not permitted to log in"):
        logged_in(right)


def test_who_is_let_in_and_is_nobody_here(fleet: Fleet) -> None:
    name = f"{fleet.database}_stranger"
    administer(fleet.admin, f'CREATE ROLE "{name}" LOGIN')
    with pytest.raises(errors.FleetLoginUnknown, match=name):
        logged_in(fleet.cluster.address(fleet.database, name))
    administer(fleet.admin, f'GRANT threadkeep_machine TO "{name}"')
    with pytest.raises(errors.FleetLoginUnknown, match=name):
        logged_in(fleet.cluster.address(fleet.database, name))
    with pytest.raises(errors.FleetMissing, match="postgres"):
        logged_in(fleet.cluster.address("postgres", name))


def test_a_machine_that_was_not_let_read_is_told_so(fleet: Fleet, tmp_path: Path) -> None:
    async def read(address: str) -> int:
        async with open_fleet_database(tmp_path / "index", address) as database:
            return database.scope.tenant_id

    name = f"{fleet.database}_default_one"
    with pytest.raises(errors.FleetNotReadable, match=f"^{name} may push into the fleet"):
        asyncio.run(read(fleet.machine("one")))
    assert asyncio.run(read(fleet.machine("two", reads=True))) == 1


def test_an_open_connection_of_a_revoked_machine_is_nobodys(fleet: Fleet) -> None:
    async def work() -> None:
        async with connected(fleet.machine("one")) as connection:
            assert (await log_in(connection)).machine_id == 1
            administer(fleet.admin, "UPDATE threadkeep.logins SET revoked_at = now()")
            await log_in(connection)

    with pytest.raises(errors.FleetLoginUnknown):
        asyncio.run(work())


def test_tables_of_another_version_are_refused(fleet: Fleet) -> None:
    machine, reader = fleet.machine("one"), fleet.reader()
    for version, kind in (("f0000", errors.FleetTooOld), ("f9999", errors.FleetTooNew)):
        administer(fleet.admin, f"UPDATE threadkeep.fleet_version SET version_num = '{version}'")
        for address in (machine, reader):
            with pytest.raises(kind, match=version):
                logged_in(address)
        with pytest.raises(kind):
            let_in(fleet.admin, MACHINE, "two")
    for work in (setup.initialize, setup.upgrade):
        with pytest.raises(errors.FleetTooNew, match=schema.HEAD):
            work(fleet.admin)


def test_an_old_server_is_refused(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "OLDEST", 99)
    with pytest.raises(errors.PostgresTooOld, match="99 or newer"):
        logged_in(fleet.machine("one"))
    with pytest.raises(errors.PostgresTooOld):
        setup.initialize(fleet.admin)


@contextmanager
def database(cluster: Cluster, name: str, options: str = "") -> Iterator[str]:
    """A database that holds nothing: its address."""
    administer(cluster.address("postgres"), f"CREATE DATABASE {name} {options}")
    yield cluster.address(name)
    administer(cluster.address("postgres"), f"DROP DATABASE {name} WITH (FORCE)")


def holds_nothing(address: str) -> bool:
    with psycopg.connect(address) as admin:
        ours = "SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, 'threadkeep')"
        return admin.execute(ours).fetchone() == (0,)


def test_a_database_that_cannot_hold_a_fleet_is_left_as_it_is(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    latin = "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
    with database(cluster, "fleet_latin", latin) as address:
        with pytest.raises(errors.FleetEncoding, match="LATIN1"):
            setup.initialize(address)
        assert holds_nothing(address)
    with database(cluster, "fleet_bare") as address:
        monkeypatch.setattr(setup, "EXTENSION", "not_on_this_server")
        with pytest.raises(errors.FleetExtensionMissing, match="not_on_this_server"):
            setup.initialize(address)
        assert holds_nothing(address)


def test_a_server_that_only_reads_takes_nothing(fleet: Fleet) -> None:
    machine = fleet.machine("one")
    change = "UPDATE threadkeep.machines SET pending = 1"
    assert logged_in(machine, change)
    administer(
        fleet.admin, f"ALTER DATABASE {fleet.database} SET default_transaction_read_only = on"
    )
    assert logged_in(machine)
    with pytest.raises(errors.FleetReadOnly, match="read-only"):
        logged_in(machine, change)
    with pytest.raises(errors.FleetReadOnly):
        logged_in(f"{machine} target_session_attrs=read-write")
    with pytest.raises(errors.FleetReadOnly):
        let_in(fleet.admin, MACHINE, "two", role=f"{fleet.database}_two")


def test_a_connection_that_an_administrator_ends_is_lost(fleet: Fleet) -> None:
    async def work() -> None:
        async with connected(fleet.machine("one")) as connection:
            end = f"SELECT pg_terminate_backend({connection.info.backend_pid}, 10000)"
            administer(fleet.admin, end)
            await connection.execute("SELECT 1")

    with pytest.raises(errors.FleetLost):
        asyncio.run(work())


@contextmanager
def broken_line(cluster: Cluster, after: int) -> Iterator[int]:
    """A port that leads to the server until that has answered with so many bytes."""

    def pump(source: socket.socket, target: socket.socket, limit: float) -> None:
        passed = 0
        with suppress(OSError):
            while passed < limit and (some := source.recv(65536)):
                passed += len(some)
                target.sendall(some)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def carry() -> None:
        with suppress(OSError):  # the end of the test
            while True:
                near, _ = listening.accept()
                with near, socket.create_connection(("127.0.0.1", cluster.port)) as far:
                    there = threading.Thread(target=pump, args=(near, far, math.inf))
                    there.start()
                    pump(far, near, after)
                    there.join()

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        worker = threading.Thread(target=carry)
        worker.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        worker.join()


@pytest.mark.parametrize(
    ("after", "kind"), [(2, errors.FleetUnavailable), (3000, errors.FleetLost)]
)
def test_a_line_that_breaks(fleet: Fleet, after: int, kind: type[Exception]) -> None:
    name = f"{fleet.database}_one"
    login = let_in(fleet.admin, MACHINE, "one", role=name)
    with broken_line(fleet.cluster, after) as port:
        # In the clear, so that as many bytes come each time.
        address = f"host=127.0.0.1 port={port} dbname={fleet.database} user={name} sslmode=disable"
        with pytest.raises(errors.FleetError) as caught:
            logged_in(
                f"{address} password={login.password}",
                "SELECT repeat('x', 10000) FROM generate_series(1, 1000)",
            )
    assert type(caught.value) is kind, caught.value


def test_a_server_that_never_answers_is_not_waited_for(fleet: Fleet) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(errors.FleetUnavailable, match="timeout"):
            logged_in(f"host=127.0.0.1 port={port} connect_timeout=2")


def test_a_server_that_falls_silent_is_lost(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_SILENCE_S", 0.2)
    with pytest.raises(errors.FleetLost, match="no answer for"):
        logged_in(fleet.machine("one"), "SELECT pg_sleep(100)")


def test_the_first_of_several_servers_that_works_is_taken(fleet: Fleet) -> None:
    address = fleet.machine("one")
    hosts = f"host=127.0.0.1,{fleet.cluster.folder} port=1,{fleet.cluster.port}"
    rest = address.partition(" dbname=")[2]
    assert logged_in(f"{hosts} dbname={rest} target_session_attrs=read-write")[:2] == (1, 1)


def test_nothing_but_the_error_tells_of_a_connection_that_is_lost(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with connected(fleet.admin) as connection, connection.pipeline():
            ended = await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            await ended.fetchone()

    with pytest.raises(errors.FleetLost):
        asyncio.run(work())
    assert not caplog.records


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.errors.DiskFull("could not extend file"), errors.FleetFull),
        (psycopg.errors.DeadlockDetected("deadlock detected"), errors.FleetBusy),
        (psycopg.errors.LockNotAvailable("canceling statement"), errors.FleetHeld),
        (psycopg.errors.TooManyConnections("too many clients"), errors.FleetBusy),
        (
            psycopg.errors.IdleInTransactionSessionTimeout("terminating connection"),
            errors.FleetLost,
        ),
        (psycopg.errors.CrashShutdown("terminating connection"), errors.FleetLost),
        (psycopg.OperationalError("the connection is lost"), errors.FleetLost),
        (
            psycopg.OperationalError(
                'connection failed: connection to server at "h", port 1 failed: FATAL:  the'
                " database system is starting up"
            ),
            errors.FleetUnavailable,
        ),
    ],
)
def test_what_is_hard_to_bring_about(error: psycopg.Error, kind: type[Exception]) -> None:
    assert type(failure(error)) is kind


def test_an_error_of_our_own_stays_what_it_is(fleet: Fleet) -> None:
    raising: list[tuple[Callable[[], object], type[errors.FleetError]]] = [
        (lambda: logged_in(fleet.reader(), "SELECT 1 / 0"), errors.FleetFailed),
        (
            lambda: logged_in(fleet.reader("two"), "SELECT * FROM threadkeep.threads"),
            errors.FleetDenied,
        ),
        (
            lambda: logged_in(
                fleet.reader("three"), "SET statement_timeout = 1", "SELECT pg_sleep(9)"
            ),
            errors.FleetBusy,
        ),
    ]
    for work, kind in raising:
        with pytest.raises(kind) as caught:
            work()
        assert type(caught.value) is kind


def test_without_the_driver_each_command_says_what_to_install(tmp_path: Path) -> None:
    commands = (
        ["fleet", "check"],
        ["fleet", "machine", "add", "x"],
        ["fleet", "status"],
        ["push"],
        ["list", "--fleet"],
        ["web", "--fleet", "--port", "0"],
    )
    program = (
        "import sys\n"
        "sys.modules['psycopg'] = None\n"
        "from cli.main import main\n"
        f"for words in {commands}:\n"
        "    sys.argv[1:] = words\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as end:\n"
        "        assert end.code == 3, (words, end.code)"
    )
    (tmp_path / "sessions").mkdir()
    environment = {
        "CODEX_HOME": str(tmp_path),
        "HOME": str(tmp_path),
        "THREADKEEP_FLEET": "host=127.0.0.1 port=1",
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stderr.splitlines()
    assert said[::2] == ["threadkeep: fleets need psycopg, which is not installed"] * len(commands)
    assert {*said[1::2]} <= {f"  {outcome(errors.FleetDriverMissing()).hint}"}
