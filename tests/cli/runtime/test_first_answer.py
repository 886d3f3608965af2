"""The first answer on an index in the making: right before all files are read, for people, pipes
and other processes; and nothing is lost if the rest is not waited for."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from rollout.files.layout import name_time_ms
from tests.samples.hostile import STYLE
from tests.support.command import STOPPED_AFTER_OUTPUT, Cli, Inside, thread_id, write_rollout
from tests.support.effort import PATIENCE_S
from tests.support.indexes import rows
from tests.support.terminal import on_terminal

COUNT = 430
"""More than are read before anybody is asked whether they wait."""
JOB = "SELECT status, owner IS NOT NULL AS held, files_done FROM backfill_state"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Threads that each changed when they were created; tests only read."""
    made = tmp_path_factory.mktemp("first") / "home"
    for number in range(COUNT):
        text = "the needle" if number == 3 else f"hello {number}"
        path = write_rollout(made, number, text)
        created = (name_time_ms(path.name[8:27]) or 0) / 1000
        os.utime(path, (created, created))
    return made


@pytest.fixture
def cli(home: Path, tmp_path: Path) -> Cli:
    """The command, without an index."""
    return Inside(home, tmp_path)


def test_a_list_ends_its_output_before_all_is_indexed(cli: Cli) -> None:
    page = ("list", "--json", "--limit", "5")
    with cli.start(
        *page, prefix=STOPPED_AFTER_OUTPUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            _check_early(cli, page, process)
        finally:
            process.kill()
    later = cli.run(*page)  # at once again, and then the rest
    assert [thread["id"] for thread in later.json["data"]] == newest(5)
    assert rows(cli.index, JOB) == [{"status": "complete", "held": 0, "files_done": COUNT}]
    whole = cli.run(*page).json
    assert whole["complete"]
    assert whole["data"] == later.json["data"]
    assert whole["nextCursor"] == later.json["nextCursor"]


def _check_early(cli: Cli, page: Sequence[str], process: "subprocess.Popen[bytes]") -> None:
    assert process.stdout
    early = json.loads(process.stdout.read())  # to its end, though the process has not ended
    while "T" not in _state(process.pid):
        time.sleep(0.005)
    (job,) = rows(cli.index, JOB)
    assert (job["status"], job["held"]) == ("running", 1)
    assert 0 < job["files_done"] < COUNT
    assert [thread["id"] for thread in early["data"]] == newest(5)
    assert not early["complete"]

    other = cli.run(*page)  # it waits for nobody, and compares the files itself
    assert other.json["data"] == early["data"]
    assert other.err == ""
    behind = cli.run("list", "--all", "--json").json
    assert len(behind["data"]) < COUNT
    assert not behind["complete"]

    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGCONT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    done = rows(cli.index, JOB)[0]["files_done"]
    assert err.decode() == (
        f"Interrupted. The list above is complete. {done} of {COUNT} files are indexed."
        " The next command continues from there.\n"
    )


def newest(count: int) -> list[str]:
    """The ids of the newest threads."""
    return [thread_id(COUNT - 1 - number) for number in range(count)]


def _state(pid: int) -> str:
    return subprocess.run(
        ["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout


@pytest.mark.full
def test_a_search_is_right_before_all_is_indexed(cli: Cli) -> None:
    words = ("search", "hello", "--limit", "3", "--json")
    early = cli.run(*words).json
    assert [hit["thread"]["id"] for hit in early["data"]] == newest(3)
    assert not early["complete"]
    later = cli.run(*words).json
    assert later["complete"]
    assert later["data"] == early["data"]
    assert later["nextCursor"] == early["nextCursor"]


@pytest.mark.full
def test_what_only_old_threads_have_is_waited_for(cli: Cli) -> None:
    found = cli.run("search", "needle", "--json").json
    assert [hit["thread"]["id"] for hit in found["data"]] == [thread_id(3)]
    assert found["complete"]


@pytest.mark.full
def test_a_terminal_lists_first_and_says_what_follows(cli: Cli) -> None:
    shown = plain(on_terminal(cli, "list", words=True))
    first, _, rest = shown.partition(" files are still being indexed. Ctrl-C is safe.")
    ids = [number for number in range(COUNT) if f"hello {number} " in first]
    assert len(ids) > 30
    assert ids == [*range(COUNT - len(ids), COUNT)]
    assert "hello" not in rest
    assert f"Showing {len(ids)} of {COUNT}." in rest
    assert "Not shown" not in first


def test_a_terminal_shows_first_what_there_is(cli: Cli) -> None:
    shown = plain(on_terminal(cli, "search", "needle", words=True))
    first, _, rest = shown.partition(f"No match yet. Searched 200 of {COUNT} threads, the newest.")
    assert "the needle" not in first
    assert "The others follow; Ctrl-C is safe." in rest
    assert "you  the needle" in rest
    assert "1 match in 1 thread." in rest


def plain(text: str) -> str:
    """What a terminal shows, without styles."""
    return STYLE.sub("", text)


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (("show", "--json", thread_id(3)), 3),
        (("resume", "--last", "--all"), COUNT - 1),
        pytest.param(("resume", thread_id(3)), 3, marks=pytest.mark.full),
        pytest.param(("show", "--meta", "-2"), COUNT - 2, marks=pytest.mark.full),
    ],
    ids=str,
)
def test_a_thread_is_found_without_the_others(
    cli: Cli, words: tuple[str, ...], number: int
) -> None:
    assert thread_id(number) in cli.run(*words).out
    (job,) = rows(cli.index, JOB)
    assert job["status"] == "running"
    assert not job["held"]
    assert job["files_done"] < COUNT
    assert rows(cli.index, "SELECT last_error FROM backfill_state") == [{"last_error": None}]
    assert len(cli.ids("--all")) == COUNT


@pytest.mark.full
def test_a_list_of_the_oldest_waits_for_all(cli: Cli) -> None:
    page = cli.run("list", "--asc", "--limit", "2", "--json").json
    assert [thread["id"] for thread in page["data"]] == [thread_id(0), thread_id(1)]
    assert page["complete"]


@pytest.mark.full
def test_a_reader_that_has_gone_ends_a_first_list_quietly(cli: Cli) -> None:
    process = cli.start("list", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (0, b"")
    assert len(cli.ids("--all")) == COUNT


@pytest.mark.parametrize("inside", ["sessions", "sessions/2026", "../other"])
def test_no_index_is_made_for_what_is_no_home(home: Path, tmp_path: Path, inside: str) -> None:
    (home.parent / "other" / "src").mkdir(parents=True, exist_ok=True)
    wrong = Path(os.path.normpath(home / inside))
    cli = Inside(wrong, tmp_path)
    told = cli.run("list", status=3).err
    meant = f"did you mean {home}?" if "sessions" in inside else "it has no folder sessions"
    assert told.startswith(f"threadkeep: {wrong} is not a Codex home: {meant}\n")
    assert not cli.index.parent.exists()
