"""The threads of the sample home, and the requests that the scripts of dialogues share."""

from collections.abc import Iterator
from typing import Any

from tests.protocol.dialogue import NO_PARAMS, Step

# Threads of the sample home.
LEGACY = "01a04794-4fe6-7fa2-bf70-a47f55d11cd6"
PAGINATED = "01a1d5a8-28b3-70d2-be3d-e471002c8e45"
COMPRESSED = "01a0f755-f3b1-74e1-8403-837e20a2c2a8"
OLD = "019aa4af-3e38-7b32-a125-64d5797ab17a"
ARCHIVED_LEGACY = "019e3dc2-064d-7792-9f49-5b433a18d46a"
ARCHIVED_PAGINATED = "01a1d639-8b8a-7212-aaa1-899e2340b2f2"
FORK_PARENT = "01a1d3b1-d2a2-70c2-8698-6bd70d6af13d"
FORK_CHILD = "01a1d3c7-6165-74f1-8a0e-254c9c526176"
LEGACY_FORK_PARENT = "01a1e7ec-1e55-7530-b40a-ec7a1c169dc1"
SPAWN_PARENT = "01a1f5d2-df73-7bc1-933a-308c05719292"
SPAWN_CHILD = "01a1f5d2-e031-79c2-b345-bb9f4d22ee6c"
LEGACY_SPAWN_PARENT = "01a04cbf-4b59-7242-ab01-a5078e04ff49"
UNKNOWN = "01a00000-0000-7000-8000-000000000000"
BOTH = {"legacy": LEGACY, "paginated": PAGINATED}

CLIENT = {"name": "threadkeep-tests", "title": "Tests", "version": "1"}
EXPERIMENTAL = {"clientInfo": CLIENT, "capabilities": {"experimentalApi": True}}
ITEM = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "an item from outside"}],
}
# Methods that want a threadId, with the least that they want besides.
OF_A_THREAD: dict[str, dict[str, Any]] = {
    "thread/read": {},
    "thread/resume": {},
    "thread/fork": {},
    "thread/name/set": {"name": "a name"},
    "thread/metadata/update": {"gitInfo": {"branch": "main"}},
    "thread/memoryMode/set": {"mode": "disabled"},
    "thread/archive": {},
    "thread/unarchive": {},
    "thread/delete": {},
    "thread/unsubscribe": {},
    "thread/inject_items": {"items": [ITEM]},
}


def ask(at: str, name: str, method: str, params: Any = NO_PARAMS, **binds: str) -> Step:
    """A request; ``binds`` names what is kept of the answer, by its path."""
    return Step(name, at, method, params, {f"<{key}>": path for key, path in binds.items()})


def greet(at: str) -> Iterator[Step]:
    """The handshake of a client."""
    yield ask(at, f"greeting of {at}", "initialize", EXPERIMENTAL)
    yield Step(f"thanks of {at}", at, "initialized", answered=False)
