"""Items of tools, and the call that tells more of one than it does itself."""

from pathlib import Path
from typing import Any

import pytest

from rollout.schema.modes import PAGINATED
from tests.rollout.history.tool_lines import (
    FREEFORM,
    PATCH,
    SHELLS,
    Fields,
    custom,
    function,
    gave,
    item,
    shown,
)
from tests.samples.long_threads import said


def command_item(**fields: Any) -> Fields:
    facts = {"command": ["make"], "cwd": "file:///w", "parsed_cmd": [], "source": "agent"}
    return said(1, "t", "CommandExecution", id="c", **facts, **fields)


ITEMS: dict[str, tuple[list[Fields], list[tuple[str, str, str]]]] = {
    "a command that was refused": (
        [SHELLS["exec_command"], command_item(status="declined"), gave("refused by the user")],
        [("$ make", "declined", "refused by the user")],
    ),
    "a command with all of it": (
        [
            SHELLS["exec_command"],
            command_item(status="failed", aggregated_output="it ran\n", exit_code=3),
            gave(FREEFORM),
        ],
        [("$ make", "exit 3", "it ran")],
    ),
    "a patch that failed": (
        [
            custom("apply_patch", PATCH),
            said(
                1,
                "t",
                "FileChange",
                id="c",
                changes={"a": {"type": "add", "content": "x"}},
                status="failed",
            ),
            gave("no such context"),
        ],
        [("add a", "failed", "+x"), ("patch output", "", "no such context")],
    ),
    "a tool of a client without content": (
        [
            function("look", {"a": 1}),
            said(
                1,
                "t",
                "DynamicToolCall",
                id="c",
                tool="look",
                arguments={"a": 1},
                status="completed",
            ),
            gave("seen"),
        ],
        [('tool look {"a": 1}', "", "seen")],
    ),
    "an output as an item": (
        [
            function("look", {"a": 1}),
            said(1, "t", "FunctionCallOutput", id="c", name="look", output="seen"),
            gave("seen"),
        ],
        [('tool look {"a": 1}', "", "seen")],
    ),
    "an output that a client gave, as an item": (
        [
            item("function_call_output", id="fco", name="k", namespace="agent", output="context"),
            said(1, "t", "FunctionCallOutput", id="fco", name="k", output="context"),
        ],
        [("tool k", "", "context")],
    ),
    "an item of an unknown type": (
        [function("look", {"a": 1}), said(1, "t", "Novel", id="c", seen=1), gave("seen")],
        [("novel, unknown to this version", "", '{"type": "Novel", "id": "c", "seen": 1}')],
    ),
}


@pytest.mark.parametrize("name", ITEMS)
def test_an_item_shows_what_only_the_model_was_told(name: str, tmp_path: Path) -> None:
    lines, expected = ITEMS[name]
    assert shown(tmp_path, PAGINATED, *lines) == expected
