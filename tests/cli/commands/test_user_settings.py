"""``relink``, ``dump`` and ``restore`` as a person and a script use them."""

import io
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from state.db.location import journal_path
from state.repair.dump import read_dump
from state.userdata.model import FolderAlias, UserValue
from tests.cli.test_errors import is_reported
from tests.state.repair.test_recovery import WRECKS
from tests.state.userdata.test_dump import dumped, restored
from tests.support.checks import synced, verified
from tests.support.command import COMMAND, Cli, Inside, Within, plain_user, thread_id, write_rollout
from tests.support.effort import PATIENCE_S

__all__ = ["plain_user"]

OLD, NEW = "/work/old", "/srv/new"


@pytest.fixture
def small(tmp_path: Path) -> Cli:
    """The command for a home of three threads of two folders, indexed."""
    cli = Inside(tmp_path / "home", tmp_path)
    for number, cwd in enumerate((OLD, f"{OLD}/sub", "/elsewhere")):
        write_rollout(cli.home, number, cwd=cwd)
    synced(cli.home, cli.index)
    return cli


def named(number: int, name: str | None, time_ms: int) -> str:
    """A line of a dump that names a thread."""
    fact = {"thread_id": thread_id(number), "key": "name", "value": name, "set_at_ms": time_ms}
    return json.dumps({"v": 1, **fact})


def alias(old: str, new: str) -> str:
    """A line of a dump that says where a folder moved."""
    return json.dumps({"v": 1, "alias": old, "value": new, "set_at_ms": 5})


def dump_of(*lines: str) -> str:
    """A dump of these lines."""
    header = '{"format": "threadkeep-facts", "version": 1}'
    return "".join(f"{line}\n" for line in (header, *lines))


def files(folder: Path) -> dict[str, bytes]:
    """What the files of a folder hold."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@contextmanager
def not_writable(index: Path) -> Iterator[None]:
    """An index, its journal and their folder cannot be written; and nobody does."""
    folder = index.parent
    for path in folder.iterdir():
        path.chmod(0o400)
    folder.chmod(0o500)
    before = files(folder)
    try:
        yield
    finally:
        folder.chmod(0o700)
        for path in folder.iterdir():
            path.chmod(0o600)
    assert files(folder) == before


def test_threads_of_a_folder_that_moved_are_listed_by_its_new_place(small: Cli) -> None:
    ran = small.run("relink", OLD, NEW)
    assert ran.out == ""
    assert f"Linked {OLD} → {NEW}: --cwd with the new folder now finds 2 more threads." in ran.err
    listed = small.run("list", "--exact-cwd", NEW, "--json").json["data"]
    assert [(thread["id"], thread["cwd"]) for thread in listed] == [(thread_id(0), OLD)]
    assert small.ids("--cwd", NEW) == [thread_id(1), thread_id(0)]
    assert small.ids("--cwd", f"{NEW}/sub") == [thread_id(1)]
    assert small.ids("--cwd", OLD) == [thread_id(1), thread_id(0)]
    shown = small.run("show", thread_id(1), "--meta")
    assert f"now in       {NEW}/sub" in shown.lines
    assert f"folder       {OLD}/sub" in shown.lines
    document = small.run("show", thread_id(1), "--json").json
    assert (document["thread"]["cwd"], document["movedTo"]) == (f"{OLD}/sub", f"{NEW}/sub")


def test_aliases_are_listed_and_taken_back(small: Cli) -> None:
    ran = small.run("relink")
    assert (ran.out, "No folder is recorded as moved" in ran.err) == ("", True)
    made = small.run("relink", OLD, NEW, "--json").json
    assert made["threads"] == 2
    (printed,) = made["aliases"]
    assert (printed["old"], printed["new"]) == (OLD, NEW)
    assert small.run("relink", "--json").json == made | {"threads": None}
    assert small.run("relink").lines == [f"{OLD}\t{NEW}\t{printed['setAt']}"]
    removed = small.run("relink", "--remove", f"{OLD}/", "--json").json
    assert removed["aliases"] == [printed]
    assert small.ids("--cwd", NEW, status=1) == []
    is_reported(small.run("relink", "--remove", OLD, status=3), OLD, "threadkeep relink shows")


def test_relative_folders_start_where_the_command_runs(small: Cli) -> None:
    folder = small.base / "place"
    folder.mkdir()
    made = small.run("relink", "was", "../is", "--json", cwd=folder).json["aliases"][0]
    assert (made["old"], made["new"]) == (str(folder / "was"), str(small.base / "is"))


def test_a_circle_is_refused(small: Cli) -> None:
    restored(small.home, small.index, [FolderAlias(OLD, NEW, 5)])
    journal = journal_path(small.index).read_bytes()
    ran = small.run("relink", NEW, OLD, status=2)
    is_reported(
        ran, f"{NEW} cannot have moved to {OLD}", "threadkeep relink shows the moved folders"
    )
    assert "give OLD and NEW" in small.run("relink", OLD, status=2).err
    assert journal_path(small.index).read_bytes() == journal


def test_a_folder_with_control_characters_stays_on_its_line(small: Cli) -> None:
    small.run("relink", "/a\x1b[31m\nb", "/c\td")
    ran = small.run("relink")
    assert len(ran.lines) == 1
    assert "\x1b" not in ran.out
    assert ran.out.count("\t") == 2
    refused = small.run("relink", "/c\td/x", "/a\x1b[31m\nb/x", status=2)
    is_reported(refused, "already leads to it", "threadkeep relink")
    assert "\x1b" not in refused.err


def test_a_dump_restored_elsewhere_gives_the_same_names_and_folders(small: Cli) -> None:
    restored(
        small.home,
        small.index,
        [FolderAlias(OLD, NEW, 5), UserValue(thread_id(1), "name", "mine", 5)],
    )
    dump = small.run("dump")
    assert dump.err == ""
    assert dump.out == dump_of(dump.lines[1], named(1, "mine", 5))
    ran = small.run("dump", "facts.txt")
    assert (ran.out, ran.err) == ("", "2 settings saved in facts.txt.\n")
    file = small.base / "facts.txt"
    assert file.read_text() == dump.out
    assert file.stat().st_mode & 0o777 == 0o600
    other = Inside(
        small.home, small.base, {"THREADKEEP_DB": str(small.base / "other" / "i.sqlite3")}
    )
    assert "2 settings restored, 0 unchanged, 0 skipped as older" in (
        other.run("restore", "facts.txt").err
    )
    assert dumped(other.index).decode() == dump.out
    assert other.ids("--exact-cwd", NEW) == [thread_id(0)]
    assert other.run("show", "mine", "--json").json["thread"]["id"] == thread_id(1)
    journal = journal_path(other.index).read_bytes()
    again = other.run("restore", "facts.txt", "--json").json
    assert again == {"version": 1, "set": 0, "equal": 2, "older": 0}
    assert journal_path(other.index).read_bytes() == journal
    printed = small.run("dump", "--json").json
    assert (printed["file"], printed["count"]) == (None, 2)
    assert [json.dumps(fact) for fact in printed["facts"]] == dump.lines[1:]


def restore_from_stdin(cli: Cli, text: bytes) -> "subprocess.CompletedProcess[bytes]":
    """Pipe a dump into the command."""
    with cli.start("restore", "--json", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        out, _ = process.communicate(text, timeout=PATIENCE_S)
    return subprocess.CompletedProcess([], process.returncode, out)


def test_a_dump_to_a_link_of_the_system_is_written_where_it_leads(small: Cli) -> None:
    into_a_file = ("bash", "-c", 'exec "$0" "$@" > file', *COMMAND)
    small.run("dump", "/proc/self/fd/1", prefix=into_a_file, cwd=small.base)

    assert (small.base / "file").read_text() == small.run("dump").out


def test_a_dump_into_a_pipe_is_written_to_it(small: Cli) -> None:
    small.run("relink", "/a", "/b")
    pipe = small.base / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True)
    small.run("dump", str(pipe))
    out, _ = reader.communicate(timeout=PATIENCE_S)
    assert '"alias": "/a"' in out
    assert pipe.is_fifo()


def test_a_dump_is_restored_from_stdin_and_rows_have_its_names(small: Cli) -> None:
    lines = (named(0, "new name", 7), named(9, "not yet", 7))
    done = restore_from_stdin(small, dump_of(*lines).encode())
    assert json.loads(done.stdout)["set"] == 2
    assert small.run("list", "--search", "new name", "--json").json["data"][0]["name"] == "new name"
    write_rollout(small.home, 9)
    assert small.run("list", "--search", "not yet", "--json").json["data"][0]["id"] == thread_id(9)


def test_of_a_bad_dump_nothing_is_restored(small: Cli) -> None:
    torn = dump_of(named(0, "good", 1), named(1, "torn", 1))[:-9]
    (small.base / "bad.txt").write_text(torn)
    ran = small.run("restore", "bad.txt", status=2)
    place = torn.rindex("\n") + 1
    is_reported(
        ran, f"nothing was restored: line 3, at byte {place}: not valid", "correct or remove"
    )
    refused = restore_from_stdin(small, dump_of("\0\x1b").encode())
    assert refused.returncode == 2
    error = json.loads(refused.stdout)["error"]
    assert (error["code"], error["kind"]) == (2, "bad_dump")
    assert not journal_path(small.index).exists()


def test_a_dump_of_a_newer_version_has_status_4(small: Cli) -> None:
    newer = small.base / "newer.txt"
    newer.write_text(dump_of("{}").replace('"version": 1', '"version": 2'))
    is_reported(small.run("restore", "newer.txt", status=4), "has version 2", "update threadkeep")
    assert not journal_path(small.index).exists()


def test_a_file_that_cannot_be_used_is_named(small: Cli) -> None:
    assert "does not exist" in small.run("restore", "nowhere.txt", status=2).err
    (small.base / "kept.txt").mkdir()
    is_reported(small.run("dump", "kept.txt", status=7), "Is a directory", "make it readable")
    assert [path.name for path in small.base.glob("*.new-*")] == []
    journal_path(small.index).mkdir()
    for command in (["dump"], ["relink", OLD, NEW]):
        ran = small.run(*command, "--json", status=7)
        assert ran.json["error"]["kind"] == "file_unusable"
    journal_path(small.index).rmdir()
    assert dumped(small.index).decode() == dump_of()


def test_a_dump_needs_neither_home_nor_index_and_makes_none(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    assert cli.run("dump").out == dump_of()
    assert not cli.index.parent.exists()


def test_lines_that_cannot_be_read_in_the_journal_are_passed_over(small: Cli) -> None:
    restored(small.home, small.index, [FolderAlias(OLD, NEW, 5)])
    with journal_path(small.index).open("ab") as file:
        file.write(b'\0\xff{}\n{"v": 2, "alias": "/x"}\n' + named(0, "mine", 1).encode() + b"\n{")
    small.run("relink", f"{OLD}2", NEW)
    assert len(dumped(small.index).splitlines()) == 4
    small.run("reindex")
    assert len(small.run("relink").lines) == 2
    assert small.ids("--search", "mine") == [thread_id(0)]


@pytest.mark.parametrize(
    ("what", "command"),
    [
        ("garbage", ("relink", f"{OLD}2", NEW)),
        ("damaged pages", ("relink",)),
        ("truncated", ("restore", "f.txt")),
        ("table missing", ("query", "SELECT old FROM v_aliases")),
    ],
)
def test_what_users_set_comes_back_into_the_place_of_a_damaged_index(
    what: str, command: tuple[str, ...], small: Cli
) -> None:
    text = dump_of(named(0, "mine", 5), alias(OLD, NEW))
    (small.base / "f.txt").write_text(text)
    restored(small.home, small.index, read_dump(io.BytesIO(text.encode())))
    WRECKS[what](small.index)
    assert "It was moved to" in small.run(*command).err
    assert set(dumped(small.index).splitlines()) >= set(text.encode().splitlines())
    listed = small.run("list", "--exact-cwd", NEW, "--json").json["data"]
    assert [(thread["id"], thread["name"]) for thread in listed] == [(thread_id(0), "mine")]
    assert verified(small.home, small.index).kept == []


def test_where_the_index_cannot_be_written_facts_are_told_and_not_set(
    small: Cli, plain_user: Within
) -> None:
    restored(small.home, small.index, [FolderAlias(OLD, NEW, 5)])
    dump = dumped(small.index).decode()
    (small.base / "f.txt").write_text(dump_of(named(0, "mine", 5)))
    write_rollout(small.home, 9)
    with not_writable(small.index):
        printed = small.run("dump", prefix=plain_user)
        assert printed.out == dump
        listed = small.run("relink", prefix=plain_user)
        assert listed.out.startswith(f"{OLD}\t{NEW}\t")
        for ran in (printed, listed):
            assert "Answering from a temporary copy" in ran.err
        for command in (
            ("restore", "f.txt"),
            ("relink", f"{OLD}2", NEW),
            ("relink", "--remove", OLD),
        ):
            refused = small.run(*command, "--json", status=7, prefix=plain_user).json["error"]
            assert refused["kind"] == "index_not_writable"
    assert dumped(small.index).decode() == dump


def test_facts_are_set_while_no_other_process_holds_the_lock(small: Cli) -> None:
    running = [
        small.start("relink", f"{OLD}{number}", NEW, stderr=subprocess.DEVNULL)
        for number in range(4)
    ]
    assert [process.wait(PATIENCE_S) for process in running] == [0] * 4
    assert len(dumped(small.index).splitlines()) == 5
    assert len(journal_path(small.index).read_bytes().splitlines()) == 4
