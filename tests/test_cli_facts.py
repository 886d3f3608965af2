"""``relink``, ``dump`` and ``restore`` as people and scripts use them."""

import json
import subprocess
from pathlib import Path

import pytest

from state.facts import journal_path

from .command import Cli, plain_user, thread_id, write_rollout
from .test_cli_errors import is_told
from .test_faults_index import garbage

__all__ = ["plain_user"]

OLD, NEW = "/work/old", "/srv/new"
HEADER = '{"format": "threadkeep-facts", "version": 1}'


def name_line(number: int, name: str, set_at_ms: int = 5) -> str:
    """The line of a dump that names a thread."""
    fact = {"thread_id": thread_id(number), "key": "name", "value": name}
    return json.dumps({"v": 1, **fact, "set_at_ms": set_at_ms})


@pytest.fixture
def small(tmp_path: Path) -> Cli:
    """The command for a home of three threads, two of them in a folder that has moved."""
    cli = Cli(tmp_path / "home", tmp_path)
    for number, cwd in enumerate((OLD, f"{OLD}/sub", "/elsewhere")):
        write_rollout(cli.home, number, cwd=cwd)
    return cli


def dump_file(cli: Cli, *lines: str) -> str:
    """A dump with these facts."""
    path = cli.base / "facts.txt"
    path.write_text("".join(f"{line}\n" for line in (HEADER, *lines)))
    return str(path)


def test_threads_of_a_moved_folder_are_found_where_it_is_now(small: Cli) -> None:
    assert small.ids("--cwd", NEW, status=1) == []
    ran = small.run("relink", OLD, NEW)
    assert ran.out == ""
    assert ran.err == (
        f"{OLD} is at {NEW} now: 2 threads from there and below are found with --cwd of the new"
        " place too.\n"
    )
    assert small.ids("--cwd", NEW) == [thread_id(0)]
    assert small.ids("--cwd", f"{NEW}/sub") == [thread_id(1)]
    assert small.ids("--cwd", OLD) == [thread_id(0)]
    assert small.ids("--cwd", f"{NEW}/sub", "--no-sync") == [thread_id(1)]
    write_rollout(small.home, 9, cwd=OLD)
    assert small.ids("--cwd", NEW) == [thread_id(9), thread_id(0)]
    shown = small.run("show", thread_id(1), "--json").json
    assert (shown["thread"]["cwd"], shown["movedTo"]) == (f"{OLD}/sub", f"{NEW}/sub")
    assert f"now in       {NEW}/sub" in small.run("show", thread_id(1)).lines


def test_relative_folders_start_at_the_current_one(small: Cli) -> None:
    work = small.base / "work"
    work.mkdir()
    write_rollout(small.home, 5, cwd=str(work / "old"))
    small.run("relink", "old/", "../new", cwd=work)
    assert small.ids("--cwd", str(small.base / "new")) == [thread_id(5)]
    assert small.run("relink", cwd=work).lines[0].startswith(f"{work}/old\t{small.base}/new\t")


def test_aliases_are_listed_and_taken_back(small: Cli) -> None:
    nothing = small.run("relink")
    assert (nothing.out, nothing.err.startswith("No folder was relinked")) == ("", True)
    told = small.run("relink", OLD, NEW, "--json").json
    assert list(told) == ["version", "aliases", "threads"]
    assert told["threads"] == 2
    [alias] = told["aliases"]
    assert list(alias) == ["old", "new", "setAt"]
    assert small.run("relink", "--json").json == {
        "version": 1,
        "aliases": [alias],
        "threads": None,
    }
    assert small.run("relink").lines == [f"{OLD}\t{NEW}\t{alias['setAt']}"]
    assert small.run("relink", "--remove", OLD).err == f"{OLD} has not moved any more.\n"
    assert small.run("relink", "--json").json["aliases"] == []
    assert small.ids("--cwd", NEW, status=1) == []
    is_told(small.run("relink", "--remove", OLD, status=3), OLD, "threadkeep relink")


def test_what_relink_cannot_do_is_told(small: Cli) -> None:
    small.run("relink", OLD, NEW)
    is_told(small.run("relink", NEW, OLD, status=2), "leads to it already", "--remove")
    is_told(small.run("relink", " ", NEW, status=2), "' ' is no folder", "relink --help")
    assert small.run("relink", NEW, NEW, "--json", status=2).json["error"]["kind"] == "alias_cycle"
    for arguments in ([OLD], [OLD, NEW, "/c"], [OLD, NEW, "--remove", OLD]):
        ran = small.run("relink", *arguments, status=2)
        assert "Usage: threadkeep relink" in ran.err
    assert len(small.run("relink").lines) == 1


def test_a_dump_comes_back_in_another_index(small: Cli, tmp_path: Path) -> None:
    small.run("restore", dump_file(small, name_line(1, "mine")))
    small.run("relink", OLD, NEW)
    dumped = small.run("dump")
    assert dumped.err == ""
    assert dumped.lines[0] == HEADER
    assert [json.loads(line).get("alias") for line in dumped.lines[1:]] == [OLD, None]
    told = small.run("dump", "--json").json
    assert (told["count"], told["file"]) == (2, None)
    assert told["facts"] == [json.loads(line) for line in dumped.lines[1:]]
    saved = small.run("dump", "kept.txt")
    assert (saved.out, saved.err) == ("", "2 facts in kept.txt.\n")
    kept = small.base / "kept.txt"
    assert kept.read_text("utf-8") == dumped.out
    assert kept.stat().st_mode & 0o777 == 0o600
    other = Cli(small.home, tmp_path / "other")
    other.base.mkdir()
    assert other.run("restore", str(kept), "--json").json == {
        "version": 1,
        "set": 2,
        "equal": 0,
        "older": 0,
    }
    assert other.run("dump").out == dumped.out
    assert other.ids("--cwd", NEW) == [thread_id(0)]
    assert other.run("show", "mine", "--json").json["thread"]["id"] == thread_id(1)
    journal = journal_path(other.index).read_bytes()
    again = other.run("restore", str(kept))
    words = "0 facts restored; 2 were there already, 0 are older than what is there.\n"
    assert (again.out, again.err) == ("", words)
    assert journal_path(other.index).read_bytes() == journal


def test_a_dump_goes_through_a_pipe(small: Cli) -> None:
    lines = "".join(f"{line}\n" for line in (HEADER, name_line(2, "pipéd")))
    process = small.start(
        "restore", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = process.communicate(lines.encode(), timeout=60)
    assert (process.returncode, out) == (0, b"")
    assert err.startswith(b"1 fact restored")
    assert small.run("dump").out == (
        f"{HEADER}\n" + name_line(2, "pipéd").replace("\\u00e9", "é") + "\n"
    )


def test_a_bad_dump_is_named_by_line_and_byte_and_changes_nothing(small: Cli) -> None:
    small.run("sync")
    path = dump_file(small, name_line(1, "mine"), "{torn")
    offset = len(HEADER) + len(name_line(1, "mine")) + 2
    ran = small.run("restore", path, status=2)
    is_told(ran, f"nothing was restored: line 3, at byte {offset}: not valid JSON", "that line")
    newer = small.base / "newer.txt"
    newer.write_text('{"format": "threadkeep-facts", "version": 2}\n')
    is_told(small.run("restore", str(newer), status=4), "version 2", "update threadkeep")
    error = small.run("restore", str(newer), "--json", status=4).json["error"]
    assert (error["code"], error["kind"]) == (4, "dump_too_new")
    assert "does not exist" in small.run("restore", "nowhere.txt", status=2).err
    assert small.run("dump").lines == [HEADER]
    assert not journal_path(small.index).exists()


def test_a_place_that_takes_no_dump_is_named(small: Cli) -> None:
    is_told(small.run("dump", "/nowhere/facts.txt", status=7), "No such file", "writable")
    error = small.run("dump", str(small.base), "--json", status=7).json["error"]
    assert error["kind"] == "file_unusable"
    assert list(small.base.parent.glob("*.new-*")) == []


def test_no_index_is_made_by_a_dump(small: Cli) -> None:
    assert small.run("dump").lines == [HEADER]
    assert not small.index.exists()


def test_nothing_is_set_where_the_index_cannot_be_written(
    small: Cli, plain_user: tuple[str, ...]
) -> None:
    dump = dump_file(small, name_line(1, "mine"))
    small.run("relink", OLD, NEW)
    journal = journal_path(small.index).read_bytes()
    expected = small.run("dump").out
    folder = small.index.parent
    small.index.chmod(0o400)
    folder.chmod(0o500)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    try:
        for command in (["relink", "/a", "/b"], ["relink", "--remove", OLD], ["restore", dump]):
            ran = small.run(*command, "--json", status=7, prefix=plain_user)
            assert ran.json["error"]["kind"] == "index_not_writable"
        assert small.run("dump", prefix=plain_user).out == expected
        listed = small.run("relink", prefix=plain_user)
        assert listed.out.startswith(f"{OLD}\t{NEW}\t")
        assert "a copy of it, which is thrown away" in listed.err
        found = small.run("list", "--cwd", NEW, "--json", prefix=plain_user).json
        assert [thread["id"] for thread in found["data"]] == [thread_id(0)]
        assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    finally:
        folder.chmod(0o700)
        small.index.chmod(0o600)
    assert journal_path(small.index).read_bytes() == journal


@pytest.mark.parametrize("command", [["relink"], ["relink", "/a", "/b"], ["restore"], ["query"]])
def test_a_damaged_index_comes_back_with_what_was_set(command: list[str], small: Cli) -> None:
    dump = dump_file(small, name_line(1, "mine"))
    small.run("restore", dump)
    small.run("relink", OLD, NEW)
    garbage(small.index)
    more = {"restore": [dump], "query": ["SELECT count(*) FROM v_aliases"]}
    ran = small.run(*command, *more.get(command[0], []))
    assert "It was put aside as" in ran.err
    assert small.ids("--cwd", NEW) == [thread_id(0)]
    assert small.run("show", "mine", "--json").json["thread"]["id"] == thread_id(1)
    assert small.run("verify", "--deep", "--json").json["findings"] == []


def test_of_a_damaged_index_the_journal_is_dumped_and_it_is_said(small: Cli) -> None:
    small.run("relink", OLD, NEW)
    whole = small.run("dump").out
    garbage(small.index)
    ran = small.run("dump")
    assert ran.out == whole
    assert "The index is damaged" in ran.err
