"""The folders that a fleet notes find projects as all threads would, and tell nobody of others."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from state.db.steps import run_steps
from state.errors import InvalidQuery
from state.fleet.reading.dialect import translated
from state.fleet.server.operations.prune import Rule, prune
from state.query.model import Query
from state.query.projects import (
    FOLDERS_CALLED,
    MOST_CALLED,
    projects_steps,
    similar_projects_steps,
)
from state.query.rows import Row
from tests.state.fleet.operations.rows import NOW
from tests.state.fleet.reading.opened import Opened
from tests.state.query.invented import fill
from tests.support.postgres.cluster import Fleet
from tests.support.postgres.copied import put_index

PLACES = (
    ("/home/ann/src/api", "git@github.com:acme/Api.git"),
    ("/home/ann/src/api", "https://token@git.example.com:8443/acme/api.git/"),
    ("/home/ann/api/sub", None),
    ("/home/bob/web", "ssh://git@host/web.git"),
    ("/home/bob/web-2", "/srv/git/web.git"),
    ("/home/bob/plain", "file:///srv/git/tool/.git"),
    ("c:/work/api", "C:\\Repos\\Api.git"),
    ("/home/eve/\u00c4pfel", " host:one/two.git "),
    ("/home/eve/a:b", "relative"),
)
"""Folders and origins."""
NAMES = ("api", "Api", "API", "acme/api", "sub", "web", "tool", "two", "a:b", "\u00c4pfel", "ann")
PATHS = ("/home/ann", "/home/ann/src/api", "C:\\Work\\Api", "/home/bob/web-2", "/home/eve/a:b", "/")


@pytest.fixture
def placed(tmp_path: Path) -> Path:
    """An index with a thread of each of the places."""
    index = tmp_path / "index.sqlite3"
    fill(index, len(PLACES))
    with closing(sqlite3.connect(index)) as local:
        for number, (folder, origin) in enumerate(PLACES):
            local.execute(
                "UPDATE threads SET cwd = ?1, cwd_key = ?1, git_origin_url = ?2, created_at_ms ="
                " created_at_ms + ?3 WHERE row_id = (SELECT row_id FROM threads ORDER BY row_id"
                " LIMIT 1 OFFSET ?3)",
                [folder, origin, number],
            )
        local.commit()
    return index


@pytest.fixture
def folders(fleet: Fleet, placed: Path) -> Fleet:
    """A fleet that has it."""
    fleet.machine("laptop")
    put_index(fleet, "laptop", placed)
    return fleet


def test_a_name_chooses_the_folders_that_it_chooses_of_all(folders: Fleet, placed: Path) -> None:
    with closing(Opened()) as opened, closing(sqlite3.connect(placed)) as local:
        index = opened.fleet(placed, folders.reader())
        every = run_steps(projects_steps(), local)
        for name in (*NAMES, *PATHS):
            named = opened.run(lambda name=name: index.read(lambda: projects_steps([name])))  # type: ignore[misc]
            assert named.chosen([name]) == every.chosen([name]), name
            assert named.chosen([name]), name


def test_a_folder_follows_the_newest_of_its_origins(folders: Fleet, placed: Path) -> None:
    where = "WHERE cwd_key = '/home/bob/web'"
    with psycopg.connect(folders.admin) as admin:
        admin.execute(f"UPDATE threadkeep.threads SET git_origin_url = 'host:new.git' {where}")
    with closing(Opened()) as opened:
        index = opened.fleet(placed, folders.reader())
        found = opened.run(lambda: index.read(lambda: projects_steps(["web"])))
        assert found.name("/home/bob/web") == "new"


def test_folders_are_found_from_the_index_on_their_words(folders: Fleet) -> None:
    called = translated(FOLDERS_CALLED, 1)
    reads = "SELECT seq_scan, idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'folders'"
    with psycopg.connect(folders.reader()) as reader:
        reader.execute("SET search_path = pg_catalog, threadkeep_index")
        found = reader.execute(called.sql, called.parameters(['["api"]'], "[]")).fetchall()
        assert {key for (key,) in found} == {
            "/home/ann/src/api",
            "/home/ann/api/sub",
            "c:/work/api",
        }
        assert reader.execute(reads).fetchone() == (0, 1)


def test_a_name_that_too_many_folders_have_is_refused(folders: Fleet, tmp_path: Path) -> None:
    with psycopg.connect(folders.admin) as admin:
        admin.execute(
            "INSERT INTO threadkeep.folders (tenant_id, cwd_key, git_origin_url) SELECT tenant_id,"
            " '/home/ann/task-' || n, '' FROM threadkeep.machines, generate_series(1, %s) n"
            " WHERE name = 'laptop'",
            [MOST_CALLED + 1],
        )
    with closing(Opened()) as opened:
        index = opened.fleet(tmp_path, folders.reader())

        def page(name: str, machine: str | None = None) -> list[Row]:
            query = Query(projects=(name,), machine=machine, all_sources=True)
            return opened.run(lambda: index.page(query)).rows

        with pytest.raises(InvalidQuery, match=r"have ann in their path or origin .* machine"):
            page("ann")
        assert len(page("api")) == 3
        of_machine = page("ann", "laptop")
        assert of_machine
        assert all(row["cwd"].startswith("/home/ann/") for row in of_machine)
        similar = opened.run(lambda: index.read(lambda: similar_projects_steps(["task"])))
        assert similar == []


def test_a_prune_forgets_folders_without_threads(folders: Fleet) -> None:
    with psycopg.connect(folders.admin, autocommit=True) as admin:
        assert len(noted(admin)) == len(PLACES)
        admin.execute("DELETE FROM threadkeep.threads WHERE cwd_key LIKE '/home/bob/%'")
        assert len(noted(admin)) == len(PLACES)
        prune(folders.admin, Rule(NOW.replace(year=1900), None, None, None), lambda _: None)
        assert len(noted(admin)) == len(PLACES) - 3


def noted(admin: "psycopg.Connection[Any]") -> list[tuple[Any, ...]]:
    return admin.execute("SELECT cwd_key, git_origin_url FROM threadkeep.folders").fetchall()


def test_nobody_sees_or_changes_folders_of_others(folders: Fleet) -> None:
    machine = folders.machine("other", tenant="other")
    with psycopg.connect(folders.reader(tenant="other"), autocommit=True) as stranger:
        assert stranger.execute("SELECT * FROM threadkeep_index.folders").fetchall() == []
        called = "SELECT threadkeep.folders_called({}, ARRAY['api'], 9)"
        own = stranger.execute(called.format("threadkeep.my_tenant()")).fetchall()
        assert own == []
        for tenant in ("1", "NULL"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="tenant of the login"):
                stranger.execute(called.format(tenant))
    with psycopg.connect(machine, autocommit=True) as hostile:
        for statement in (
            "SELECT 1 FROM threadkeep.folders",
            "INSERT INTO threadkeep.folders VALUES (1, '', '')",
            "DELETE FROM threadkeep.folders",
            "SELECT threadkeep.folders_called(1, ARRAY['api'], 9)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                hostile.execute(statement)


def test_marks_have_the_times_of_their_threads_whatever_a_machine_says(
    fleet: Fleet, tmp_path: Path
) -> None:
    index = tmp_path / "index.sqlite3"
    fill(index, 40)
    machine = fleet.machine("laptop")
    put_index(fleet, "laptop", index)
    with psycopg.connect(machine, autocommit=True) as hostile:
        own = "tenant_id, machine_id, thread_id"
        put = f"INSERT INTO threadkeep.user_data ({own}, key, set_at_ms, recency_at_ms)"
        made = f"{put} SELECT DISTINCT {own}, 'mine', 1, 1 FROM threadkeep.user_data"
        assert hostile.execute(made).rowcount
    with psycopg.connect(fleet.admin) as admin:
        assert admin.execute(
            "SELECT count(*) FROM threadkeep.user_data u JOIN threadkeep.threads t"
            " ON t.id = u.thread_id AND t.machine_id = u.machine_id AND t.tenant_id = u.tenant_id"
            " WHERE (u.recency_at_ms, u.created_at_ms, u.updated_at_ms, u.facet)"
            " <> (t.recency_at_ms, t.created_at_ms, t.updated_at_ms, t.facet)"
        ).fetchone() == (0,)
