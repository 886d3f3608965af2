"""What the dialogue about turns asks: the methods that give turns and items, with all that their
pages can be asked for.

Codex shows of a paginated thread what it has projected; all that are asked for here are resumed
first, so that it has.
"""

import json
from collections.abc import Iterator
from typing import Any

from tests.protocol.dialogue import Step
from tests.protocol.sample import (
    ARCHIVED_LEGACY,
    ARCHIVED_PAGINATED,
    CLIENT,
    COMPRESSED,
    EXPERIMENTAL,
    FORK_CHILD,
    FORK_PARENT,
    ITEM,
    LEGACY,
    OLD,
    PAGINATED,
    UNKNOWN,
)

FIRST, SECOND = "01a0f755-f3ed-7da1-8e0c-8953b7d22415", "01a0f75f-c19b-76a2-9de0-0707a0da6f0b"
"""The turns of the compressed thread."""
LEGACY_TURN = "01a04794-500c-7b93-add8-5e33133e735e"
LONG_LEGACY = "019f2341-8666-7d01-9145-903b89d3d52a"
MISSING: dict[str, Any] = {
    "thread/turns/list": {},
    "thread/items/list": {},
    "thread/items/read": {"turnId": SECOND, "itemIds": ["msg_1697"]},
}
TURNS, ITEMS = "turns", "itemsByCreatedAtOrdinal"


def cursor(thread: str, ordinal: int, kind: str, *, anchor: bool) -> str:
    """A cursor of a paginated thread."""
    value = {
        "requestedThreadId": thread,
        "rolloutOrdinal": ordinal,
        "includeAnchor": anchor,
        "scope": {"kind": kind},
    }
    return json.dumps(value, separators=(",", ":"))


def turns_script() -> list[Step]:
    """The whole dialogue."""
    steps: list[Step] = []
    names: set[str] = set()
    for step in (*_begin(), *_turns(), *_legacy(), *_items(), *_item(), *_refused(), *_live()):
        assert step.name not in names, step.name
        names.add(step.name)
        steps.append(step)
    return steps


def _ask(name: str, method: str, params: dict[str, Any], at: str = "main", **binds: str) -> Step:
    return Step(name, at, method, params, {f"<{key}>": path for key, path in binds.items()})


def _begin() -> Iterator[Step]:
    yield _ask("greeting", "initialize", EXPERIMENTAL)
    yield Step("thanks", "main", "initialized", answered=False)
    for name, thread in {
        "compressed": COMPRESSED,
        "paginated": PAGINATED,
        "parent": FORK_PARENT,
        "child": FORK_CHILD,
    }.items():
        yield _ask(f"resume {name}", "thread/resume", {"threadId": thread})
        yield _ask(
            f"read resumed {name}", "thread/read", {"threadId": thread, "includeTurns": True}
        )
    pages: dict[str, Any] = {
        "nothing": {},
        "a limit": {"limit": 1},
        "no items": {"limit": 1, "itemsView": "notLoaded"},
        "the oldest": {"limit": 1, "itemsView": "full", "sortDirection": "asc"},
        "a cursor that is none": {"cursor": "x"},
        "a limit below zero": {"limit": -1},
        "an unknown view": {"itemsView": "all"},
    }
    for name, page in pages.items():
        for kind, thread in {"compressed": COMPRESSED, "child": FORK_CHILD, "old": OLD}.items():
            params = {"threadId": thread, "excludeTurns": True, "initialTurnsPage": page}
            yield _ask(f"resume {kind} with a page of {name}", "thread/resume", params)
    both = {"threadId": COMPRESSED, "initialTurnsPage": {"limit": 1}}
    yield _ask("resume with turns and a page", "thread/resume", both)
    yield _ask("fork with turns", "thread/fork", {"threadId": FORK_CHILD}, fork="thread.id")
    yield _ask("turns of the fork", "thread/turns/list", {"threadId": "<fork>"})
    yield _ask("read the fork", "thread/read", {"threadId": "<fork>", "includeTurns": True})


def _turns() -> Iterator[Step]:
    method = "thread/turns/list"
    pages: dict[str, Any] = {
        "nothing more": {},
        "one": {"limit": 1},
        "none": {"limit": 0},
        "many": {"limit": 1000},
        "nulls": {"limit": None, "cursor": None, "itemsView": None, "sortDirection": None},
        "oldest first": {"sortDirection": "asc"},
        "the oldest": {"sortDirection": "asc", "limit": 1},
        "summaries": {"itemsView": "summary"},
        "all items": {"itemsView": "full"},
        "no items": {"itemsView": "notLoaded"},
        "less than none": {"limit": -1},
        "too many": {"limit": 2**32},
        "a limit that is a text": {"limit": "1"},
        "an unknown view": {"itemsView": "all"},
        "an unknown order": {"sortDirection": "up"},
        "no cursor": {"cursor": ""},
        "a cursor that is a number": {"cursor": 7},
    }
    threads = {"compressed": COMPRESSED, "child": FORK_CHILD, "legacy": LONG_LEGACY, "old": OLD}
    for name, more in pages.items():
        for kind, thread in threads.items():
            yield _ask(f"turns of {kind}, {name}", method, {"threadId": thread} | more)
    yield from _placed(method, "compressed", COMPRESSED, TURNS, (0, 1, 2, 20, 21, 22, 100))
    yield from _placed(method, "child", FORK_CHILD, TURNS, (0, 1, 31, 32, 42, 43, 44, 45, 60))
    odd = {
        "of items": cursor(COMPRESSED, 21, ITEMS, anchor=True),
        "of another thread": cursor(PAGINATED, 21, TURNS, anchor=True),
        "of a legacy thread": json.dumps({"turnId": FIRST, "includeAnchor": True}),
        "below zero": cursor(COMPRESSED, -1, TURNS, anchor=True),
        "after a blank": " " + cursor(COMPRESSED, 21, TURNS, anchor=True),
        "with more": cursor(COMPRESSED, 21, TURNS, anchor=True)[:-1] + ',"more":1}',
        "without a scope": json.dumps(
            {"requestedThreadId": COMPRESSED, "rolloutOrdinal": 21, "includeAnchor": True}
        ),
        "with no anchor": json.dumps(
            {"requestedThreadId": COMPRESSED, "rolloutOrdinal": 21, "scope": {"kind": TURNS}}
        ),
        "that is no object": "7",
    }
    for name, text in odd.items():
        params = {"threadId": COMPRESSED, "itemsView": "notLoaded", "cursor": text}
        yield _ask(f"turns at a cursor {name}", method, params)


def _placed(
    method: str, kind: str, thread: str, scope: str, ordinals: tuple[int, ...]
) -> Iterator[Step]:
    for ordinal in ordinals:
        for anchor in (True, False):
            for order in ("asc", "desc"):
                more = {"cursor": cursor(thread, ordinal, scope, anchor=anchor), "limit": 1}
                name = f"{scope} of {kind} at {ordinal} {order}{' too' if anchor else ''}"
                params = {"threadId": thread, "sortDirection": order} | more
                if scope == TURNS:
                    params["itemsView"] = "notLoaded"
                yield _ask(name, method, params)


def _legacy() -> Iterator[Step]:
    method = "thread/turns/list"
    cursors: dict[str, str] = {
        "of no turn": json.dumps({"turnId": "x", "includeAnchor": True}),
        "without an anchor": json.dumps({"turnId": LEGACY_TURN}),
        "with more": json.dumps({"turnId": LEGACY_TURN, "includeAnchor": True, "more": 1}),
        "that is a list": json.dumps([LEGACY_TURN, True]),
        "that is no JSON": "nothing",
        "of a paginated thread": cursor(LEGACY, 1, TURNS, anchor=True),
    }
    for anchor in (True, False):
        for order in ("asc", "desc"):
            text = json.dumps({"turnId": LEGACY_TURN, "includeAnchor": anchor})
            name = f"legacy turns at one {order}{' too' if anchor else ''}"
            params = {"threadId": LEGACY, "cursor": text, "sortDirection": order}
            yield _ask(name, method, params)
    for name, text in cursors.items():
        params = {"threadId": LEGACY, "cursor": text, "itemsView": "notLoaded"}
        yield _ask(f"legacy turns at a cursor {name}", method, params)
    archived = {"threadId": ARCHIVED_LEGACY}
    yield _ask("turns of an archived legacy thread", method, archived)


def _items() -> Iterator[Step]:
    method = "thread/items/list"
    of_first = {"threadId": COMPRESSED, "turnId": FIRST}
    pages: dict[str, Any] = {
        "of a thread": {"threadId": COMPRESSED},
        "of a fork": {"threadId": FORK_CHILD},
        "of a fork, newest first": {"threadId": FORK_CHILD, "sortDirection": "desc"},
        "two": {"threadId": COMPRESSED, "limit": 2},
        "the last two": {"threadId": COMPRESSED, "limit": 2, "sortDirection": "desc"},
        "none": {"threadId": COMPRESSED, "limit": 0},
        "many": {"threadId": COMPRESSED, "limit": 1000},
        "of a turn": of_first,
        "one of a turn": of_first | {"limit": 1},
        "the last of a turn": of_first | {"limit": 1, "sortDirection": "desc"},
        "of a turn of the base": {
            "threadId": FORK_CHILD,
            "turnId": "01a1d3c7-6193-7e81-bfe0-f26af8a47d13",
        },
        "of no turn": {"threadId": COMPRESSED, "turnId": "x"},
        "of an empty turn": {"threadId": COMPRESSED, "turnId": ""},
        "an unknown order": {"threadId": COMPRESSED, "sortDirection": "up"},
        "a turn that is a number": {"threadId": COMPRESSED, "turnId": 7},
        "of a turn from a cursor": {
            "threadId": COMPRESSED,
            "turnId": SECOND,
            "cursor": cursor(COMPRESSED, 9, ITEMS, anchor=True),
        },
        "of a cursor of turns": {
            "threadId": COMPRESSED,
            "cursor": cursor(COMPRESSED, 21, TURNS, anchor=True),
        },
        "of no cursor": {"threadId": COMPRESSED, "cursor": "x"},
    }
    for name, params in pages.items():
        yield _ask(f"items {name}", method, params)
    yield from _placed(method, "compressed", COMPRESSED, ITEMS, (0, 1, 8, 9, 11, 27, 28, 100))
    deferrals: dict[str, Any] = {
        "commands": {"commandExecution": True},
        "tools": {"mcpToolCall": True},
        "both": {"commandExecution": True, "mcpToolCall": True},
        "neither": {"commandExecution": False},
        "nothing": {},
        "what is no flag": {"commandExecution": "yes"},
        "a flag": True,
    }
    for name, value in deferrals.items():
        yield _ask(f"items without output of {name}", method, of_first | {"deferOutput": value})
        params = {"threadId": COMPRESSED, "deferOutput": value}
        yield _ask(f"items of a thread without output of {name}", method, params)
    anchors: dict[str, Any] = {
        "an item": {"type": "item", "itemId": "call_1695"},
        "the last item": {"type": "item", "itemId": "msg_1696"},
        "an item of another turn": {"type": "item", "itemId": "msg_1697"},
        "no item": {"type": "item", "itemId": "x"},
        "an empty item": {"type": "item", "itemId": ""},
        "no type": {"itemId": "call_1695"},
        "another type": {"type": "turn", "itemId": "call_1695"},
        "a number": 7,
    }
    for name, anchor in anchors.items():
        for order in ("asc", "desc"):
            params = of_first | {"cursor": anchor, "sortDirection": order}
            yield _ask(f"items at {name} {order}", method, params)
    at = {"cursor": anchors["an item"]}
    yield _ask("items of a thread at an item", method, {"threadId": COMPRESSED} | at)
    yield _ask("items of no turn at an item", method, {"threadId": COMPRESSED, "turnId": "x"} | at)
    empty = {"threadId": COMPRESSED, "turnId": ""}
    yield _ask("items of an empty turn at an item", method, empty | at)
    yield _ask("items of a legacy thread at an item", method, {"threadId": LEGACY} | at)


def _item() -> Iterator[Step]:
    method = "thread/items/read"
    asked: dict[str, Any] = {
        "two": ["msg_1697", "x", "msg_1697", "01a0f75f-c1a8-7961-af06-46eed8509d25"],
        "no": ["x"],
        "none": [],
        "empty": [""],
        "too many": [str(number) for number in range(101)],
        "enough": [str(number) for number in range(100)],
        "a number": [7],
        "no list": "x",
    }
    for name, ids in asked.items():
        params = {"threadId": COMPRESSED, "turnId": SECOND, "itemIds": ids}
        yield _ask(f"read {name} items", method, params)
    wrong: dict[str, Any] = {
        "of no turn": {"threadId": COMPRESSED, "turnId": "x"},
        "of an empty turn": {"threadId": COMPRESSED, "turnId": ""},
        "without a turn": {"threadId": COMPRESSED},
        "of a legacy thread": {"threadId": LEGACY, "turnId": LEGACY_TURN},
    }
    for name, params in wrong.items():
        yield _ask(f"read items {name}", method, params | {"itemIds": ["msg_1697"]})
    yield _ask("read items without ids", method, {"threadId": COMPRESSED, "turnId": SECOND})
    malformed = {"threadId": "no-id", "turnId": "x", "itemIds": []}
    yield _ask("read no items of no thread", method, malformed)


def _refused() -> Iterator[Step]:
    for method, more in MISSING.items():
        for name, thread in {
            "unknown": UNKNOWN,
            "malformed": "no-id",
            "empty": "",
            "legacy": LEGACY,
            "archived": ARCHIVED_PAGINATED,
            "archived legacy": ARCHIVED_LEGACY,
        }.items():
            yield _ask(f"{method} of {name}", method, {"threadId": thread} | more)
        yield _ask(f"{method} of nothing", method, {})
    at = "plain"
    yield _ask("plain greeting", "initialize", {"clientInfo": CLIENT}, at)
    for method, more in MISSING.items():
        params = {"threadId": LEGACY} | more
        yield _ask(f"{method} without capability", method, params, at)
    the = {"threadId": LEGACY, "turnId": FIRST}
    defer = the | {"deferOutput": {"commandExecution": True}}
    yield _ask("deferOutput without capability", "thread/items/list", defer, at)
    anchor = the | {"cursor": {"type": "item", "itemId": "x"}}
    yield _ask("an anchor without capability", "thread/items/list", anchor, at)
    page = {"threadId": LEGACY, "excludeTurns": True, "initialTurnsPage": {"limit": 1}}
    yield _ask("initialTurnsPage without capability", "thread/resume", page, at)
    yield Step("end of plain", at, ends=True)


def _live() -> Iterator[Step]:
    for kind, mode in {"legacy": {"historyMode": "legacy"}, "paginated": {}}.items():
        the = {"threadId": f"<new {kind}>"}
        yield _ask(f"start new {kind}", "thread/start", mode, **{f"new {kind}": "thread.id"})
        for method, more in MISSING.items():
            yield _ask(f"{method} of a {kind} thread without a file", method, the | more)
        injected = the | {"items": [ITEM]}
        yield _ask(f"inject into {kind}", "thread/inject_items", injected)
        for method, more in MISSING.items():
            yield _ask(f"{method} of a new {kind} thread", method, the | more)
        page: dict[str, Any] = the | {"initialTurnsPage": {}}
        yield _ask(f"resume the new {kind} thread", "thread/resume", page)
    the = {"threadId": "<passing>"}
    yield _ask("start ephemeral", "thread/start", {"ephemeral": True}, passing="thread.id")
    for method, more in MISSING.items():
        yield _ask(f"{method} of an ephemeral thread", method, the | more)
    for kind, thread in {"legacy": LEGACY, "paginated": PAGINATED}.items():
        params = {"threadId": thread, "ephemeral": True}
        yield _ask(f"ephemeral fork of {kind}", "thread/fork", params)
    yield Step("end", "main", ends=True)
