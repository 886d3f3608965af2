"""Threads that are named by their place or by words, and what is said if that fits several."""

from pathlib import Path

import pytest

from tests.support.command import Cli, Inside, thread_id, write_rollout
from tests.support.terminal import on_terminal

TITLES = (
    "Retry webhooks",
    "Retry webhooks again",
    "Fix the login form",
    "日本語 webhooks",
    "Later",
)


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The command for threads in a folder, one below it, and one that is gone; tests only read."""
    base = tmp_path_factory.mktemp("words")
    for name in ("work/api", "work/new", "other"):
        (base / name).mkdir(parents=True)
    folders = ("work/api", "work/api/sub", "work/api", "work/old", "other")
    for number, (title, folder) in enumerate(zip(TITLES, folders, strict=True)):
        write_rollout(base / "home", number, title, cwd=str(base / folder))
    write_rollout(base / "home", 9, "run by a script", source="exec")
    found = Inside(base / "home", base)
    found.run("backfill")
    return found


def resumed(cli: Cli, *words: str, cwd: Path | None = None, stdin: str = "") -> int:
    """The number of the thread that ``resume`` means."""
    id_ = cli.run("resume", "--json", *words, cwd=cwd, stdin=stdin).json["id"]
    return [thread_id(number) for number in range(len(TITLES))].index(id_)


def test_a_place_in_the_list_is_a_thread(cli: Cli) -> None:
    for place, number in (("-1", 4), ("-2", 3), ("-5", 0)):
        assert cli.run("show", place, "--json").json["thread"]["id"] == thread_id(number)
    assert "Later" in cli.run("show", "--turn", "-1", "-1").out
    assert "Later" in cli.run("show", "--turn=-1", "--", "-1").out
    lines = cli.run("archive", "--dry-run", "-1", thread_id(0), "-3").lines
    assert [line[:36] for line in lines] == [thread_id(4), thread_id(0), thread_id(2)]
    assert f"thread {thread_id(2)}" in cli.run("explain", "-3").out.replace("  ", " ")
    assert "has fewer than 6 threads" in cli.run("show", "-6", status=3).err
    for words in (("show", "-0"), ("show", "-x"), ("list", "-1"), ("search", "-1")):
        assert "has no option" in cli.run(*words, status=2).err


def test_the_last_thread_of_a_folder(cli: Cli) -> None:
    work = cli.base / "work"
    assert resumed(cli, "--last", cwd=work / "api") == 2
    assert resumed(cli, "--last", cwd=work) == 3
    assert resumed(cli, "--last", "--all", cwd=work) == 4
    assert resumed(cli, "--last", "--cwd", "../other", cwd=work) == 4
    ran = cli.run("resume", "--last", cwd=work / "new", status=1)
    assert f"{work} and its subfolders have 4 threads: --cwd {work}" in ran.err
    assert f"threadkeep relink {work}/old {work}/new" in ran.err
    for wrong in (["--last", "Later"], ["--last", "--all", "--cwd", "."], ["--cwd", " "]):
        cli.run("resume", *wrong, status=2)


def test_words_mean_the_one_thread_that_has_them(cli: Cli) -> None:
    assert resumed(cli, "login", "fix") == 2
    assert resumed(cli, "Later") == 4
    assert resumed(cli, "webhooks", "--cwd", str(cli.base / "work/old")) == 3
    err = cli.run("resume", "no", "such", status=3).err
    assert err.startswith("threadkeep: no thread matches 'no such'")
    assert "or the archive: threadkeep search 'no such' --archived" in err
    assert cli.run("resume", "script", status=3).out == ""
    heading = cli.run("query", "SELECT id, preview FROM v_threads ORDER BY preview").out
    assert resumed(cli, "-", stdin=heading) == 2
    listed = cli.run("list", "-n", "2").out
    assert resumed(cli, "-", stdin=listed) == 4
    assert "No thread is named" in cli.run("resume", "-", status=1).err


def test_where_several_fit_they_are_shown(cli: Cli) -> None:
    ran = cli.run("resume", "webhooks", status=2)
    assert ran.out == ""
    lines = ran.err.splitlines()
    assert lines[0] == "threadkeep: 'webhooks' matches 3 threads"
    assert [line.split()[0] for line in lines[1:5]] == [
        *("id", thread_id(3)[:13], thread_id(1)[:13], thread_id(0)[:13]),
    ]
    assert "Retry webhooks again" in lines[3]
    assert lines[-1] == f"  give the id of one: threadkeep resume {thread_id(3)[:13]}"
    error = cli.run("resume", "webhooks", "--json", status=2).json["error"]
    assert error["kind"] == "ambiguous_thread"
    assert thread_id(1) in error["message"]
    assert "--last" in cli.run("resume", status=2, cwd=cli.base / "work").err
    by_id = cli.run("show", "019a", status=2).err
    assert "Fix the login form" in by_id
    assert "give more characters of the id" in by_id


def test_a_folder_without_threads_says_where_there_are_some(cli: Cli) -> None:
    work = cli.base / "work"
    err = cli.run("list", "--exact-cwd", str(work), status=1).err
    assert f"Its subfolders have 4 threads: --cwd {work}" in err
    err = cli.run("list", "--cwd", ".", cwd=work / "new", status=1).err
    assert f"{work} and its subfolders have 4 threads: --cwd {work}" in err
    assert f"{work}/old is gone and has threads." in err
    assert "is gone" not in cli.run("list", "--cwd", str(work / "none"), status=1).err
    assert cli.run("list", "--search", "zzz", status=1).err == "No threads match.\n"


def test_a_terminal_asks_which_one(cli: Cli) -> None:
    shown = on_terminal(cli, "resume", "webhooks", words=True, typed="7\n2\n")
    assert f"2  {thread_id(1)[:13]}" in shown.replace("\x1b[36m", "")
    assert shown.count("Which one (1-3)?") == 2
    assert f"codex resume {thread_id(1)}" in shown
