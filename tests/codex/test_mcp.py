"""The real Codex takes our MCP server, and its model calls our tools."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.codex.drive import Drive
from tests.codex.mock_model import mock_model
from tests.support.checks import synced
from tests.support.command import COMMAND, thread_id, write_rollout

CODEX = os.environ.get("THREADKEEP_CODEX_BIN", "")
TOKEN = "a1" * 20
pytestmark = pytest.mark.skipif(not CODEX, reason="no THREADKEEP_CODEX_BIN")


def payloads(path: Path, kind: str) -> list[Any]:
    """What the lines of a rollout hold that are of one kind."""
    every = [json.loads(line)["payload"] for line in path.read_text("utf-8").splitlines()]
    return [payload for payload in every if payload.get("type") == kind]


@contextmanager
def serving(command: Sequence[str]) -> Iterator[str]:
    """A server over HTTP; gives its address."""
    words = [*command, "--http", "--port", "0"]
    environment = {**os.environ, "THREADKEEP_TOKEN": TOKEN}
    with subprocess.Popen(words, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stderr
        yield process.stderr.readline().decode().strip()
        process.terminate()


@pytest.mark.parametrize("by", ["add", "config", "http"])
def test_a_session_of_codex_asks_for_earlier_threads(tmp_path: Path, by: str) -> None:
    index = tmp_path / "state" / "index.sqlite3"
    with ExitStack() as stack:
        config = stack.enter_context(mock_model())
        drive = stack.enter_context(Drive(Path(CODEX), tmp_path, config))
        places = ["--home", str(drive.home), "--db", str(index)]
        program, *words = [*map(str, COMMAND), *places, "mcp"]
        if by == "add":
            drive.run("mcp", "add", "threadkeep", "--", program, *words)
        else:
            block = f"command = {json.dumps(program)}\nargs = {json.dumps(words)}\n"
            if by == "http":
                url = stack.enter_context(serving([program, *words]))
                header = f'{{ Authorization = "Bearer {TOKEN}" }}'
                block = f"url = {json.dumps(url)}\nhttp_headers = {header}\n"
            with (drive.home / "config.toml").open("a", encoding="utf-8") as file:
                file.write(f"\n[mcp_servers.threadkeep]\n{block}")
        listed = drive.run("mcp", "list")
        assert any("threadkeep" in line and "enabled" in line for line in listed.splitlines())
        write_rollout(drive.home, 1, "what was done before", cwd=str(drive.work))
        synced(drive.home, index)
        (path,) = drive.rollouts(drive.execute("look it up #list_threads"))
    (called,) = [
        payload["item"]
        for payload in payloads(path, "item_completed")
        if payload["item"]["type"] == "McpToolCall"
    ]
    assert (called["server"], called["tool"]) == ("threadkeep", "list_threads")
    assert (called["status"], called["result"]["isError"]) == ("completed", False)
    told = payloads(path, "function_call_output")[-1]["output"]  # what the model is shown
    assert thread_id(1) in told
    assert "what was done before" in told
