"""What the faces read of an index, PostgreSQL gives as SQLite does."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cli.filter.known import known_steps
from state.db.steps import Steps, run_steps
from state.fleet.reading.dialect import text, translated
from state.fleet.reading.index import FleetIndex
from state.query import listing, marks, nearby, projects, resolve, rows, tree
from state.query.choices import similar_steps
from state.query.model import Query
from state.reports.counts import counts_steps
from tests.samples.homes import thread_id
from tests.state.fleet.reading.opened import Opened
from tests.state.query.invented import fill
from tests.support.postgres.cluster import Cluster, Fleet, new_fleet
from tests.support.postgres.copied import put_index

IDS = [thread_id(number) for number in (0, 1, 3, 17, 299, 4000)]
SOME = Query(all_sources=True, attached=True)
READS: dict[str, Callable[[], Steps[Any]]] = {
    "rows": lambda: rows.rows_steps(IDS),
    "no rows": lambda: rows.rows_steps([]),
    "existing": lambda: rows.existing_steps(IDS),
    "flags": lambda: rows.flags_steps(IDS),
    "marks": lambda: marks.marks_steps(IDS),
    "tagged": lambda: marks.tagged_steps("few"),
    "tags": marks.tag_counts_steps,
    "short ids": lambda: listing.short_id_steps(IDS),
    "any": listing.any_steps,
    "counts": lambda: listing.count_steps(SOME),
    "lineage": lambda: listing.count_steps(Query(ancestor_id=thread_id(1))),
    "keys": lambda: keys_steps(SOME),
    "searched": lambda: keys_steps(Query(search="strasse", without=("#1",), models=("gpt-5*",))),
    "prefix": lambda: resolve.resolve_steps(Path("/none"), IDS[0][:20]),
    "name": lambda: resolve.resolve_steps(Path("/none"), "nothing is \0 called so"),
    "position": lambda: resolve.resolve_steps(Path("/none"), "-7"),
    "similar": lambda: similar_steps("model", ["5-codex"]),
    "nearby": lambda: nearby.nearby_steps(Query(folders=("/work/c/none",)), "/", on_disk=False),
    "projects": lambda: projects.project_steps(["/work/c", "C:\\Work\\A", "/tree/x/c"]),
    "similar projects": lambda: projects.similar_projects_steps(["wor"]),
    "project": lambda: projects.project_of_folder_steps("/work/c/sub"),
    "tree": lambda: tree.tree_steps(thread_id(3)),
    "small tree": lambda: tree.tree_steps(thread_id(3), tree.Most(2, 9, 3)),
    "known": known_steps,
    "numbers": lambda: numbers_steps(),
}


def keys_steps(query: Query) -> Steps[list[tuple[int, str]]]:
    """Keys without row ids, which each database has its own of."""
    return [key[:2] for key in (yield from listing.key_steps(query, None, 40))]


def numbers_steps() -> Steps[Any]:
    counts = yield from counts_steps(SOME)
    return counts.projects, counts.tags, counts.statuses


class Both(NamedTuple):
    """An index, and a fleet that has it."""

    local: sqlite3.Connection
    fleet: FleetIndex
    opened: Opened


@pytest.fixture(scope="module")
def both(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    index = tmp_path_factory.mktemp("index") / "index.sqlite3"
    fill(index, 300)
    with closing(sqlite3.connect(index)) as local:
        local.execute(
            "UPDATE threads SET parent_thread_id = (SELECT parent_thread_id FROM"
            " thread_spawn_edges WHERE child_thread_id = id)"
        )
        local.commit()
        with new_fleet(cluster) as fleet, closing(Opened()) as opened:
            fleet.machine("laptop")
            put_index(fleet, "laptop", index)
            yield Both(local, opened.fleet(index, fleet.reader()), opened)


def plain(value: Any) -> Any:
    """A value whose types are compared as well."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {key: plain(each) if key != "inode" else 0 for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return type(value), value


@pytest.mark.parametrize("name", READS)
def test_a_read_gives_the_same(both: Both, name: str) -> None:
    make = READS[name]
    found = both.opened.run(lambda: both.fleet.read(make))
    assert plain(found) == plain(run_steps(make(), both.local))


def test_a_repository_on_this_disk_says_nothing_of_the_folders_of_other_machines(
    both: Both, tmp_path: Path
) -> None:
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    (tmp_path / "clone" / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    folder = tmp_path / "clone" / "sub"
    name = both.opened.run(
        lambda: both.fleet.read(lambda: projects.project_of_folder_steps(str(folder)))
    ).name
    assert name in (str(folder), "sub")
    assert run_steps(projects.project_of_folder_steps(str(folder)), both.local).name == "clone"


def test_a_project_is_found_whatever_its_letters_are_in_lower_case(
    fleet: Fleet, tmp_path: Path
) -> None:
    index, name = tmp_path / "index.sqlite3", "\u0130zmir"  # in lower case two letters
    fill(index, 5)
    with closing(sqlite3.connect(index)) as local:
        folder = [f"/w/{name}"] * 2
        local.execute("UPDATE threads SET cwd = ?, cwd_key = ? WHERE row_id < 3", folder)
        local.commit()
    fleet.machine("laptop")
    put_index(fleet, "laptop", index)
    with closing(Opened()) as opened:
        reading = opened.fleet(index, fleet.reader())
        found = opened.run(lambda: reading.read(lambda: projects.projects_steps([name])))
        assert [*found.chosen([name])] == [f"/w/{name}"]


def test_values_that_postgres_does_not_take_find_what_they_would() -> None:
    assert text("/work\0") == "/work\x01"  # ends a range
    assert text("a\0b") == "a\ufffdb"  # as it is pushed
    assert text(5) == 5


def test_patterns_become_those_of_like() -> None:
    made = translated("SELECT 1 FROM threads t WHERE model GLOB ? AND t.archived % 2 = 1", 7)
    assert made.sql == (
        "SELECT 1 FROM (SELECT * FROM threads WHERE tenant_id = 7) t"
        " WHERE model LIKE %s AND t.archived %% 2 = 1"
    )
    assert made.parameters(["o[[]4]*50%_"], "[]") == ["o[4]%50\\%\\_"]
