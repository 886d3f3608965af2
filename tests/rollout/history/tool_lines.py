"""Lines that tell of calls of tools, and what is shown of them."""

import json
from pathlib import Path
from typing import Any

from cli.render.blocks.items import blocks
from rollout.history.transcript import open_transcript, with_calls
from rollout.schema.modes import LEGACY, PAGINATED
from tests.samples.histories import numbered, spell
from tests.samples.long_threads import head, put, said
from tests.samples.rollouts import envelope, event, user

Fields = dict[str, Any]
MODES = (LEGACY, PAGINATED)
PATCH = "*** Begin Patch\n*** Add File: run.sh\n+#!/bin/sh\n*** End Patch"
SCRIPT = f"apply_patch <<'E'\n{PATCH}\nE"
PNG = "iVBORw0KGgo="
RAN = json.dumps({"output": "it ran\n", "metadata": {"exit_code": 3, "duration_seconds": 0.5}})
FREEFORM = "Exit code: 3\nWall time: 0.5 seconds\nOutput:\nit ran\n"
SECONDS = {"secs": 0, "nanos": 500_000_000}
COMMAND_ENDED = {"command": ["bash", "-lc", "make"], "cwd": "/w", "exit_code": 3}
INVOCATION = {"server": "docs", "tool": "look", "arguments": {"q": "x"}}


def item(kind: str, **fields: Any) -> Fields:
    """A ``response_item``."""
    return envelope("response_item", {"type": kind, **fields})


def function(name: str, arguments: object, call_id: str = "c") -> Fields:
    spelled = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return item("function_call", name=name, arguments=spelled, call_id=call_id)


def custom(name: str, text: str) -> Fields:
    return item("custom_tool_call", status="completed", call_id="c", name=name, input=text)


def gave(output: object, call_id: str = "c", kind: str = "function_call_output") -> Fields:
    return item(kind, call_id=call_id, output=output)


def lines_of(mode: str, lines: list[Fields]) -> bytes:
    """A thread with one turn of these lines."""
    asked: Fields = user("do it")
    if mode == PAGINATED:
        content = [{"type": "text", "text": "do it"}]
        asked = said(1, "t", "UserMessage", id="u", content=content)
    begin = event("task_started", turn_id="t")
    whole = [head(1, mode), begin, asked, *lines, event("task_complete", turn_id="t")]
    return spell(numbered(whole) if mode == PAGINATED else whole)


def shown(home: Path, mode: str, *lines: Fields) -> list[tuple[str, str, str]]:
    """Title, state and text of what is shown of these lines; a command's title with ``$``."""
    path = put(home, 1, lines_of(mode, [*lines]))
    with open_transcript(path, lambda _: None) as dialogue:
        (turn,) = range(len(dialogue.turns))
        made = [
            block
            for entry, call in with_calls(dialogue.entries(turn))
            if entry["type"] != "userMessage"
            for block in blocks(entry, call)
        ]
    return [
        (f"$ {block.title}" if block.command else block.title, block.state, block.text)
        for block in made
    ]


MAKE = [("$ make", "exit 3, 500 ms", "it ran")]
PATCHED = [("patch run.sh", "", PATCH)]
SHELLS = {
    "shell": function("shell", {"command": ["bash", "-lc", "make"]}),
    "container.exec": function("container.exec", {"command": ["bash", "-lc", "make"]}),
    "shell_command": function("shell_command", {"command": "make", "workdir": "/w"}),
    "exec_command": function("exec_command", {"cmd": "make"}),
    "local_shell": function("local_shell", {"command": ["bash", "-lc", "make"]}),
    "local_shell_call": item(
        "local_shell_call",
        call_id="c",
        status="completed",
        action={"type": "exec", "command": ["bash", "-lc", "make"], "timeout_ms": 1},
    ),
    "local_shell_call without a call_id": item(
        "local_shell_call", id="c", action={"type": "exec", "command": ["bash", "-lc", "make"]}
    ),
}
