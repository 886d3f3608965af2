"""Two spellings of one folder are one, wherever folders are compared."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.thread_index import open_index
from state.userdata.folders import clean_folder, cwd_key, moved_to, origins, shown_folder
from state.userdata.relink import aliases
from tests import FIXTURES
from tests.samples.homes import encoded, lines, thread_id, write
from tests.support.command import Cli, Inside

POSIX = ("/w/demo", "/w/./demo", "/w/x/../demo", "/w//demo", "//w/demo", "/w/demo/", "/w/demo/.//")
DRIVE = (
    *(
        "C:\\w\\Demo",
        "c:\\w\\demo",
        "C:/w/Demo",
        "c:/w/demo/",
        "C:\\w\\\\demo\\",
        "C:\\W\\x\\..\\demo",
    ),
    *(
        "\\\\?\\C:\\w\\demo",
        "\\\\.\\c:\\w\\demo",
        "\\??\\C:\\w\\demo",
        "//?/C:/w/demo",
        "C:/w\\.\\DEMO",
    ),
)
SHARE = (
    "\\\\host\\Share\\a",
    "\\\\HOST\\share\\a\\",
    "\\\\?\\UNC\\host\\share\\A",
    "\\\\host/share/a",
)
DIFFERENT = (
    *("/w/demo", "/w/Demo", "/w", "/", "/w/demo2", "/c/w/demo", "/w/C:\\demo", "w/demo"),
    *(
        "C:\\w\\demo",
        "D:\\w\\demo",
        "C:\\",
        "C:w\\demo",
        "\\\\host\\share\\a",
        "\\\\host\\other\\a",
    ),
    *("\\\\?\\Volume{1}\\w", "/w/a\\b", "/w/a/b"),
)


@pytest.mark.parametrize("spellings", [POSIX, DRIVE, SHARE])
def test_spellings_of_one_folder_have_one_key(spellings: tuple[str, ...]) -> None:
    assert len({cwd_key(folder) for folder in spellings}) == 1


def test_different_folders_have_different_keys() -> None:
    assert len({cwd_key(folder) for folder in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize(
    ("folder", "shown"),
    [
        ("/w//demo/", "/w/demo"),
        ("\\\\?\\c:/W/Demo/", "C:\\W\\Demo"),
        ("c:", "C:\\"),
        ("C:\\..", "C:\\"),
        ("\\\\?\\UNC\\host\\share", "\\\\host\\share"),
        ("/w/a\\b", "/w/a\\b"),
        ("", ""),
    ],
)
def test_a_folder_is_shown_with_its_own_slashes_and_case(folder: str, shown: str) -> None:
    assert shown_folder(folder) == shown


@given(st.text(alphabet="aC:\\/.?Ü \0", max_size=12))
def test_cleaning_what_is_clean_changes_nothing(folder: str) -> None:
    for once in (clean_folder, cwd_key, shown_folder):
        assert cwd_key(once(folder)) == cwd_key(folder)
        assert once(once(folder)) == once(folder)


def test_what_follows_a_windows_folder_keeps_its_case() -> None:
    moves = {"c:\\Work": "/srv/Work"}
    assert moved_to("C:\\WORK\\My\\Proj", moves) == "/srv/Work/My/Proj"
    assert origins(["/srv/Work/My"], moves) == ["/srv/Work/My", "c:/work/my"]
    assert origins(["c:/work/My"], {"/home/Me": "C:\\Work"}) == ["c:/work/my", "/home/Me/My"]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Threads in every spelling of two folders, and in another one."""
    home = tmp_path / "home"
    for number, cwd in enumerate((*POSIX, *DRIVE, "/elsewhere"), 1):
        content = lines(number, "the same words", cwd=cwd)
        content[1]["payload"]["cwd"] = cwd
        write(home, number, encoded(content))
    return Inside(home, tmp_path)


def test_all_commands_take_spellings_for_one_folder(cli: Cli) -> None:
    for spellings in (POSIX, DRIVE):
        for asked in spellings:
            found = cli.ids("--cwd", asked, "--all")
            assert len(found) == len(spellings)
        first = spellings[0]
        searched = cli.run("search", "same words", "--cwd", first, "--limit", "99", "--json").json
        assert len(searched["data"]) == len(spellings)
        assert cli.run("stats", "--cwd", first, "--json").json["threads"] == len(spellings)
    counted = cli.run("stats", "--by", "project", "--json").json["groups"]
    told = {group["key"]: group["threads"] for group in counted}
    assert told == {"demo": len(POSIX), "DEMO": len(DRIVE), "elsewhere": 1}
    used = cli.run("du", "--by", "project", "--json").json["by"]["project"]["groups"]
    assert {group["key"]: group["files"] for group in used} == told


def test_a_relinked_folder_is_the_same_in_every_spelling(cli: Cli) -> None:
    assert f"{len(DRIVE)} more threads" in cli.run("relink", "c:/w/DEMO/", "/w/x/../new").err
    assert len(cli.ids("--cwd", "/w/new", "--all")) == len(DRIVE)
    last = thread_id(len(POSIX) + len(DRIVE))
    assert cli.run("show", last, "--json").json["movedTo"] == "/w/new"
    cli.run("relink", "--remove", "\\\\?\\C:\\w\\demo")
    assert cli.run("show", last, "--json").json["movedTo"] is None


def test_a_relative_folder_is_taken_from_here(cli: Cli) -> None:
    write(cli.home, 60, encoded(lines(60, cwd=str(cli.base / "a"))[:1] + lines(60)[2:]))
    (cli.base / "b").mkdir()
    assert cli.ids("--cwd", "../a/.", cwd=cli.base / "b") == [thread_id(60)]


def test_keys_of_an_older_index_are_made_anew(index_path: Path, corpus_home: Path) -> None:
    index_path.parent.mkdir()
    shutil.copy(FIXTURES / "indexes" / "v0005.sqlite3", index_path)
    written = {"C:\\Work": "c:/Work", "/w/x/../y": "/w/x/../y", "//w/y": "//w/y"}
    with closing(sqlite3.connect(index_path)) as connection, connection:
        ids = [id_ for (id_,) in connection.execute("SELECT id FROM threads LIMIT 3")]
        for id_, cwd in zip(ids, written, strict=True):
            changed = "UPDATE threads SET cwd = ?, cwd_key = ? WHERE id = ?"
            connection.execute(changed, (cwd, written[cwd], id_))
        connection.executemany(
            "INSERT INTO path_aliases VALUES (?, ?, ?, ?, ?)",
            [
                ("c:/Work", "C:\\Work", "//w/new", "//w/new", 1),
                ("c:/work", "c:\\work", "/w/newer", "/w/newer", 2),
            ],
        )

    async def work() -> None:
        async with open_index(corpus_home, index_path) as index:
            found = await aliases(index.database)
            assert [(alias.alias, alias.value) for alias in found] == [("c:\\work", "/w/newer")]

    asyncio.run(work())
    with closing(sqlite3.connect(index_path)) as connection:
        for id_, cwd in zip(ids, written, strict=True):
            asked = connection.execute("SELECT cwd_key FROM threads WHERE id = ?", (id_,))
            assert asked.fetchone() == (cwd_key(cwd),)
        held = connection.execute("SELECT old_key, new_key FROM path_aliases").fetchall()
        assert held == [("c:/work", "/w/newer")]
