"""Ctrl-C in the middle of many changes: what was done is told, the rest is as it was."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .checks import codes, synced, verified
from .command import Cli, Inside, thread_id, write_rollout

COUNT = 250


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command for a home of many threads, which the index knows."""
    made = Inside(tmp_path / "home", tmp_path)
    for number in range(COUNT):
        write_rollout(made.home, number, cwd="/a")
    synced(made.home, made.index)
    return made


@pytest.mark.parametrize("words", [["archive"], ["memory", "disabled"]])
def test_an_interrupted_change_tells_what_was_done(words: list[str], cli: Cli) -> None:
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
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    assert "Interrupted: the others are as they were." in err.decode()
    told = json.loads(out)
    assert told["interrupted"]
    done = {entry["id"] for entry in told["threads"] if entry["done"]}
    assert 0 < len(done) < COUNT
    assert changed(cli, words[0]) == done
    assert codes(verified(cli.home, cli.index)) == {}


def begun(cli: Cli, word: str) -> bool:
    """Whether anything is done yet, as far as one look tells."""
    if word == "memory":
        return any("session_meta" in path.read_text()[300:] for path in sessions(cli)[:3])
    return len(sessions(cli)) < COUNT


def sessions(cli: Cli) -> list[Path]:
    """All rollouts that are not in the archive."""
    return sorted((cli.home / "sessions").rglob("*.jsonl"))


def changed(cli: Cli, word: str) -> object:
    """What was changed, as the files tell."""
    cli.run("sync")
    if word == "memory":
        rows = cli.run("query", "SELECT id FROM threads WHERE memory_mode = 'disabled'").lines
        return set(rows[1:])
    return {thread_id(n) for n in range(COUNT)} - {path.stem[-36:] for path in sessions(cli)}
