"""What the dialogue asks: every method that we serve, and every way to be refused that we know."""

from collections.abc import Iterator
from typing import Any

from tests.protocol.dialogue import Step
from tests.protocol.sample import (
    ARCHIVED_LEGACY,
    ARCHIVED_PAGINATED,
    BOTH,
    CLIENT,
    COMPRESSED,
    FORK_CHILD,
    ITEM,
    LEGACY,
    OF_A_THREAD,
    OLD,
    PAGINATED,
    SPAWN_CHILD,
    SPAWN_PARENT,
    UNKNOWN,
    ask,
    greet,
)
from tests.protocol.stored_script import archived, families, stored, two_servers


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
        *stored("legacy", LEGACY),
        *stored("paginated", PAGINATED),
        *stored("compressed", COMPRESSED),
        *archived("legacy", ARCHIVED_LEGACY),
        *archived("paginated", ARCHIVED_PAGINATED),
        *families(),
        *_deaf(),
        *two_servers(),
    ]


def _handshake() -> Iterator[Step]:
    at = "plain"
    yield ask(at, "list before initialize", "thread/list", {})
    yield ask(at, "unknown method before initialize", "thread/nothing", {})
    yield Step("initialized before initialize", at, "initialized", answered=False)
    yield ask(at, "initialize without clientInfo", "initialize", {})
    yield ask(at, "initialize without params", "initialize")
    yield ask(at, "initialize", "initialize", {"clientInfo": CLIENT})
    yield ask(at, "initialize again", "initialize", {"clientInfo": CLIENT})
    yield ask(at, "request before initialized", "thread/loaded/list", {})
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
    yield ask(at, "unknown method", "thread/nothing", {})
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
        yield ask(at, f"without capability: {method} {fields}".strip(), method, params)
    yield Step("end of plain", at, ends=True)


def _refusals() -> Iterator[Step]:
    at = "main"
    yield from greet(at)
    for method, more in OF_A_THREAD.items():
        yield ask(at, f"{method} without params", method)
        yield ask(at, f"{method} with empty params", method, {})
        yield ask(at, f"{method} with an ill-typed id", method, {"threadId": 7} | more)
        yield ask(at, f"{method} with a malformed id", method, {"threadId": "no-id"} | more)
        yield ask(at, f"{method} with an empty id", method, {"threadId": ""} | more)
        yield ask(at, f"{method} with an unknown id", method, {"threadId": UNKNOWN} | more)
        for key in more:
            yield ask(at, f"{method} without {key}", method, {"threadId": UNKNOWN})
            ill = {"threadId": UNKNOWN, key: 7}
            yield ask(at, f"{method} with ill-typed {key}", method, ill)
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
        yield ask(at, f"{method}{of} with {fields}", method, params)


def _lists() -> Iterator[Step]:
    at = "main"
    yield ask(at, "list without params", "thread/list")
    for only in (True, False):
        how = "index" if only else "scan"
        base = {"limit": 2, "useStateDbOnly": only}
        yield ask(
            at,
            f"{how}: first page",
            "thread/list",
            base,
            **{f"next {how}": "nextCursor", f"back {how}": "backwardsCursor"},
        )
        after = {"cursor": f"<next {how}>"}
        yield ask(at, f"{how}: second page", "thread/list", base | after)
        back = {"cursor": f"<back {how}>", "sortDirection": "asc"}
        yield ask(at, f"{how}: back", "thread/list", base | back)
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
        yield ask(at, f"list: {name}", "thread/list", every | params)
    nowhere = {"searchTerm": "that is nowhere at all"}
    yield ask(at, "stream: a term that is nowhere", "thread/search/stream", nowhere)


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
        yield ask(at, f"read {name}", "thread/read", {"threadId": thread})
        if name not in ("spawned",):
            params = {"threadId": thread, "includeTurns": True}
            yield ask(at, f"read {name} with turns", "thread/read", params)
    for name, text in {
        "in capitals": LEGACY.upper(),
        "without hyphens": LEGACY.replace("-", ""),
        "in braces": f"{{{LEGACY}}}",
        "as a URN": f"urn:uuid:{LEGACY}",
    }.items():
        yield ask(at, f"read an id {name}", "thread/read", {"threadId": text})


def _live(kind: str, mode: dict[str, Any]) -> Iterator[Step]:
    """A thread that is started, before and after it has a file."""
    at, name = "main", f"new {kind}"
    me = f"<{name}>"
    the: dict[str, Any] = {"threadId": me}
    yield ask(at, f"{name}: start", "thread/start", mode, **{name: "thread.id"})
    yield ask(at, f"{name}: loaded", "thread/loaded/list", {})
    yield ask(at, f"{name}: read", "thread/read", the)
    yield ask(at, f"{name}: read with turns", "thread/read", the | {"includeTurns": True})
    yield ask(at, f"{name}: list", "thread/list", {"limit": 1, "sortKey": "updated_at"})
    yield ask(at, f"{name}: resume without a file", "thread/resume", the)
    yield ask(at, f"{name}: fork without a file", "thread/fork", the)
    yield ask(at, f"{name}: inject nothing", "thread/inject_items", the | {"items": []})
    yield ask(at, f"{name}: inject no item", "thread/inject_items", the | {"items": [7]})
    bad = {"items": [{"type": "message"}]}
    yield ask(at, f"{name}: inject half an item", "thread/inject_items", the | bad)
    odd = {"items": [{"type": "of_the_future", "x": 1}]}
    yield ask(at, f"{name}: inject an unknown item", "thread/inject_items", the | odd)
    for retention in ("x", "always"):
        kept = {"items": [{"item": ITEM, "retention": retention}]}
        step = f"{name}: inject with retention {retention}"
        yield ask(at, step, "thread/inject_items", the | kept)
    yield ask(at, f"{name}: inject", "thread/inject_items", the | {"items": [ITEM]})
    yield ask(at, f"{name}: read after inject", "thread/read", the)
    yield ask(at, f"{name}: read turns after inject", "thread/read", the | {"includeTurns": True})
    yield ask(at, f"{name}: name", "thread/name/set", the | {"name": "  named  "})
    yield ask(at, f"{name}: the same name", "thread/name/set", the | {"name": "named"})
    git = {"gitInfo": {"branch": "b", "sha": "c0ffee"}}
    yield ask(at, f"{name}: metadata", "thread/metadata/update", the | git)
    yield ask(at, f"{name}: memory", "thread/memoryMode/set", the | {"mode": "disabled"})
    yield ask(at, f"{name}: read after changes", "thread/read", the)
    yield ask(at, f"{name}: list after changes", "thread/list", {"limit": 1})
    yield ask(at, f"{name}: resume", "thread/resume", the)
    stale = {"path": "<home>/nowhere.jsonl"}
    yield ask(at, f"{name}: resume with a stale path", "thread/resume", the | stale)
    yield ask(at, f"{name}: fork", "thread/fork", the, **{f"fork of {name}": "thread.id"})
    yield ask(at, f"{name}: unsubscribe", "thread/unsubscribe", the)
    yield ask(at, f"{name}: unsubscribe again", "thread/unsubscribe", the)
    yield ask(at, f"{name}: loaded after unsubscribe", "thread/loaded/list", {})
    yield ask(at, f"{name}: name unsubscribed", "thread/name/set", the | {"name": "unheard"})
    yield ask(at, f"{name}: delete with a fork", "thread/delete", the)
    yield ask(at, f"{name}: loaded after refusal", "thread/loaded/list", {})
    fork = {"threadId": f"<fork of {name}>"}
    yield ask(at, f"{name}: delete the fork", "thread/delete", fork)
    yield ask(at, f"{name}: archive", "thread/archive", the)
    yield ask(at, f"{name}: unarchive", "thread/unarchive", the)
    yield ask(at, f"{name}: delete", "thread/delete", the)
    yield ask(at, f"{name}: delete again", "thread/delete", the)
    yield ask(at, f"{name}: read deleted", "thread/read", the)
    other = {"name": f"unwritten {kind}", "me": f"<unwritten {kind}>"}
    the = {"threadId": other["me"]}
    options = mode | {"cwd": "<work>/there", "model": "m", "sandbox": "read-only"}
    options |= {"approvalPolicy": "never"}
    yield ask(
        at, f"{name}: start with options", "thread/start", options, **{other["name"]: "thread.id"}
    )
    yield ask(at, f"{name}: archive without a file", "thread/archive", the)
    yield ask(at, f"{name}: read archived", "thread/read", the)
    yield ask(at, f"{name}: delete archived", "thread/delete", the)
    last = f"unnamed {kind}"
    the = {"threadId": f"<{last}>"}
    yield ask(at, f"{name}: start a third", "thread/start", mode, **{last: "thread.id"})
    yield ask(at, f"{name}: name without a file", "thread/name/set", the | {"name": "early"})
    yield ask(at, f"{name}: read named", "thread/read", the)
    yield ask(at, f"{name}: delete a third", "thread/delete", the)
    bare: list[tuple[str, dict[str, Any]]] = [
        ("thread/metadata/update", {"gitInfo": {"branch": "b"}}),
        ("thread/memoryMode/set", {"mode": "disabled"}),
        ("thread/delete", {}),
        ("thread/unsubscribe", {}),
    ]
    for number, (method, more) in enumerate(bare):
        me = f"bare {kind} {number}"
        the = {"threadId": f"<{me}>"}
        yield ask(at, f"{me}: start", "thread/start", mode, **{me: "thread.id"})
        yield ask(at, f"{me}: {method}", method, the | more)
        yield ask(at, f"{me}: read", "thread/read", the)
        yield ask(at, f"{me}: delete", "thread/delete", the)


def _ephemeral() -> Iterator[Step]:
    # A connection of its own: a thread without subscribers is closed after a while.
    at = "passing"
    yield from greet(at)
    start = {"ephemeral": True}
    the = {"threadId": "<passing>"}
    yield ask(at, "ephemeral: start", "thread/start", start, passing="thread.id")
    for method, more in OF_A_THREAD.items():
        if method != "thread/unsubscribe":
            yield ask(at, f"ephemeral: {method}", method, the | more)
    turns = the | {"includeTurns": True}
    yield ask(at, "ephemeral: read with turns", "thread/read", turns)
    yield ask(at, "ephemeral: unsubscribe", "thread/unsubscribe", the)
    for kind, thread in BOTH.items():
        params: dict[str, Any] = {"threadId": thread, "ephemeral": True}
        yield ask(at, f"ephemeral: fork of {kind}", "thread/fork", params)
        params["excludeTurns"] = True
        yield ask(at, f"ephemeral: fork of {kind} without turns", "thread/fork", params)
    yield Step("end of passing", at, ends=True)


def _deaf() -> Iterator[Step]:
    """A client that does not want all notifications, and whose params have unknown members."""
    at = "deaf"
    unwanted = ["thread/started", "thread/archived", "no/notification"]
    params = {
        "protocolVersion": "1",
        "clientInfo": {"name": "deaf client", "version": "1", "news": 1},
        "capabilities": {"optOutNotificationMethods": unwanted, "news": 1},
    }
    yield ask(at, "deaf: ill-typed client", "initialize", {"clientInfo": "me"})
    yield ask(at, "deaf: client without version", "initialize", {"clientInfo": {"name": "me"}})
    yield ask(at, "deaf: initialize", "initialize", params)
    yield ask(at, "deaf: start", "thread/start", {}, deaf="thread.id")
    the = {"threadId": "<deaf>"}
    yield ask(at, "deaf: inject", "thread/inject_items", the | {"items": [ITEM]})
    yield ask(at, "deaf: name", "thread/name/set", the | {"name": "heard"})
    yield ask(at, "deaf: archive", "thread/archive", the)
    yield ask(at, "deaf: unarchive", "thread/unarchive", the)
    yield ask(at, "deaf: delete", "thread/delete", the)
    yield Step("end of deaf", at, ends=True)
    yield ask("odd", "odd: initialize", "initialize", {"clientInfo": CLIENT, "capabilities": None})
    yield Step("end of odd", "odd", ends=True)
