"""``threadkeep fleet status`` and ``fleet prune``: what they say."""

from pathlib import Path

import psycopg
import pytest

from cli.fleet.config import VARIABLE
from tests.state.fleet.operations.rows import counts, put_thread
from tests.support.command import Cli, Inside
from tests.support.postgres.cluster import Fleet


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command without a home."""
    return Inside(tmp_path / "home", tmp_path)


def test_status_and_prune(fleet: Fleet, cli: Cli) -> None:
    env = {VARIABLE: fleet.admin}
    fleet.machine("laptop", user="ada")
    with psycopg.connect(fleet.admin, autocommit=True) as admin:
        put_thread(admin, "laptop", created=90, updated=50)
        put_thread(admin, "laptop", created=5, updated=5)
        status = cli.run("fleet", "status", env=env, status=1)
        assert f"Fleet {fleet.database}: PostgreSQL " in status.out
        assert "laptop" in status.out
        assert "Slowest queries: unknown" in status.out
        assert "has never pushed" not in status.out
        admin.execute("UPDATE threadkeep.machines SET created_at = now() - interval '8 days'")
        status = cli.run("fleet", "status", env=env, status=1)
        assert "default/laptop has never pushed." in status.out
        told = cli.run("fleet", "status", "--json", env=env, status=1).json
        assert [each["name"] for each in told["machines"]] == ["laptop"]
        assert told["slowestQueries"] is None

        old = ["fleet", "prune", "--older-than", "40d"]
        assert "there is no terminal to ask" in cli.run(*old, env=env, status=2).err
        would = cli.run(*old, "--dry-run", env=env).err
        assert would == (
            "Would be removed from the fleet: 1 thread, 1 document, 1 rollout (100B)."
            " Nothing was changed.\n"
        )
        would = cli.run(*old, "--level", "text", "--dry-run", env=env).err
        assert would == (
            "Would be removed from the fleet: 1 document, 1 rollout (100B) of 1 thread, which stay"
            " in lists. Nothing was changed.\n"
        )
        raw = cli.run(*old, "--level", "raw", "--yes", "--json", env=env).json
        assert (raw["threads"], raw["documents"], raw["rollouts"]) == (1, 0, 1)
        assert cli.run(*old, "--yes", env=env).err == (
            "Removed from the fleet: 1 thread, 1 document, 0 rollouts (0B); whole partitions: 1.\n"
        )
        assert "There is nothing to remove." in cli.run(*old, "--yes", env=env).err
        assert counts(admin)["threads"] == 1
        unknown = cli.run(*old, "--machine", "desktop", "--yes", env=env, status=3).err
        assert unknown.startswith("threadkeep: the fleet has no machine desktop\n")
        assert "give text or raw" in cli.run(*old, "--level", "metadata", env=env, status=2).err


def test_status_names_readers_and_who_is_revoked(fleet: Fleet, cli: Cli) -> None:
    assert "\nReaders: none\n" in cli.run("fleet", "status", fleet.admin, status=1).out
    for name in ("laptop", "desktop"):
        fleet.machine(name)
    for name in ("dash", "gone"):
        fleet.reader(name, tenant="lab")
    named = f"lab/{fleet.database}_lab"
    revoke = ("reader", "revoke", f"{fleet.database}_lab_gone", "--tenant", "lab")
    for words in (("machine", "revoke", "desktop"), revoke):
        cli.run("fleet", *words, fleet.admin)
    out = cli.run("fleet", "status", fleet.admin, status=1).out
    assert f"\nReaders: {named}_dash\n" in out
    assert "\nRevoked machines: default/desktop\n" in out
    assert f"\nRevoked readers: {named}_gone\n" in out
    told = cli.run("fleet", "status", "--json", fleet.admin, status=1).json["readers"]
    assert [each["revokedAt"] is None for each in told] == [True, False]


def test_status_cuts_no_name_for_the_sake_of_a_version(fleet: Fleet, cli: Cli) -> None:
    fleet.machine("build-server-one", user="Ada Lovelace")
    fleet.machine("laptop", user="Grace Hopper")
    with psycopg.connect(fleet.admin, autocommit=True) as admin:
        admin.execute(
            "UPDATE threadkeep.machines SET pushed_at = now() - interval '50 minutes',"
            " level = 'metadata', version = '0.19.0.post1+long'"
        )
    out = cli.run("fleet", "status", fleet.admin, status=1).out
    for text in ("build-server-one", "Ada Lovelace", "Grace Hopper", "metadata"):
        assert text in out
