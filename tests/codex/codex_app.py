"""Drives a real Codex app-server, for making fixtures and for tests that have one."""

import json
import os
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests import FIXTURES

_RECORD: Final = FIXTURES / "codex" / "recorded.json"
RECORDED: Final[str] = json.loads(_RECORD.read_text("utf-8"))["version"]
"""The version whose answers and schemas are recorded: the newest that was measured. What older ones
answer otherwise is no fixture: docs/differences.md tells."""

CONFIG = """\
model = "gpt-5-codex"
model_provider = "mock"
[model_providers.mock]
name = "mock"
base_url = "http://127.0.0.1:9/v1"
wire_api = "responses"
"""
Call = tuple[str, dict[str, Any]]


@cache
def is_recorded() -> bool:
    """Whether the real Codex that tests are given is of the version that was recorded."""
    binary = os.environ.get("THREADKEEP_CODEX_BIN")
    return bool(binary) and version(str(binary)) == RECORDED


def version(binary: str) -> str:
    """What a Codex calls itself: ``0.171.0``."""
    told = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True)
    return told.stdout.split()[-1]


def start(binary: str, home: Path) -> "subprocess.Popen[str]":
    """A Codex on ``home`` that has answered ``initialize``: its backfill is complete then."""
    (home / "config.toml").write_text(CONFIG)
    process = subprocess.Popen(
        [binary, "app-server", "--listen", "stdio://"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "CODEX_HOME": str(home)},
        text=True,
    )
    client = {"name": "threadkeep-tests", "version": "1"}
    call(process, 0, "initialize", {"clientInfo": client})
    return process


def answers(binary: str, home: Path, calls: Sequence[Call]) -> list[Any]:
    """What Codex answers to each of ``calls``; it is started and ended for them."""
    process = start(binary, home)
    try:
        return [call(process, number, *each) for number, each in enumerate(calls, 1)]
    finally:
        end(process)


def end(process: "subprocess.Popen[str]") -> None:
    """End it, and wait until it has ended."""
    process.terminate()
    process.communicate()


def call(process: "subprocess.Popen[str]", number: int, method: str, params: dict[str, Any]) -> Any:
    """Codex's answer to one call, whether a result or an error."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps({"id": number, "method": method, "params": params}) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        answer = json.loads(line)
        if answer.get("id") == number:
            return answer
    raise AssertionError(f"Codex ended before it answered {method}")


def codex_exec(codex: str, home: Path, config: str, *arguments: str) -> None:
    """Let Codex do a turn in a process of its own."""
    (home / "config.toml").write_text(config)
    done = subprocess.run(
        [codex, "exec", "--skip-git-repo-check", *arguments],
        env={**os.environ, "CODEX_HOME": str(home)},
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
