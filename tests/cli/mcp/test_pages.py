"""Answers in pages: their cursors lead to the end, and nothing is left out on the way."""

import json
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from cli.mcp.budget import BYTES_A_TOKEN
from tests.cli.mcp.support import asked, called, indexed
from tests.cli.mcp.test_file_changes import STAMP, patch
from tests.samples.homes import encoded, event, lines, thread_id, write

THREADS = 12
TITLE = "a title that is long, 長い, and “quoted” " * 8
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("list_threads", {}),
    ("list_threads", {"limit": 5}),
    ("search_threads", {"query": "what was the title of that quoted speech?"}),
    ("search_threads", {"query": "quoted speech", "limit": 1}),
    ("find_file_changes", {"path": "/elsewhere/lib/util.py"}),
    ("find_file_changes", {"path": "util.py", "with_patch": True, "limit": 2}),
    ("thread_outline", {"thread": thread_id(1)}),
    ("thread_outline", {"thread": thread_id(1), "limit": 1}),
    ("read_turns", {"thread": thread_id(1), "from_turn": 1}),
    ("read_turns", {"thread": thread_id(1), "from_turn": 1, "limit": 2, "include": ["reasoning"]}),
    (
        "read_turns",
        {"thread": thread_id(1), "from_turn": 1, "include": ["messages", "tools", "patches"]},
    ),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Threads with long titles, one of them long and damaged."""
    folder = tmp_path_factory.mktemp("home")
    changed = patch("lib/util.py", 1, times=60)
    said = event(STAMP, "agent_message", message="quoted " + "speech, “not short” " * 50)
    for number in range(1, THREADS + 1):
        told = lines(number, f"{TITLE} number{number % 5}")
        more = []
        for at in range(7 if number == 1 else 1):
            asks = event(STAMP, "user_message", message=f"and {at}? " * (1 + at % 3 * 60))
            more += [asks, said, changed, event(STAMP, "agent_message", message="")]
        damaged = b'{"half\n' * (number == 1)
        write(folder, number, encoded([*told, *more]) + damaged)
    indexed(folder)
    return folder


def taken_apart(tool: str, found: dict[str, Any]) -> list[tuple[str, str]]:
    """What is told of which thread or turn."""
    if tool == "read_turns":
        return [(str(turn["turn"]), turn.get("text", "")) for turn in found["turns"]]
    if tool == "thread_outline":
        return [(str(turn["turn"]), turn["prompt"]) for turn in found["turns"]]
    lists = ("threads", "complete", "partial")
    return [(thread["id"], "") for name in lists for thread in found.get(name, [])]


def joined(tool: str, pages: list[dict[str, Any]]) -> dict[str, str]:
    """The same of all pages, blanks aside, where texts are cut."""
    told: dict[str, str] = {}
    for page in pages:
        for key, text in taken_apart(tool, page):
            assert tool == "read_turns" or key not in told
            told[key] = told.get(key, "") + "".join(text.split())
    return told


async def followed(client: Client, tool: str, **arguments: Any) -> list[dict[str, Any]]:
    """All pages, each of which leads on and keeps to its budget."""
    pages: list[dict[str, Any]] = []
    cursors: set[str] = set()
    cursor = ""
    while cursor or not pages:
        found, text = await called(client, tool, **arguments, cursor=cursor)
        typed = json.dumps(found, separators=(",", ":"), ensure_ascii=False)
        most = max(arguments["max_tokens"], 200) * BYTES_A_TOKEN
        if len(taken_apart(tool, found)) > 1:  # one is told in any case
            assert max(len(text.encode()), len(typed.encode())) <= most
        pages.append(found)
        cursor = found.get("next_cursor", "")
        assert cursor not in cursors
        assert cursor in text
        cursors.add(cursor)
    return pages


@pytest.mark.parametrize(("tool", "arguments"), CALLS)
def test_cursors_lead_to_the_end_and_leave_nothing_out(
    home: Path, tool: str, arguments: dict[str, Any]
) -> None:
    async def work(client: Client) -> None:
        whole = joined(tool, await followed(client, tool, **arguments, max_tokens=20_000))
        assert len(whole) > 5
        for most in (-1, 333):
            pages = await followed(client, tool, **arguments, max_tokens=most)
            assert joined(tool, pages) == whole

    asked(home, work)
