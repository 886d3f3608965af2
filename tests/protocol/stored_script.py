"""What the dialogue asks about threads of the home: changed, loaded, archived, depended on."""

from collections.abc import Iterator, Sequence
from typing import Any

from tests.protocol.dialogue import Step
from tests.protocol.sample import (
    FORK_CHILD,
    FORK_PARENT,
    ITEM,
    LEGACY_FORK_PARENT,
    LEGACY_SPAWN_PARENT,
    OF_A_THREAD,
    SPAWN_CHILD,
    SPAWN_PARENT,
    ask,
    greet,
)


def stored(kind: str, thread: str) -> Iterator[Step]:
    """A thread of the home: changed while it is not loaded, then loaded."""
    at = "main"
    the: dict[str, Any] = {"threadId": thread}
    yield ask(at, f"{kind}: unarchive active", "thread/unarchive", the)
    yield ask(at, f"{kind}: unsubscribe unloaded", "thread/unsubscribe", the)
    yield ask(at, f"{kind}: inject unloaded", "thread/inject_items", the | {"items": [ITEM]})
    for name in ("", "  \t ", "a new name", "a\nline", "x" * 300):
        shown = name if len(name) < 20 else "a long one"
        yield ask(at, f"{kind}: name {shown!r}", "thread/name/set", the | {"name": name})
    updates: dict[str, dict[str, Any]] = {
        "nothing": {},
        "null": {"gitInfo": None},
        "no field": {"gitInfo": {}},
        "empty branch": {"gitInfo": {"branch": ""}},
        "blank sha": {"gitInfo": {"sha": "  "}},
        "ill-typed": {"gitInfo": {"branch": 7}},
        "all": {
            "gitInfo": {
                "sha": "c0ffee",
                "branch": " main ",
                "originUrl": "https://user:secret@example.org/a.git",
            }
        },
        "clear one": {"gitInfo": {"sha": None}},
        "unknown field": {"gitInfo": {"news": "x"}},
        "clear all": {"gitInfo": {"sha": None, "branch": None, "originUrl": None}},
        "daybreak": {"daybreakEnabled": True},
        "no project": {"projectId": None},
    }
    for name, update in updates.items():
        yield ask(at, f"{kind}: metadata {name}", "thread/metadata/update", the | update)
    for mode in ("disabled", "enabled"):
        yield ask(at, f"{kind}: memory {mode}", "thread/memoryMode/set", the | {"mode": mode})
    yield ask(at, f"{kind}: read after changes", "thread/read", the)
    few = the | {"excludeTurns": True}
    yield ask(at, f"{kind}: resume without turns", "thread/resume", few, **{kind: "thread.path"})
    yield ask(at, f"{kind}: resume again", "thread/resume", the)
    page = few | {"initialTurnsPage": {"limit": 1}}
    yield ask(at, f"{kind}: resume with a page", "thread/resume", page)
    at_path = few | {"path": f"<{kind}>"}
    yield ask(at, f"{kind}: resume with its path", "thread/resume", at_path)
    yield ask(at, f"{kind}: loaded", "thread/loaded/list", {})
    yield ask(at, f"{kind}: loaded, one", "thread/loaded/list", {"limit": 1})
    yield ask(at, f"{kind}: loaded, zero", "thread/loaded/list", {"limit": 0})
    yield ask(at, f"{kind}: loaded, bad cursor", "thread/loaded/list", {"cursor": "no-cursor"})
    yield ask(at, f"{kind}: loaded after all", "thread/loaded/list", {"cursor": "f" * 8})
    yield ask(at, f"{kind}: inject loaded", "thread/inject_items", the | {"items": [ITEM]})
    yield ask(at, f"{kind}: read loaded", "thread/read", the)
    yield ask(at, f"{kind}: fork", "thread/fork", the, **{f"fork of {kind}": "thread.id"})
    yield ask(at, f"{kind}: read the fork", "thread/read", {"threadId": f"<fork of {kind}>"})
    few = the | {"excludeTurns": True, "threadSource": "user", "cwd": "<work>"}
    again = f"second fork of {kind}"
    yield ask(at, f"{kind}: fork without turns", "thread/fork", few, **{again: "thread.id"})
    yield ask(at, f"{kind}: archive loaded", "thread/archive", the)
    yield ask(at, f"{kind}: archive again", "thread/archive", the)
    yield ask(at, f"{kind}: loaded after archive", "thread/loaded/list", {})
    yield ask(at, f"{kind}: delete with forks", "thread/delete", the)
    yield ask(at, f"{kind}: unarchive", "thread/unarchive", the)
    for name in (f"fork of {kind}", again):
        yield ask(at, f"{kind}: delete {name}", "thread/delete", {"threadId": f"<{name}>"})
    yield ask(at, f"{kind}: delete", "thread/delete", the)
    yield ask(at, f"{kind}: resume deleted", "thread/resume", the)


def archived(kind: str, thread: str) -> Iterator[Step]:
    """A thread in the archive."""
    at = "main"
    the = {"threadId": thread}
    for method, more in OF_A_THREAD.items():
        if method not in ("thread/read", "thread/delete", "thread/unarchive"):
            yield ask(at, f"archived {kind}: {method}", method, the | more)
    yield ask(at, f"archived {kind}: unarchive", "thread/unarchive", the)
    yield ask(at, f"archived {kind}: unarchive again", "thread/unarchive", the)
    yield ask(at, f"archived {kind}: archive", "thread/archive", the)
    yield ask(at, f"archived {kind}: delete", "thread/delete", the)
    yield ask(at, f"archived {kind}: unarchive deleted", "thread/unarchive", the)


def families() -> Iterator[Step]:
    """Threads on which others depend."""
    at = "main"
    parent, child = {"threadId": FORK_PARENT}, {"threadId": FORK_CHILD}
    yield ask(at, "fork: delete the parent", "thread/delete", parent)
    yield ask(at, "fork: archive the parent", "thread/archive", parent)
    yield ask(at, "fork: read the child", "thread/read", child)
    yield ask(at, "fork: resume the child", "thread/resume", child | {"excludeTurns": True})
    yield ask(at, "fork: delete the archived parent", "thread/delete", parent)
    yield ask(at, "fork: delete the child", "thread/delete", child)
    yield ask(at, "fork: delete the parent alone", "thread/delete", parent)
    old = {"threadId": LEGACY_FORK_PARENT}
    yield ask(at, "fork: delete a legacy parent", "thread/delete", old)
    for kind, thread in {"paginated": SPAWN_PARENT, "legacy": LEGACY_SPAWN_PARENT}.items():
        the = {"threadId": thread}
        yield ask(at, f"spawn {kind}: archive", "thread/archive", the)
        yield ask(at, f"spawn {kind}: unarchive", "thread/unarchive", the)
        yield ask(at, f"spawn {kind}: delete", "thread/delete", the)
    yield ask(at, "spawn: read the deleted child", "thread/read", {"threadId": SPAWN_CHILD})
    yield Step("end of main", at, ends=True)


TWO: Sequence[tuple[str, str]] = [
    ("legacy", "01a1e766-d60c-7482-82bf-8ac920e24c8b"),
    ("paginated", "01a1da8d-f7f2-7103-9141-8f3e94f0dfb6"),
]


def two_servers() -> Iterator[Step]:
    """A thread that lives in another server, and after that one has ended."""
    one, other = "one", "other"
    yield from greet(one)
    yield from greet(other)
    for kind, thread in TWO:
        few = {"threadId": thread, "excludeTurns": True}
        yield ask(one, f"two {kind}: resume", "thread/resume", few)
        for method, more in OF_A_THREAD.items():
            params = {"threadId": thread} | more
            if method in ("thread/resume", "thread/fork"):
                params["excludeTurns"] = True
            yield ask(other, f"two {kind}: {method} elsewhere", method, params)
    yield Step("end of one", one, ends=True)
    for kind, thread in TWO:
        few = {"threadId": thread, "excludeTurns": True}
        yield ask(other, f"two {kind}: resume after its end", "thread/resume", few)
        yield ask(other, f"two {kind}: read after its end", "thread/read", {"threadId": thread})
    yield Step("end of other", other, ends=True)
