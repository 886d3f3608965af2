"""What the dialogue asks: every method that we serve, and every way to be refused that we know."""

from collections.abc import Iterator, Sequence
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


def script() -> list[Step]:
    """The whole dialogue."""
    return [
        *_handshake(),
        *_refusals(),
        *_lists(),
        *_reads(),
        *_live("legacy", {"historyMode": "legacy"}),
        *_live("paginated", {}),
        *_ephemeral(),
        *_stored("legacy", LEGACY),
        *_stored("paginated", PAGINATED),
        *_stored("compressed", COMPRESSED),
        *_archived("legacy", ARCHIVED_LEGACY),
        *_archived("paginated", ARCHIVED_PAGINATED),
        *_families(),
        *_deaf(),
        *_two_servers(),
    ]


def _ask(at: str, name: str, method: str, params: Any = NO_PARAMS, **binds: str) -> Step:
    return Step(name, at, method, params, {f"<{key}>": path for key, path in binds.items()})


def _greet(at: str) -> Iterator[Step]:
    yield _ask(at, f"greeting of {at}", "initialize", EXPERIMENTAL)
    yield Step(f"thanks of {at}", at, "initialized", answered=False)


def _handshake() -> Iterator[Step]:
    at = "plain"
    yield _ask(at, "list before initialize", "thread/list", {})
    yield _ask(at, "unknown method before initialize", "thread/nothing", {})
    yield Step("initialized before initialize", at, "initialized", answered=False)
    yield _ask(at, "initialize without clientInfo", "initialize", {})
    yield _ask(at, "initialize without params", "initialize")
    yield _ask(at, "initialize", "initialize", {"clientInfo": CLIENT})
    yield _ask(at, "initialize again", "initialize", {"clientInfo": CLIENT})
    yield _ask(at, "request before initialized", "thread/loaded/list", {})
    yield Step("initialized", at, "initialized", answered=False)
    yield Step("initialized again", at, "initialized", answered=False)
    lines = {
        "no JSON": "{nothing",
        "an empty line": "",
        "no object": "[]",
        "no method": '{"id": <number>}',
        "a method that is no text": '{"id": <number>, "method": 7, "params": {}}',
        "an id that is null": '{"id": null, "method": "thread/loaded/list", "params": {}}',
        "an id that is a fraction": '{"id": 1.5, "method": "thread/loaded/list", "params": {}}',
        "an unknown notification": '{"method": "thread/nothing", "params": {}}',
        "an answer to nothing": '{"id": <number>, "result": {}}',
    }
    for name, line in lines.items():
        yield Step(name, at, line=line, answered=False)
    lines = {
        "an id that is a text": '{"id": "x-1", "method": "thread/loaded/list", "params": {}}',
        "with jsonrpc": '{"jsonrpc": "2.0", "id": <number>, "method": "thread/loaded/list",'
        ' "params": {}}',
        "with another jsonrpc": '{"jsonrpc": "1.0", "id": <number>,'
        ' "method": "thread/loaded/list", "params": {}}',
        "with a trace and an unknown member": '{"id": <number>, "method": "thread/loaded/list",'
        ' "params": {}, "trace": null, "news": 1}',
        "without params": '{"id": <number>, "method": "thread/loaded/list"}',
        "params that are null": '{"id": <number>, "method": "thread/loaded/list", "params": null}',
        "params that are a list": '{"id": <number>, "method": "thread/loaded/list", "params": []}',
    }
    for name, line in lines.items():
        yield Step(name, at, line=line)
    yield _ask(at, "unknown method", "thread/nothing", {})
    # What wants the capability, on a connection that did not ask for it
    unasked: list[tuple[str, dict[str, Any]]] = [
        ("thread/memoryMode/set", {"threadId": PAGINATED, "mode": "enabled"}),
        ("thread/search", {"searchTerm": "x"}),
        ("thread/search/stream", {"searchTerm": "x"}),
        ("thread/search/cancel", {"requestId": 1}),
        ("thread/search/stream/cancel", {"requestId": 1}),
        ("thread/realtime/list", {"threadId": UNKNOWN}),
        ("thread/list", {"ancestorThreadId": UNKNOWN}),
        ("thread/list", {"parentThreadId": None, "limit": 1}),
        ("thread/start", {"historyMode": "legacy"}),
        ("thread/resume", {"threadId": UNKNOWN, "path": "/nowhere"}),
        ("thread/resume", {"threadId": UNKNOWN, "history": []}),
        ("thread/resume", {"threadId": UNKNOWN, "excludeTurns": True}),
        ("thread/fork", {"threadId": UNKNOWN, "path": "/nowhere"}),
        ("thread/fork", {"threadId": UNKNOWN, "excludeTurns": True}),
        ("thread/fork", {"threadId": UNKNOWN, "beforeTurnId": "x"}),
        ("thread/metadata/update", {"threadId": UNKNOWN, "projectId": None}),
        ("thread/inject_items", {"threadId": UNKNOWN, "items": []}),
    ]
    for method, params in unasked:
        fields = " ".join(key for key in params if key not in ("threadId", "mode"))
        yield _ask(at, f"without capability: {method} {fields}".strip(), method, params)
    yield Step("end of plain", at, ends=True)


def _refusals() -> Iterator[Step]:
    at = "main"
    yield from _greet(at)
    for method, more in OF_A_THREAD.items():
        yield _ask(at, f"{method} without params", method)
        yield _ask(at, f"{method} with empty params", method, {})
        yield _ask(at, f"{method} with an ill-typed id", method, {"threadId": 7} | more)
        yield _ask(at, f"{method} with a malformed id", method, {"threadId": "no-id"} | more)
        yield _ask(at, f"{method} with an empty id", method, {"threadId": ""} | more)
        yield _ask(at, f"{method} with an unknown id", method, {"threadId": UNKNOWN} | more)
        for key in more:
            yield _ask(at, f"{method} without {key}", method, {"threadId": UNKNOWN})
            ill = {"threadId": UNKNOWN, key: 7}
            yield _ask(at, f"{method} with ill-typed {key}", method, ill)
    ill_typed: list[tuple[str, dict[str, Any]]] = [
        ("thread/list", {"limit": "many"}),
        ("thread/list", {"limit": -1}),
        ("thread/list", {"limit": 1.5}),
        ("thread/list", {"sortKey": "name"}),
        ("thread/list", {"sortDirection": "up"}),
        ("thread/list", {"modelProviders": "mock"}),
        ("thread/list", {"sourceKinds": ["nothing"]}),
        ("thread/list", {"archived": "yes"}),
        ("thread/list", {"cwd": 7}),
        ("thread/list", {"excludedThreadIds": ["no-id"]}),
        ("thread/list", {"excludedThreadIds": ["no-id"] * 101}),
        ("thread/list", {"includedThreadIds": ["no-id"]}),
        ("thread/list", {"includedThreadIds": [LEGACY] * 101}),
        ("thread/list", {"includedThreadIds": ["no-id"], "excludedThreadIds": ["", ""]}),
        ("thread/list", {"includedThreadIds": 7}),
        ("thread/list", {"originators": ["x"]}),
        ("thread/list", {"projectId": "no-project"}),
        ("thread/list", {"sectionId": "no-section"}),
        ("thread/list", {"sortKey": "section_position"}),
        ("thread/list", {"parentThreadId": SPAWN_PARENT, "ancestorThreadId": SPAWN_PARENT}),
        ("thread/list", {"parentThreadId": "no-id"}),
        ("thread/list", {"cursor": "no-cursor"}),
        ("thread/list", {"cursor": ""}),
        ("thread/list", {"cursor": "", "useStateDbOnly": True}),
        ("thread/list", {"cursor": "2026-01-01T00:00:00Z|no-id"}),
        ("thread/loaded/list", {"cursor": "no-cursor"}),
        ("thread/loaded/list", {"limit": -1}),
        ("thread/read", {"threadId": LEGACY, "includeTurns": "yes"}),
        ("thread/start", {"cwd": 7}),
        ("thread/start", {"historyMode": "other"}),
        ("thread/start", {"sandbox": "other"}),
        ("thread/start", {"modelProvider": "nobody"}),
        ("thread/resume", {"threadId": LEGACY, "excludeTurns": 7}),
        ("thread/resume", {"threadId": LEGACY, "modelProvider": "nobody"}),
        ("thread/resume", {"threadId": UNKNOWN, "path": "/nowhere.jsonl"}),
        ("thread/fork", {"threadId": LEGACY, "lastTurnId": "no-turn"}),
        ("thread/fork", {"threadId": PAGINATED, "lastTurnId": "no-turn"}),
        ("thread/fork", {"threadId": PAGINATED, "lastTurnId": "a", "beforeTurnId": "b"}),
        ("thread/memoryMode/set", {"threadId": LEGACY, "mode": "other"}),
        ("thread/metadata/update", {"threadId": LEGACY, "projectId": "no-project"}),
        ("thread/search/stream", {"searchTerm": " "}),
        ("thread/search/stream", {"searchTerm": "x", "cursor": "no-cursor"}),
        ("thread/search/cancel", {}),
        ("thread/search/cancel", {"requestId": None}),
        ("thread/search/cancel", {"requestId": "no-request"}),
        ("thread/search/stream/cancel", {"requestId": 1.5}),
        ("thread/search/stream/cancel", {"requestId": 1}),
        ("thread/realtime/list", {"threadId": UNKNOWN}),
        ("thread/realtime/list", {"threadId": LEGACY}),
        ("thread/realtime/list", {"threadId": PAGINATED, "limit": 0}),
        ("thread/realtime/list", {"threadId": PAGINATED, "limit": 501}),
        ("thread/realtime/list", {"threadId": PAGINATED, "cursor": "no-cursor"}),
        ("thread/realtime/list", {"threadId": PAGINATED, "eventId": "no-event"}),
        ("thread/realtime/list", {"threadId": PAGINATED, "afterPosition": -1}),
        (
            "thread/realtime/list",
            {"threadId": PAGINATED, "fromObservedAtMs": 2, "toObservedAtMs": 2},
        ),
        ("thread/realtime/list", {"threadId": PAGINATED, "snapshotEnd": 5}),
    ]
    for method, params in ill_typed:
        fields = " ".join(f"{key}={params[key]}" for key in params if key != "threadId")[:200]
        of = {LEGACY: " of legacy", PAGINATED: " of paginated"}.get(params.get("threadId", ""), "")
        yield _ask(at, f"{method}{of} with {fields}", method, params)


def _lists() -> Iterator[Step]:
    at = "main"
    yield _ask(at, "list without params", "thread/list")
    for only in (True, False):
        how = "index" if only else "scan"
        base = {"limit": 2, "useStateDbOnly": only}
        yield _ask(
            at,
            f"{how}: first page",
            "thread/list",
            base,
            **{f"next {how}": "nextCursor", f"back {how}": "backwardsCursor"},
        )
        after = {"cursor": f"<next {how}>"}
        yield _ask(at, f"{how}: second page", "thread/list", base | after)
        back = {"cursor": f"<back {how}>", "sortDirection": "asc"}
        yield _ask(at, f"{how}: back", "thread/list", base | back)
    every: dict[str, Any] = {"limit": 2, "useStateDbOnly": True, "modelProviders": []}
    some: dict[str, dict[str, Any]] = {
        "limit 0": {"limit": 0},
        "by update": {"sortKey": "updated_at"},
        "by recency": {"sortKey": "recency_at"},
        "oldest first": {"sortDirection": "asc"},
        "archived": {"archived": True},
        "archived legacy": {"archived": True, "searchTerm": "archive", "limit": 1},
        "executed": {"sourceKinds": ["exec"]},
        "spawned": {"sourceKinds": ["subAgentThreadSpawn"], "limit": 1},
        "children": {"parentThreadId": SPAWN_PARENT},
        "descendants": {"ancestorThreadId": SPAWN_PARENT},
        "children of nobody": {"parentThreadId": UNKNOWN},
        "two by their ids": {"includedThreadIds": [LEGACY, PAGINATED]},
        "one of two by its id": {
            "includedThreadIds": [LEGACY, PAGINATED.upper()],
            "excludedThreadIds": [LEGACY],
        },
        "none by its id": {"includedThreadIds": []},
        "an executed one by its id": {"includedThreadIds": [LEGACY], "sourceKinds": ["exec"]},
        "no folder": {"cwd": []},
        "another folder": {"cwd": "/nowhere"},
        "a term": {"searchTerm": "fork"},
        "a term that is nowhere": {"searchTerm": "that is nowhere"},
        "another provider": {"modelProviders": ["nobody"]},
        "an end": {"cursor": "1999-01-01T00:00:00Z"},
        "a cursor of a file name": {"cursor": "2026-08-28T16-54-57"},
        "unknown fields": {"news": 1, "limit": 1},
    }
    for name, params in some.items():
        yield _ask(at, f"list: {name}", "thread/list", every | params)
    nowhere = {"searchTerm": "that is nowhere at all"}
    yield _ask(at, "stream: a term that is nowhere", "thread/search/stream", nowhere)


def _reads() -> Iterator[Step]:
    at = "main"
    for name, thread in {
        "legacy": LEGACY,
        "paginated": PAGINATED,
        "compressed": COMPRESSED,
        "old": OLD,
        "archived": ARCHIVED_PAGINATED,
        "fork": FORK_CHILD,
        "spawned": SPAWN_CHILD,
    }.items():
        yield _ask(at, f"read {name}", "thread/read", {"threadId": thread})
        if name not in ("spawned",):
            params = {"threadId": thread, "includeTurns": True}
            yield _ask(at, f"read {name} with turns", "thread/read", params)
    for name, text in {
        "in capitals": LEGACY.upper(),
        "without hyphens": LEGACY.replace("-", ""),
        "in braces": f"{{{LEGACY}}}",
        "as a URN": f"urn:uuid:{LEGACY}",
    }.items():
        yield _ask(at, f"read an id {name}", "thread/read", {"threadId": text})


def _live(kind: str, mode: dict[str, Any]) -> Iterator[Step]:
    """A thread that is started, before and after it has a file."""
    at, name = "main", f"new {kind}"
    me = f"<{name}>"
    the: dict[str, Any] = {"threadId": me}
    yield _ask(at, f"{name}: start", "thread/start", mode, **{name: "thread.id"})
    yield _ask(at, f"{name}: loaded", "thread/loaded/list", {})
    yield _ask(at, f"{name}: read", "thread/read", the)
    yield _ask(at, f"{name}: read with turns", "thread/read", the | {"includeTurns": True})
    yield _ask(at, f"{name}: list", "thread/list", {"limit": 1, "sortKey": "updated_at"})
    yield _ask(at, f"{name}: resume without a file", "thread/resume", the)
    yield _ask(at, f"{name}: fork without a file", "thread/fork", the)
    yield _ask(at, f"{name}: inject nothing", "thread/inject_items", the | {"items": []})
    yield _ask(at, f"{name}: inject no item", "thread/inject_items", the | {"items": [7]})
    bad = {"items": [{"type": "message"}]}
    yield _ask(at, f"{name}: inject half an item", "thread/inject_items", the | bad)
    odd = {"items": [{"type": "of_the_future", "x": 1}]}
    yield _ask(at, f"{name}: inject an unknown item", "thread/inject_items", the | odd)
    for retention in ("x", "always"):
        kept = {"items": [{"item": ITEM, "retention": retention}]}
        step = f"{name}: inject with retention {retention}"
        yield _ask(at, step, "thread/inject_items", the | kept)
    yield _ask(at, f"{name}: inject", "thread/inject_items", the | {"items": [ITEM]})
    yield _ask(at, f"{name}: read after inject", "thread/read", the)
    yield _ask(at, f"{name}: read turns after inject", "thread/read", the | {"includeTurns": True})
    yield _ask(at, f"{name}: name", "thread/name/set", the | {"name": "  named  "})
    yield _ask(at, f"{name}: the same name", "thread/name/set", the | {"name": "named"})
    git = {"gitInfo": {"branch": "b", "sha": "c0ffee"}}
    yield _ask(at, f"{name}: metadata", "thread/metadata/update", the | git)
    yield _ask(at, f"{name}: memory", "thread/memoryMode/set", the | {"mode": "disabled"})
    yield _ask(at, f"{name}: read after changes", "thread/read", the)
    yield _ask(at, f"{name}: list after changes", "thread/list", {"limit": 1})
    yield _ask(at, f"{name}: resume", "thread/resume", the)
    stale = {"path": "<home>/nowhere.jsonl"}
    yield _ask(at, f"{name}: resume with a stale path", "thread/resume", the | stale)
    yield _ask(at, f"{name}: fork", "thread/fork", the, **{f"fork of {name}": "thread.id"})
    yield _ask(at, f"{name}: unsubscribe", "thread/unsubscribe", the)
    yield _ask(at, f"{name}: unsubscribe again", "thread/unsubscribe", the)
    yield _ask(at, f"{name}: loaded after unsubscribe", "thread/loaded/list", {})
    yield _ask(at, f"{name}: name unsubscribed", "thread/name/set", the | {"name": "unheard"})
    yield _ask(at, f"{name}: delete with a fork", "thread/delete", the)
    yield _ask(at, f"{name}: loaded after refusal", "thread/loaded/list", {})
    fork = {"threadId": f"<fork of {name}>"}
    yield _ask(at, f"{name}: delete the fork", "thread/delete", fork)
    yield _ask(at, f"{name}: archive", "thread/archive", the)
    yield _ask(at, f"{name}: unarchive", "thread/unarchive", the)
    yield _ask(at, f"{name}: delete", "thread/delete", the)
    yield _ask(at, f"{name}: delete again", "thread/delete", the)
    yield _ask(at, f"{name}: read deleted", "thread/read", the)
    other = {"name": f"unwritten {kind}", "me": f"<unwritten {kind}>"}
    the = {"threadId": other["me"]}
    options = mode | {"cwd": "<work>/there", "model": "m", "sandbox": "read-only"}
    options |= {"approvalPolicy": "never"}
    yield _ask(
        at, f"{name}: start with options", "thread/start", options, **{other["name"]: "thread.id"}
    )
    yield _ask(at, f"{name}: archive without a file", "thread/archive", the)
    yield _ask(at, f"{name}: read archived", "thread/read", the)
    yield _ask(at, f"{name}: delete archived", "thread/delete", the)
    last = f"unnamed {kind}"
    the = {"threadId": f"<{last}>"}
    yield _ask(at, f"{name}: start a third", "thread/start", mode, **{last: "thread.id"})
    yield _ask(at, f"{name}: name without a file", "thread/name/set", the | {"name": "early"})
    yield _ask(at, f"{name}: read named", "thread/read", the)
    yield _ask(at, f"{name}: delete a third", "thread/delete", the)
    bare: list[tuple[str, dict[str, Any]]] = [
        ("thread/metadata/update", {"gitInfo": {"branch": "b"}}),
        ("thread/memoryMode/set", {"mode": "disabled"}),
        ("thread/delete", {}),
        ("thread/unsubscribe", {}),
    ]
    for number, (method, more) in enumerate(bare):
        me = f"bare {kind} {number}"
        the = {"threadId": f"<{me}>"}
        yield _ask(at, f"{me}: start", "thread/start", mode, **{me: "thread.id"})
        yield _ask(at, f"{me}: {method}", method, the | more)
        yield _ask(at, f"{me}: read", "thread/read", the)
        yield _ask(at, f"{me}: delete", "thread/delete", the)


def _ephemeral() -> Iterator[Step]:
    # A connection of its own: a thread without subscribers is closed after a while.
    at = "passing"
    yield from _greet(at)
    start = {"ephemeral": True}
    the = {"threadId": "<passing>"}
    yield _ask(at, "ephemeral: start", "thread/start", start, passing="thread.id")
    for method, more in OF_A_THREAD.items():
        if method != "thread/unsubscribe":
            yield _ask(at, f"ephemeral: {method}", method, the | more)
    turns = the | {"includeTurns": True}
    yield _ask(at, "ephemeral: read with turns", "thread/read", turns)
    yield _ask(at, "ephemeral: unsubscribe", "thread/unsubscribe", the)
    for kind, thread in BOTH.items():
        params: dict[str, Any] = {"threadId": thread, "ephemeral": True}
        yield _ask(at, f"ephemeral: fork of {kind}", "thread/fork", params)
        params["excludeTurns"] = True
        yield _ask(at, f"ephemeral: fork of {kind} without turns", "thread/fork", params)
    yield Step("end of passing", at, ends=True)


def _stored(kind: str, thread: str) -> Iterator[Step]:
    """A thread of the home: changed while it is not loaded, then loaded."""
    at = "main"
    the: dict[str, Any] = {"threadId": thread}
    yield _ask(at, f"{kind}: unarchive active", "thread/unarchive", the)
    yield _ask(at, f"{kind}: unsubscribe unloaded", "thread/unsubscribe", the)
    yield _ask(at, f"{kind}: inject unloaded", "thread/inject_items", the | {"items": [ITEM]})
    for name in ("", "  \t ", "a new name", "a\nline", "x" * 300):
        shown = name if len(name) < 20 else "a long one"
        yield _ask(at, f"{kind}: name {shown!r}", "thread/name/set", the | {"name": name})
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
        yield _ask(at, f"{kind}: metadata {name}", "thread/metadata/update", the | update)
    for mode in ("disabled", "enabled"):
        yield _ask(at, f"{kind}: memory {mode}", "thread/memoryMode/set", the | {"mode": mode})
    yield _ask(at, f"{kind}: read after changes", "thread/read", the)
    few = the | {"excludeTurns": True}
    yield _ask(at, f"{kind}: resume without turns", "thread/resume", few, **{kind: "thread.path"})
    yield _ask(at, f"{kind}: resume again", "thread/resume", the)
    page = few | {"initialTurnsPage": {"limit": 1}}
    yield _ask(at, f"{kind}: resume with a page", "thread/resume", page)
    at_path = few | {"path": f"<{kind}>"}
    yield _ask(at, f"{kind}: resume with its path", "thread/resume", at_path)
    yield _ask(at, f"{kind}: loaded", "thread/loaded/list", {})
    yield _ask(at, f"{kind}: loaded, one", "thread/loaded/list", {"limit": 1})
    yield _ask(at, f"{kind}: loaded, zero", "thread/loaded/list", {"limit": 0})
    yield _ask(at, f"{kind}: loaded, bad cursor", "thread/loaded/list", {"cursor": "no-cursor"})
    yield _ask(at, f"{kind}: loaded after all", "thread/loaded/list", {"cursor": "f" * 8})
    yield _ask(at, f"{kind}: inject loaded", "thread/inject_items", the | {"items": [ITEM]})
    yield _ask(at, f"{kind}: read loaded", "thread/read", the)
    yield _ask(at, f"{kind}: fork", "thread/fork", the, **{f"fork of {kind}": "thread.id"})
    yield _ask(at, f"{kind}: read the fork", "thread/read", {"threadId": f"<fork of {kind}>"})
    few = the | {"excludeTurns": True, "threadSource": "user", "cwd": "<work>"}
    again = f"second fork of {kind}"
    yield _ask(at, f"{kind}: fork without turns", "thread/fork", few, **{again: "thread.id"})
    yield _ask(at, f"{kind}: archive loaded", "thread/archive", the)
    yield _ask(at, f"{kind}: archive again", "thread/archive", the)
    yield _ask(at, f"{kind}: loaded after archive", "thread/loaded/list", {})
    yield _ask(at, f"{kind}: delete with forks", "thread/delete", the)
    yield _ask(at, f"{kind}: unarchive", "thread/unarchive", the)
    for name in (f"fork of {kind}", again):
        yield _ask(at, f"{kind}: delete {name}", "thread/delete", {"threadId": f"<{name}>"})
    yield _ask(at, f"{kind}: delete", "thread/delete", the)
    yield _ask(at, f"{kind}: resume deleted", "thread/resume", the)


def _archived(kind: str, thread: str) -> Iterator[Step]:
    at = "main"
    the = {"threadId": thread}
    for method, more in OF_A_THREAD.items():
        if method not in ("thread/read", "thread/delete", "thread/unarchive"):
            yield _ask(at, f"archived {kind}: {method}", method, the | more)
    yield _ask(at, f"archived {kind}: unarchive", "thread/unarchive", the)
    yield _ask(at, f"archived {kind}: unarchive again", "thread/unarchive", the)
    yield _ask(at, f"archived {kind}: archive", "thread/archive", the)
    yield _ask(at, f"archived {kind}: delete", "thread/delete", the)
    yield _ask(at, f"archived {kind}: unarchive deleted", "thread/unarchive", the)


def _families() -> Iterator[Step]:
    """Threads on which others depend."""
    at = "main"
    parent, child = {"threadId": FORK_PARENT}, {"threadId": FORK_CHILD}
    yield _ask(at, "fork: delete the parent", "thread/delete", parent)
    yield _ask(at, "fork: archive the parent", "thread/archive", parent)
    yield _ask(at, "fork: read the child", "thread/read", child)
    yield _ask(at, "fork: resume the child", "thread/resume", child | {"excludeTurns": True})
    yield _ask(at, "fork: delete the archived parent", "thread/delete", parent)
    yield _ask(at, "fork: delete the child", "thread/delete", child)
    yield _ask(at, "fork: delete the parent alone", "thread/delete", parent)
    old = {"threadId": LEGACY_FORK_PARENT}
    yield _ask(at, "fork: delete a legacy parent", "thread/delete", old)
    for kind, thread in {"paginated": SPAWN_PARENT, "legacy": LEGACY_SPAWN_PARENT}.items():
        the = {"threadId": thread}
        yield _ask(at, f"spawn {kind}: archive", "thread/archive", the)
        yield _ask(at, f"spawn {kind}: unarchive", "thread/unarchive", the)
        yield _ask(at, f"spawn {kind}: delete", "thread/delete", the)
    yield _ask(at, "spawn: read the deleted child", "thread/read", {"threadId": SPAWN_CHILD})
    yield Step("end of main", at, ends=True)


def _deaf() -> Iterator[Step]:
    """A client that does not want all notifications, and whose params have unknown members."""
    at = "deaf"
    unwanted = ["thread/started", "thread/archived", "no/notification"]
    params = {
        "protocolVersion": "1",
        "clientInfo": {"name": "deaf client", "version": "1", "news": 1},
        "capabilities": {"optOutNotificationMethods": unwanted, "news": 1},
    }
    yield _ask(at, "deaf: ill-typed client", "initialize", {"clientInfo": "me"})
    yield _ask(at, "deaf: client without version", "initialize", {"clientInfo": {"name": "me"}})
    yield _ask(at, "deaf: initialize", "initialize", params)
    yield _ask(at, "deaf: start", "thread/start", {}, deaf="thread.id")
    the = {"threadId": "<deaf>"}
    yield _ask(at, "deaf: inject", "thread/inject_items", the | {"items": [ITEM]})
    yield _ask(at, "deaf: name", "thread/name/set", the | {"name": "heard"})
    yield _ask(at, "deaf: archive", "thread/archive", the)
    yield _ask(at, "deaf: unarchive", "thread/unarchive", the)
    yield _ask(at, "deaf: delete", "thread/delete", the)
    yield Step("end of deaf", at, ends=True)
    yield _ask("odd", "odd: initialize", "initialize", {"clientInfo": CLIENT, "capabilities": None})
    yield Step("end of odd", "odd", ends=True)


TWO: Sequence[tuple[str, str]] = [
    ("legacy", "01a1e766-d60c-7482-82bf-8ac920e24c8b"),
    ("paginated", "01a1da8d-f7f2-7103-9141-8f3e94f0dfb6"),
]


def _two_servers() -> Iterator[Step]:
    """A thread that lives in another server, and after that one has ended."""
    one, other = "one", "other"
    yield from _greet(one)
    yield from _greet(other)
    for kind, thread in TWO:
        few = {"threadId": thread, "excludeTurns": True}
        yield _ask(one, f"two {kind}: resume", "thread/resume", few)
        for method, more in OF_A_THREAD.items():
            params = {"threadId": thread} | more
            if method in ("thread/resume", "thread/fork"):
                params["excludeTurns"] = True
            yield _ask(other, f"two {kind}: {method} elsewhere", method, params)
    yield Step("end of one", one, ends=True)
    for kind, thread in TWO:
        few = {"threadId": thread, "excludeTurns": True}
        yield _ask(other, f"two {kind}: resume after its end", "thread/resume", few)
        yield _ask(other, f"two {kind}: read after its end", "thread/read", {"threadId": thread})
    yield Step("end of other", other, ends=True)
