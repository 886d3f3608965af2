"""Stored threads over the app-server protocol, as clients see them."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.errors import WriterActive
from rollout.files.writer_lock import LOCKS, WriterLock
from tests.state.codex.databases import Codex
from tests.support.app_client import CLIENT, Client, Server, ids
from tests.support.checks import codes, synced, verified
from tests.support.command import Cli, Inside, thread_id, write_rollout

COUNT = 12
MESSAGE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "more"}]}


def filled(folder: Path) -> Cli:
    """The command for a home of a few threads, which the index knows."""
    made = Inside(folder / "home", folder)
    for number in range(COUNT):
        write_rollout(made.home, number, f"thread {number}", cwd="/a" if number % 2 else "/b")
    synced(made.home, made.index)
    return made


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return filled(tmp_path)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server that is asked for what changes nothing."""
    with Server(filled(tmp_path_factory.mktemp("asked"))) as started:
        yield started.client.begin()


@pytest.fixture
def server(cli: Cli) -> Iterator[Server]:
    with Server(cli, "--listen", "stdio://") as started:
        yield started


@pytest.fixture
def client(server: Server) -> Client:
    return server.client.begin()


def test_a_client_shakes_hands_first_and_once(cli: Cli, server: Server) -> None:
    client = server.client
    error = client.fail("thread/list")
    assert (error["code"], error["message"]) == (-32600, "Not initialized")
    told = client.call("initialize", clientInfo=CLIENT)
    assert told["codexHome"] == str(cli.home)
    assert told["userAgent"].startswith("threadkeep-tests/0.171.0 (")
    error = client.fail("initialize", clientInfo=CLIENT)
    assert (error["code"], error["message"]) == (-32600, "Already initialized")
    assert len(client.call("thread/list")["data"]) == COUNT
    out, log = server.end()
    assert (out, log, server.process.returncode) == (b"", "", 0)


def test_lists_are_paged_and_filtered_as_those_of_the_command(cli: Cli, client: Client) -> None:
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = client.call("thread/list", limit=5, cursor=cursor, sortDirection="asc")
        found += ids(page)
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert found == cli.ids("--sort", "created_at", "--asc", "--all")
    assert ids(client.call("thread/list", cwd="/a")) == cli.ids(
        "--sort", "created_at", "--cwd", "/a"
    )
    assert client.call("thread/list", cwd=[])["data"] == []
    assert len(client.call("thread/list", searchTerm="thread 7")["data"]) == 1
    assert len(client.call("thread/list", limit=0)["data"]) == 1
    assert client.call("thread/list", sectionId="x")["data"] == []
    excluded = client.call("thread/list", excludedThreadIds=found[:3])
    assert sorted(ids(excluded)) == sorted(found[3:])
    named = client.call("thread/list", includedThreadIds=found[:3], excludedThreadIds=found[:1])
    assert sorted(ids(named)) == sorted(found[1:3])
    assert ids(client.call("thread/list", includedThreadIds=[])) == []
    spelled = [found[0].upper(), "urn:uuid:" + found[1], found[2].replace("-", "")]
    named = client.call("thread/list", includedThreadIds=spelled, limit=2)
    rest = client.call("thread/list", includedThreadIds=spelled, cursor=named["nextCursor"])
    assert sorted([*ids(named), *ids(rest)]) == sorted(found[:3])
    first = client.call("thread/list", limit=1)["data"][0]
    assert client.call("thread/read", threadId=first["id"])["thread"] == first


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("thread/list", {"limit": -1}, -32600, "Invalid request: "),
        ("thread/list", {"limit": "5"}, -32600, "Invalid request: "),
        ("thread/list", {"sortKey": "x"}, -32600, "Invalid request: "),
        ("thread/list", {"sortKey": "section_position"}, -32600, "section-position sorting"),
        ("thread/list", {"cursor": "x"}, -32600, "invalid cursor: x"),
        ("thread/list", {"cursor": "x", "sectionId": "s"}, -32600, "invalid cursor: x"),
        ("thread/list", {"cursor": ""}, -32600, "invalid cursor: "),
        ("thread/list", {"originators": ["x"]}, -32602, "originator filtering"),
        ("thread/list", {"excludedThreadIds": ["x"]}, -32602, "invalid excluded thread id: "),
        ("thread/list", {"includedThreadIds": ["x"]}, -32602, "invalid included thread id: "),
        (
            *("thread/list", {"includedThreadIds": [thread_id(1)] * 101}, -32602),
            "includedThreadIds accepts at most 100 entries",
        ),
        (
            *("thread/list", {"includedThreadIds": ["x"], "originators": ["x"]}, -32602),
            "invalid included thread id: ",
        ),
        ("thread/list", {"projectId": "x"}, -32602, "project not found: x"),
        ("thread/read", {}, -32600, "Invalid request: "),
        ("thread/read", {"threadId": 5}, -32600, "Invalid request: "),
        ("thread/read", {"threadId": "../x"}, -32600, "invalid thread id: invalid character: "),
        ("thread/resume", {"threadId": "../x"}, -32600, "invalid session id: invalid character: "),
        ("thread/read", {"threadId": thread_id(99)}, -32600, "thread not loaded: "),
        ("thread/archive", {"threadId": thread_id(99)}, -32600, "no rollout found for thread id "),
        ("thread/delete", {"threadId": thread_id(99)}, -32600, "no rollout found for thread id "),
        ("thread/fork", {"threadId": thread_id(99)}, -32600, "no rollout found for thread id "),
        ("thread/resume", {"threadId": thread_id(99)}, -32600, "no rollout found for thread id "),
        (
            *("thread/name/set", {"threadId": thread_id(99), "name": "x"}, -32600),
            "no rollout found for thread id ",
        ),
        ("thread/unarchive", {"threadId": thread_id(1)}, -32600, "no archived rollout found for "),
        ("thread/unarchive", {"threadId": thread_id(99)}, -32600, "no archived rollout found for "),
        (
            *("thread/name/set", {"threadId": thread_id(1), "name": " "}, -32600),
            "thread name must not be empty",
        ),
        (
            *("thread/metadata/update", {"threadId": thread_id(1)}, -32600),
            "thread metadata update must include at least one field",
        ),
        (
            *("thread/metadata/update", {"threadId": thread_id(1), "gitInfo": {}}, -32600),
            "gitInfo must include at least one field",
        ),
        (
            *(
                "thread/metadata/update",
                {"threadId": thread_id(1), "gitInfo": {"branch": ""}},
            ),
            *(-32600, "gitInfo.branch must not be empty"),
        ),
        (
            *("thread/fork", {"threadId": thread_id(1), "lastTurnId": "a", "beforeTurnId": "b"}),
            *(-32600, "`beforeTurnId` cannot be combined with `lastTurnId`"),
        ),
        (
            "thread/fork",
            {"threadId": thread_id(1), "lastTurnId": "a"},
            -32600,
            "lastTurnId 'a' was not found",
        ),
        ("turn/start", {}, -32601, "turn/start is not supported"),
        ("modelProvider/default/set", {}, -32601, "modelProvider/default/set is not supported"),
        ("getConversationSummary", {}, -32601, "getConversationSummary is not supported"),
        ("no/such", {}, -32600, "Invalid request: unknown variant `no/such`, expected one of "),
    ],
)
def test_what_cannot_be_is_told_as_codex_tells_it(
    method: str, params: dict[str, Any], code: int, message: str, asked: Client
) -> None:
    error = asked.fail(method, **params)
    assert (error["code"], error["message"][: len(message)]) == (code, message)
    assert error["data"]["kind"]
    assert error["data"]["retryable"] is False
    assert len(asked.call("thread/list")["data"]) == COUNT


@pytest.mark.parametrize(
    ("method", "field", "value", "message"),
    [
        ("thread/list", "useStateDbOnly", 7, "integer `7`, expected a boolean"),
        ("thread/list", "currentAccountOnly", None, "null, expected a boolean"),
        ("thread/list", "includeAttachedThreads", [], "sequence, expected a boolean"),
        ("thread/list", "attachedToThreadId", {}, "map, expected a string"),
        ("thread/search", "currentAccountOnly", "x", 'string "x", expected a boolean'),
        ("thread/start", "config", [], "sequence, expected a map"),
        ("thread/start", "environments", {}, "map, expected a sequence"),
        ("thread/start", "daybreakEnabled", "x", 'string "x", expected a boolean'),
        ("thread/start", "personality", 7, "integer `7`, expected string or map"),
        ("thread/resume", "permissions", 7, "integer `7`, expected a string"),
        ("thread/fork", "attachToSource", None, "null, expected a boolean"),
    ],
)
def test_a_parameter_without_effect_has_a_type_too(
    method: str, field: str, value: object, message: str, asked: Client
) -> None:
    params = {"threadId": thread_id(1), "searchTerm": "x", field: value}
    error = asked.fail(method, **params)
    assert error["message"] == f"Invalid request: invalid type: {message}"


def test_what_may_change_needs_to_be_asked_for(server: Server) -> None:
    client = server.client.begin(experimental=False)
    error = client.fail("thread/memoryMode/set", threadId=thread_id(1), mode="disabled")
    assert error["message"] == "thread/memoryMode/set requires experimentalApi capability"
    error = client.fail("thread/list", ancestorThreadId=thread_id(1))
    expected = "thread/list.ancestorThreadId requires experimentalApi capability"
    assert error["message"] == expected


def test_a_thread_is_started_written_named_forked_and_moved(cli: Cli, client: Client) -> None:
    begun = client.call("thread/start", cwd="/work", historyMode="legacy")["thread"]
    id_ = begun["id"]
    assert not Path(begun["path"]).exists()
    assert client.call("thread/read", threadId=id_)["thread"]["status"] == {"type": "idle"}
    assert client.call("thread/loaded/list")["data"] == [id_]
    client.call("thread/inject_items", threadId=id_, items=[MESSAGE])
    client.call("thread/name/set", threadId=id_, name=" mine ")
    assert client.methods() == ["thread/started", "thread/name/updated"]
    thread = client.call("thread/read", threadId=id_)["thread"]
    assert (thread["name"], thread["path"]) == ("mine", begun["path"])
    assert b'"text":"more"' in Path(begun["path"]).read_bytes()
    changed = client.call("thread/metadata/update", threadId=id_, gitInfo={"branch": "b"})
    assert changed["thread"]["gitInfo"] == {"sha": None, "branch": "b", "originUrl": None}
    client.call("thread/memoryMode/set", threadId=id_, mode="disabled")
    fork = client.call("thread/fork", threadId=id_)["thread"]
    assert (fork["forkedFromId"], fork["name"]) == (id_, "mine")
    assert client.call("thread/loaded/list")["data"] == sorted([id_, fork["id"]])
    client.methods()
    client.call("thread/archive", threadId=id_)
    assert client.methods() == ["thread/status/changed", "thread/archived"]
    error = client.fail("thread/resume", threadId=id_)
    assert error["message"].startswith(f"session {id_} is archived. Run `codex unarchive {id_}`")
    assert client.fail("thread/name/set", threadId=id_, name="x")["code"] == -32600
    client.call("thread/unarchive", threadId=id_)
    assert client.methods() == ["thread/unarchived"]
    client.call("thread/delete", threadId=id_)
    assert client.fail("thread/read", threadId=id_)["message"] == f"thread not loaded: {id_}"
    assert client.call("thread/unsubscribe", threadId=fork["id"]) == {"status": "unsubscribed"}
    assert client.call("thread/unsubscribe", threadId=id_) == {"status": "notLoaded"}
    assert codes(verified(cli.home, cli.index)) == {}


def test_a_client_is_told_that_codex_does_not_know_of_a_change(cli: Cli, client: Client) -> None:
    codex = Codex.empty(cli.home)
    (file,) = cli.home.rglob(f"*{thread_id(1)}.jsonl")
    codex.insert(thread_id(1), file)
    the = {"threadId": thread_id(1)}
    assert client.call("thread/name/set", **the, name="known") == {}
    codex.change("ALTER TABLE threads ADD COLUMN news TEXT")
    client.methods()
    for method, values in (
        ("thread/name/set", {"name": "unknown"}),
        ("thread/metadata/update", {"gitInfo": {"branch": "b"}}),
        ("thread/memoryMode/set", {"mode": "disabled"}),
    ):
        error = client.call(method, **the, **values)["codexError"]
        assert (error["kind"], error["code"]) == ("codex_schema_unknown", 4)
        told = client.until("warning")
        assert told["threadId"] == thread_id(1)
        assert told["message"].startswith("Codex does not know of this change: Codex's data")
    assert codex.threads()[thread_id(1)]["title"] == "known"
    assert client.call("thread/read", **the)["thread"]["name"] == "unknown"
    for method in ("thread/archive", "thread/delete"):
        client.call("thread/resume", **the)
        error = client.fail(method, **the)
        assert (error["code"], error["data"]["kind"]) == (-32603, "codex_schema_unknown")
        assert "codex archive" in error["data"]["hint"]
        assert client.call("thread/loaded/list")["data"] == [thread_id(1)]
    assert file.exists()
    codex.change("ALTER TABLE threads DROP COLUMN news")
    client.call("thread/archive", **the)
    assert codex.threads()[thread_id(1)]["archived"] == 1
    codex.change("ALTER TABLE threads ADD COLUMN news TEXT")
    assert client.fail("thread/unarchive", **the)["data"]["kind"] == "codex_schema_unknown"


def test_a_live_thread_excludes_other_writers_until_its_client_is_gone(
    cli: Cli, server: Server
) -> None:
    client = server.client.begin()
    client.call("thread/resume", threadId=thread_id(1))
    with pytest.raises(WriterActive):
        WriterLock.acquire(cli.home, thread_id(1))
    client.call("thread/inject_items", threadId=thread_id(1), items=[MESSAGE] * 3)
    with WriterLock.acquire(cli.home, thread_id(2)):
        error = client.fail("thread/resume", threadId=thread_id(2))
    assert error["message"] == f"thread {thread_id(2)} already has an active writer"
    assert error["data"]["retryable"] is True
    server.end()
    WriterLock.acquire(cli.home, thread_id(1)).release()
    assert not list((cli.home / LOCKS).glob("*-*"))


def test_bad_lines_are_answered_and_end_nothing(asked: Client) -> None:
    for line in (b"{", b"[]", b"5", b'{"id":1}', b'{"id":[],"method":"x"}', b"\xff\xfe", b'"x"'):
        asked.send(line)
        error = asked.answer(None)["error"]
        assert error["code"] in (-32700, -32600), line
    for line in (b"", b"   ", b'{"method":"thread/list"}', b'{"id":7,"result":{}}'):
        asked.send(line)
    assert len(asked.call("thread/list")["data"]) == COUNT


def test_requests_that_are_in_flight_are_answered_at_the_end_of_the_input(
    cli: Cli, server: Server
) -> None:
    client = server.client.begin()
    for number in range(COUNT):
        client.ask("thread/name/set", threadId=thread_id(number), name=f"name {number}")
    out, _ = server.end()
    answered = [json.loads(line) for line in out.splitlines()]
    assert len([message for message in answered if "result" in message]) == COUNT
    assert sorted(cli.run("query", "SELECT name FROM v_threads").lines[1:]) == sorted(
        f"name {number}" for number in range(COUNT)
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_everything_written(
    number: signal.Signals, cli: Cli, server: Server
) -> None:
    client = server.client.begin()
    id_ = client.call("thread/start", cwd="/w")["thread"]["id"]
    client.call("thread/inject_items", threadId=id_, items=[MESSAGE])
    client.call("thread/name/set", threadId=id_, name="kept")
    server.process.send_signal(number)
    out, log = server.end()
    assert (log, server.process.returncode) == ("", 0), out
    WriterLock.acquire(cli.home, id_).release()
    assert id_ in cli.run("query", "SELECT id FROM v_threads WHERE name = 'kept'").out
