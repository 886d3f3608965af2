"""Ctrl-C in the middle of many changes: what was done is reported, the rest is as it was; and of an
export: nothing is left of it."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.samples.rollouts import THREAD_ID
from tests.support.checks import codes, synced, verified
from tests.support.command import Cli, Inside, thread_id, write_rollout
from tests.support.effort import PATIENCE_S
from tests.support.reading import event, save, turn

COUNT = 1010
"""More threads than are moved at a time."""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command for a home of many threads, which the index knows."""
    made = Inside(tmp_path / "home", tmp_path)
    for number in range(COUNT):
        write_rollout(made.home, number, cwd="/a")
    synced(made.home, made.index)
    return made


@pytest.mark.parametrize("words", [["archive"], ["memory", "disabled"]])
def test_an_interrupted_change_reports_what_was_done(words: list[str], cli: Cli) -> None:
    process = cli.start(
        *words[:1],
        "-",
        *words[1:],
        "--yes",
        "--json",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    process.stdin.write("".join(f"{thread_id(n)}\n" for n in range(COUNT)).encode())
    process.stdin.close()
    process.stdin = None
    while not begun(cli, words[0]) and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err.decode()
    assert "Interrupted. The other threads are unchanged." in err.decode()
    printed = json.loads(out)
    assert printed["interrupted"]
    done = {entry["id"] for entry in printed["threads"] if entry["done"]}
    assert 0 < len(done) < COUNT
    assert changed(cli, words[0]) == done
    assert codes(verified(cli.home, cli.index)) == {}


def begun(cli: Cli, word: str) -> bool:
    """Whether anything is done yet, as far as one look shows."""
    if word == "memory":
        return any("session_meta" in path.read_text()[300:] for path in sessions(cli)[:3])
    return len(sessions(cli)) < COUNT


def sessions(cli: Cli) -> list[Path]:
    """All rollouts that are not in the archive."""
    return sorted((cli.home / "sessions").rglob("*.jsonl"))


def changed(cli: Cli, word: str) -> object:
    """What was changed, as the files show."""
    cli.run("sync")
    if word == "memory":
        rows = cli.run("query", "SELECT id FROM threads WHERE memory_mode = 'disabled'").lines
        return set(rows[1:])
    return {thread_id(n) for n in range(COUNT)} - {path.stem[-36:] for path in sessions(cli)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", [["--redact"], ["--format", "html"]], ids=str)
def test_an_interrupted_export_leaves_nothing(
    number: signal.Signals, words: list[str], tmp_path: Path
) -> None:
    made = cli_of_a_long_thread(tmp_path)
    target = tmp_path / "out" / "x.md"
    process = started_to_write(made, target, *words)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGTERM)
    assert err.decode() in ("", "Interrupted.\n")
    assert list(target.parent.iterdir()) == []


def test_what_a_killed_export_left_goes_with_the_next(tmp_path: Path) -> None:
    made = cli_of_a_long_thread(tmp_path)
    write_rollout(made.home, 1)
    target = tmp_path / "out" / "x.md"
    first, other = (started_to_write(made, target) for _ in range(2))
    first.kill()
    first.communicate(timeout=PATIENCE_S)
    other.send_signal(signal.SIGSTOP)
    try:
        (target.parent / f".x.md.{first.pid}-notes").touch()  # is like one, and is none
        made.run("export", thread_id(1), "-o", str(target))
        left = sorted(path.name.split("-")[0] for path in target.parent.iterdir())
        assert left == sorted([f".x.md.{first.pid}", f".x.md.{other.pid}", "x.md"])
        assert (target.parent / f".x.md.{first.pid}-notes").exists()
    finally:
        other.kill()
        other.communicate(timeout=PATIENCE_S)


def cli_of_a_long_thread(base: Path) -> Cli:
    """The command for a home with one thread whose export takes seconds."""
    items = [
        *(event("agent_message", message=f"*word* {number}: {'x y ' * 40}") for number in range(50))
    ]
    (base / "home" / "sessions").mkdir(parents=True)
    made = Inside(base / "home", base)
    save(made.home, [line for number in range(200) for line in turn(number % 9, *items)])
    synced(made.home, made.index)
    return made


def started_to_write(made: Cli, target: Path, *words: str) -> "subprocess.Popen[bytes]":
    """An export that has begun to write."""
    target.parent.mkdir(exist_ok=True)
    command = ["export", THREAD_ID, "-o", str(target), "--format", "md", *words]
    process = made.start(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    mark = f".x.md.{process.pid}-"
    while not any(path.name.startswith(mark) for path in target.parent.iterdir()):
        assert process.poll() is None
        time.sleep(0.005)
    return process
