"""``threadkeep fleet init``, ``upgrade``, ``check``, ``machine`` and ``reader``: what they say."""

import itertools
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli.fleet.config import VARIABLE
from state.fleet.server import schema
from tests.support.command import Cli, Inside
from tests.support.postgres.cluster import Cluster, Fleet, new_fleet

_numbers = itertools.count()


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[str]:
    """The name of an empty database."""
    name = f"e{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(cluster.address("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield name
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def fleet(cluster: Cluster) -> Iterator[Fleet]:
    """One for all: each test makes logins of other names."""
    with new_fleet(cluster) as made:
        yield made


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command without a home."""
    return Inside(tmp_path / "home", tmp_path)


def test_a_fleet_is_set_up_once(cluster: Cluster, empty: str, cli: Cli) -> None:
    env = {VARIABLE: cluster.address(empty)}
    first = cli.run("fleet", "init", env=env).err.splitlines()
    assert first[0].startswith(f"Set up a fleet in {empty} (PostgreSQL ")
    assert first[1] == "To let a machine push: threadkeep fleet machine add NAME"
    again = cli.run("fleet", "init", "--json", env=env).json
    assert again["schemaBefore"] == again["schema"] == schema.HEAD
    assert cli.run("fleet", "upgrade", env=env).err.endswith("is up to date.\n")
    with psycopg.connect(cluster.address(empty)) as admin:
        partition = (
            "SELECT max(relname) FROM pg_class"
            " WHERE relname ~ '^documents_[0-9_]+$' AND relkind IN ('r', 'p')"
        )
        ((name,),) = admin.execute(partition).fetchall()
        admin.execute(f"DROP TABLE threadkeep.{name}")
    assert "is up to date. Made 1 monthly partition." in cli.run("fleet", "upgrade", env=env).err
    given = cli.run("fleet", "init", env["THREADKEEP_FLEET"]).err.splitlines()[1]
    assert given.endswith(f"machine add NAME {shlex.quote(env['THREADKEEP_FLEET'])}")
    assert cli.run("fleet", "check", env=env).err == "No problems found.\n"
    with psycopg.connect(cluster.address(empty)) as admin:
        may = (
            "SELECT has_database_privilege(rolname, current_database(), 'TEMPORARY') FROM pg_roles"
        )
        ours = (
            f"{may} WHERE rolname IN ('threadkeep_machine', 'threadkeep_reader') ORDER BY rolname"
        )
        assert admin.execute(ours).fetchall() == [(True,), (False,)]


def test_a_migration_that_fails_leaves_nothing(cluster: Cluster, empty: str, cli: Cli) -> None:
    address = cluster.address(empty)
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute("CREATE SCHEMA threadkeep_index")
    error = cli.run("fleet", "init", address, "--json", status=7).json["error"]
    assert error["kind"] == "fleet_failed"
    assert 'schema "threadkeep_index" already exists' in error["message"]
    with psycopg.connect(address) as admin:
        ours = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'threadkeep')"
        assert admin.execute(ours).fetchall() == [("threadkeep_index",)]


def test_what_is_no_fleet_is_neither_upgraded_nor_checked(
    cluster: Cluster, empty: str, cli: Cli
) -> None:
    url = cluster.address(empty)
    for words in (
        ["upgrade", url],
        ["check", url],
        ["machine", "add", "laptop", url],
        ["machine", "revoke", "laptop", url],
        ["reader", "add", "bob", url],
    ):
        error = cli.run("fleet", *words, status=3).err
        assert error.startswith(f"threadkeep: the database {empty} holds no fleet\n")
        assert "threadkeep fleet init" in error


def test_a_machine_gets_in_with_the_line_it_is_given(fleet: Fleet, cli: Cli) -> None:
    name = f"{fleet.database}_laptop"
    ran = cli.run("fleet", "machine", "add", name, "--user", "alice", fleet.admin)
    (line,) = ran.lines
    _, port, database, role, password = line.split(":")
    assert (int(port), database, role) == (fleet.cluster.port, fleet.database, name)
    assert password not in ran.err
    assert "Add this line (on standard output) to ~/.pgpass" in ran.err
    with psycopg.connect(fleet.cluster.url(database, role), password=password) as machine:
        found = machine.execute(
            "SELECT threadkeep.my_tenant(), name, user_name FROM threadkeep.machines"
            " WHERE machine_id = threadkeep.my_machine()"
        ).fetchall()
        assert found == [(1, name, "alice")]
        for bound in ("lock_timeout", "idle_in_transaction_session_timeout"):
            assert machine.execute(f"SHOW {bound}").fetchone() == ("1min",)
    error = cli.run("fleet", "machine", "add", name, fleet.admin, status=2).err
    assert f"there is already a machine {name}" in error


def test_a_revoked_machine_is_out_until_it_is_added_again(fleet: Fleet, cli: Cli) -> None:
    name = f"{fleet.database}_desktop"
    added = cli.run("fleet", "machine", "add", name, "--json", fleet.admin).json
    url = fleet.cluster.url(fleet.database, name)
    with psycopg.connect(url, password=added["password"]) as machine:
        # What it has locked keeps nobody from ending it.
        machine.execute("UPDATE threadkeep.machines SET sequence = 1")
        machine.execute("ALTER ROLE CURRENT_USER PASSWORD 'x'")
        revoked = cli.run("fleet", "machine", "revoke", name, "--json", fleet.admin).json
        assert revoked["ended"] == 1
        with pytest.raises(psycopg.OperationalError):
            machine.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(url, password=added["password"])
    assert cli.run("fleet", "check", fleet.admin).status == 0
    assert cli.run("fleet", "machine", "revoke", name, fleet.admin).err.endswith("is revoked.\n")
    again = cli.run("fleet", "machine", "add", name, "--reads", "--json", fleet.admin).json
    assert again["password"] != added["password"]
    with psycopg.connect(url, password=again["password"]) as machine:
        seen = machine.execute("SELECT name FROM threadkeep_index.machines").fetchall()
        assert (name,) in seen
    assert cli.run("fleet", "check", fleet.admin).status == 0


def test_a_reader_comes_and_goes(fleet: Fleet, cli: Cli) -> None:
    name = f"{fleet.database}_bob"
    added = cli.run("fleet", "reader", "add", name, "--tenant", "lab", "--json", fleet.admin).json
    assert (added["kind"], added["tenant"], added["reads"]) == ("reader", "lab", True)
    url = fleet.cluster.url(fleet.database, name)
    with psycopg.connect(url, password=added["password"]) as reader:
        assert reader.execute("SELECT count(*) FROM threadkeep_index.threads").fetchone() == (0,)
    error = cli.run("fleet", "reader", "revoke", name, fleet.admin, status=3).err
    assert f"the fleet has no reader {name}" in error  # in the tenant default
    cli.run("fleet", "reader", "revoke", name, "--tenant", "lab", fleet.admin)
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(url, password=added["password"])


@pytest.mark.parametrize(
    ("name", "says"), [(" ", "is blank"), ("x" * 64, "more than 63"), ("pg_x", "is reserved")]
)
def test_names_that_nothing_can_have_are_refused(
    name: str, says: str, fleet: Fleet, cli: Cli
) -> None:
    for kind in ("machine", "reader"):
        assert says in cli.run("fleet", kind, "add", name, fleet.admin, status=2).err


def test_a_name_that_another_user_has_is_refused(fleet: Fleet, cli: Cli) -> None:
    fleet.machine("taken")
    taken = f"{fleet.database}_default_taken"
    error = cli.run("fleet", "reader", "add", taken, fleet.admin, status=2).err
    assert f"there is already a PostgreSQL user {taken}" in error


def test_a_login_without_a_password_has_none(fleet: Fleet, cli: Cli) -> None:
    name = f"{fleet.database}_build"
    ran = cli.run("fleet", "machine", "add", name, "--no-password", fleet.admin)
    assert ran.out == ""
    with psycopg.connect(fleet.admin) as admin:
        stored = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [name])
        assert stored.fetchone() == (None,)


def test_only_administrators_administer(fleet: Fleet, cli: Cli) -> None:
    machine, reader = fleet.machine("one"), fleet.reader()
    for url in (machine, reader):
        for words in (
            ["init", url],
            ["machine", "add", f"{fleet.database}_two", url],
            ["machine", "revoke", "one", url],
            ["reader", "add", f"{fleet.database}_three", url],
        ):
            ran = cli.run("fleet", *words, "--json", status=7)
            assert ran.json["error"]["kind"] == "fleet_denied", words
        assert "threadkeep fleet status postgresql://ADMINISTRATOR@" in ran.json["error"]["hint"]


def test_an_older_line_of_a_login_is_named(fleet: Fleet, cli: Cli) -> None:
    name = f"{fleet.database}_again"
    cli.run("fleet", "machine", "add", name, fleet.admin)
    url = fleet.cluster.url(fleet.database, name)
    ran = cli.run("fleet", "status", url, "--json", env={"PGPASSWORD": "older"}, status=7)
    assert "remove the older line of this user" in ran.json["error"]["hint"]


def test_a_machine_that_only_pushes_is_told_how_it_may_read(fleet: Fleet, cli: Cli) -> None:
    address = fleet.machine("writer")
    for words in (["list"], ["search", "x"]):
        error = cli.run(*words, "--fleet", address, status=7).err
        assert "writer may push into the fleet, and may not read it\n" in error
        assert "machine add NAME --reads" in error


def test_who_is_unknown_to_postgres_is_told_how_to_become_known(fleet: Fleet, cli: Cli) -> None:
    address = fleet.cluster.address(fleet.database, "nobody_of_this_name")
    error = cli.run("fleet", "check", address, "--json", status=7).json["error"]
    assert error["kind"] == "fleet_login_refused"
    assert "createuser --createdb --createrole" in error["hint"]


def test_the_address_is_configured_or_given_without_a_password(cli: Cli, tmp_path: Path) -> None:
    error = cli.run("fleet", "check", status=2).err
    assert error.startswith("threadkeep: no fleet is named\n")
    for url in (
        "postgresql://me:secret@host/db",
        "postgresql://host/db?password=secret",
        "host=host password = secret",
        "dbname=postgresql://me:secret@host/db",
        "host=host dbname='postgres://host/db?sslpassword=secret'",
        "postgresql://host/db?dbname=postgresql%3A%2F%2Fme%3Asecret%40host%2Fdb",
        "postgresql://host/db?%70assword=secret",
        "postgresql://:secret@host/db",
        "postgresql://me:secret%2F1@host/db",
        "postgresql://host:1,host:2/db?dbname=postgresql://me:secret@host/db",
    ):
        error = cli.run("fleet", "check", url, status=2).err
        assert "has a password in it" in error
        assert "secret" not in error
    for url in (
        "postgresql://me@127.0.0.1:1,127.0.0.1:1/a:b@c",
        "host=127.0.0.1 port=1 user=a:b@c",
    ):
        cli.run("fleet", "check", url, status=5)
    config = tmp_path / "config" / "threadkeep" / "fleet.toml"
    config.parent.mkdir(parents=True)
    config.write_text('url = "postgresql://127.0.0.1:1/db"\n')
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    error = cli.run("fleet", "check", "--json", status=5, env=env).json["error"]
    assert error["kind"] == "fleet_unavailable"
    config.write_text("url = \n")
    assert str(config) in cli.run("fleet", "check", status=2, env=env).err
