"""Commands in a folder that has been removed, and on one whose name is no text."""

import os
from pathlib import Path

import pytest

from tests.support.command import IN_REMOVED_FOLDER, Cli, Inside, thread_id, write_rollout


@pytest.mark.parametrize(
    ("arguments", "status", "printed"),
    [
        (("list", "--cwd", "/w"), 0, ""),
        (("list", "--cwd", "."), 2, "'.' is relative, and the current folder has been removed"),
        (("relink", "a", "/b"), 2, "'a' is relative"),
        (("explain", thread_id(0)), 0, "threads of every folder count"),
        (("resume", thread_id(0)), 0, ""),
        (("export", thread_id(0), "-o", "x.md"), 2, "'x.md' is relative"),
        (("stats", "--html", "x.html"), 2, "'x.html' is relative"),
        (("dump", "x.jsonl"), 2, "'x.jsonl' is relative"),
        (("--home", "home", "list"), 2, "'home' is relative"),
        (("--db", "index", "stats"), 2, "'index' is relative"),
    ],
    ids=str,
)
def test_no_command_ends_in_a_traceback(
    tmp_path: Path, arguments: tuple[str, ...], status: int, printed: str
) -> None:
    cli = Cli(tmp_path / "home", tmp_path)
    write_rollout(cli.home, 0, cwd="/w")
    folder = tmp_path / "removed"
    folder.mkdir()
    ran = cli.run(*arguments, status=status, cwd=folder, prefix=IN_REMOVED_FOLDER)
    assert printed in ran.err


def test_a_home_may_have_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    home = tmp_path / os.fsdecode(b"h\xffome")
    write_rollout(home, 1)
    cli = Inside(home, tmp_path)

    for words in (("list",), ("list", "--json"), ("search", "hello"), ("status",)):
        assert cli.run(*words).out
    cli.run("archive", thread_id(1))
    assert thread_id(1) in cli.run("list", "--archived").out
    cli.run("app-server", stdin="")
