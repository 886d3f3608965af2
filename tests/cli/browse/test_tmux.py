"""The picker as a person has it: in a terminal, from the command line to its end."""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.browse.in_tmux import Tmux, terminal
from tests.support.command import Cli, Inside, thread_id, write_rollout
from tests.support.effort import PATIENCE_S

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")

AT = "2026-10-15T00:01:00.000Z"
CRASHING = """
import cli.browse.app
from cli.main import main
def fail(self): raise ValueError("a fault")
cli.browse.app.BrowseApp.action_density = fail
main()
"""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command for a home of four threads."""
    made = Inside(tmp_path / "home", tmp_path)
    for number, text in enumerate(("Fix the parser", "Paint it blue", "Deploy", "Write docs")):
        write_rollout(made.home, number, text, cwd=str(tmp_path))
    made.run("sync")
    return made


@pytest.fixture
def tmux(cli: Cli, tmp_path: Path) -> Iterator[Tmux]:
    """A terminal for it."""
    ours = {"TERM": "tmux-256color", "PS1": "$ ", "PYTHONPATH": str(Path.cwd())}
    with terminal(tmp_path, cli.environment(ours)) as tmux:
        yield tmux


def test_a_thread_is_found_by_a_word_read_tagged_and_picked(cli: Cli, tmux: Tmux) -> None:
    path = next(cli.home.rglob(f"*{thread_id(1)}.jsonl"))
    answer = {"type": "agent_message", "message": "A tin of periwinkle is in the shed."}
    with path.open("a") as file:
        file.write(json.dumps({"timestamp": AT, "type": "event_msg", "payload": answer}) + "\n")
    script = f"id=$({sys.executable} -m cli browse --pick); echo picked $id"
    tmux.command(["sh", "-c", script])
    tmux.until("Fix the parser", "Paint it blue", gone="ended")
    tmux.write("periwinkle")
    tmux.until("Paint it blue", "tin of periwinkle", "messages", gone="Fix the parser")
    tmux.press("C-o")
    tmux.until("Esc back", "A tin of periwinkle is in the shed.")
    tmux.press("C-t")
    tmux.until("Tags of “Paint it blue”")
    tmux.write("colour")
    tmux.press("Enter")
    tmux.until("Added #colour: “Paint it blue”.")
    tmux.press("Escape")
    tmux.until("❯ periwinkle", "#colour", gone="Esc back")
    tmux.press("Enter")
    tmux.until(f"picked {thread_id(1)}", "ended 0")
    tmux.check_whole()
    found = cli.run("list", "--tag", "colour", "--json").json["data"]
    assert [thread["id"] for thread in found] == [thread_id(1)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_killed_picker_leaves_the_terminal_whole(number: int, cli: Cli, tmux: Tmux) -> None:
    pid = cli.base / "pid"
    tmux.command(["sh", "-c", f"echo $$ > {pid}; exec {sys.executable} -m cli browse"])
    tmux.until("Fix the parser", "Write docs", gone="ended")
    os.kill(int(pid.read_text()), number)
    tmux.until(f"ended {128 + number}")
    tmux.check_whole()


def test_a_picker_ends_with_its_terminal(cli: Cli, tmux: Tmux) -> None:
    pid = cli.base / "pid"
    tmux.command(["sh", "-c", f"echo $$ > {pid}; exec {sys.executable} -m cli browse"])
    tmux.until("Fix the parser", "Write docs", gone="ended")
    tmux.run("new-session", "-d", "sleep 600")  # or the server would end, too
    tmux.run("kill-session", "-t", "0")
    deadline = time.monotonic() + PATIENCE_S
    while is_running(int(pid.read_text())):
        assert time.monotonic() < deadline, "the picker runs on"
        time.sleep(0.02)


def test_a_crash_leaves_the_terminal_whole_and_says_why(tmux: Tmux) -> None:
    tmux.command([sys.executable, "-c", CRASHING, "browse"])
    tmux.until("Fix the parser", "Write docs", gone="ended")
    tmux.press("F7")
    tmux.until("ValueError: a fault", "ended 1")
    tmux.check_whole()


def test_what_is_typed_before_the_picker_is_there_stands_in_its_search_box(tmux: Tmux) -> None:
    tmux.command([sys.executable, "-m", "cli", "browse"])
    for letter in "paint":
        tmux.write(letter)
    tmux.until("❯ paint", "Paint it blue", gone="Fix the parser")
    tmux.press("Escape")
    tmux.until("Fix the parser")
    tmux.press("Escape")
    tmux.until("ended 0")
    tmux.check_whole()


def is_running(pid: int) -> bool:
    """Whether a process has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
