"""What Codex 0.169 answers to requests that are not in the recorded dialogue, on the sample home:
each answer was asked of the real one, but for paths that no system has."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import copy_corpus
from tests.protocol.sample import ITEM, LEGACY, PAGINATED, UNKNOWN
from tests.support.app_client import Client, Server, soon
from tests.support.checks import synced
from tests.support.command import Cli

NEXT = "01a1f8e4-1d64-7932-9342-2e48327ab20e"
LONG = "x" * 300
PLACE = "2026-11-20T12:29:48.036"
AFTER = "01a1f8ef-3281-7de0-acfb-004f14c713e3"
BOTH = pytest.mark.parametrize("source", [LEGACY, PAGINATED], ids=["legacy", "paginated"])


def filled(folder: Path) -> Cli:
    made = Cli(copy_corpus(folder / "home"), folder)
    synced(made.home, made.index)
    return made


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server that is asked for what changes nothing."""
    with Server(filled(tmp_path_factory.mktemp("asked"))) as started:
        yield started.client.begin()


@pytest.fixture(scope="module")
def live(asked: Client) -> str:
    """A live thread."""
    return str(asked.call("thread/start")["thread"]["id"])


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The command for a home whose threads are written."""
    return filled(tmp_path_factory.mktemp("changed"))


@pytest.fixture(scope="module")
def server(changed: Cli) -> Iterator[Server]:
    with Server(changed, "--listen", f"unix://{changed.base}/socket") as started:
        yield started


@pytest.fixture
def client(changed: Cli, server: Server) -> Iterator[Client]:
    """A new client of a server that has no live thread."""
    begun = server.connect(changed.base / "socket").begin()
    soon(lambda: begun.call("thread/loaded/list")["data"] == [])
    yield begun
    begun.close()


def test_a_search_is_cancelled_however_much_its_client_waits_for(client: Client) -> None:
    client.call("threadkeep/changes")
    waiting = [client.ask("threadkeep/changes", waitMs=5_000) for _ in range(40)]
    cancel = client.ask("thread/search/cancel", requestId=1)
    answered = client.next()
    while "method" in answered:
        answered = client.next()
    assert answered == {"id": cancel, "result": {}}, waiting


def message(*content: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(content)}


ITEMS: list[tuple[Any, str | None]] = [
    (None, "invalid type: null, expected struct WrappedItem"),
    ("x", 'invalid type: string "x", expected struct WrappedItem'),
    (True, "invalid type: boolean `true`, expected struct WrappedItem"),
    (7, "invalid type: number, expected struct WrappedItem"),
    ([], "invalid length 0, expected struct WrappedItem with 2 elements"),
    ([7, "always"], "invalid type: integer `7`, expected internally tagged enum ResponseItem"),
    ({"role": "user", "content": []}, "missing field `item`"),
    ({"retention": "always"}, "missing field `item`"),
    ({"item": {"type": "later"}}, "missing field `retention`"),
    ({"item": {}, "retention": "x"}, "missing field `type`"),
    ({"retention": "x", "item": 7}, "unknown variant `x`, expected `default` or `always`"),
    (
        {"item": {"type": "later"}, "retention": None},
        "invalid type: null, expected string or map",
    ),
    ({"item": {"type": "later"}, "retention": 7}, "invalid type: number, expected string or map"),
    ({"item": {"type": "later"}, "retention": "default"}, None),
    ({"type": "web_search_call", "id": 7}, "invalid type: integer `7`, expected a string"),
    ({"type": "web_search_call", "id": None}, None),
    ({"type": "compaction_trigger"}, None),
    ({"type": "configuration_update"}, "missing field `reasoning`"),
    (
        {"type": "configuration_update", "reasoning": None},
        "invalid type: null, expected struct ConfigurationReasoning",
    ),
    (
        {"type": "reasoning", "summary": [7]},
        "invalid type: integer `7`, expected internally tagged enum ReasoningItemReasoningSummary",
    ),
    ({"type": 7}, "invalid type: number, expected variant identifier"),
    ({"type": None}, "invalid type: null, expected variant identifier"),
    ({"type": "message", "role": "user"}, "missing field `content`"),
    ({"type": "message", "content": 7}, "invalid type: integer `7`, expected a sequence"),
    ({"type": "message", "role": None}, "invalid type: null, expected a string"),
    (message(7), "invalid type: integer `7`, expected internally tagged enum ContentItem"),
    (message({}), "missing field `type`"),
    (
        message({"type": "bad"}),
        "unknown variant `bad`, expected one of `input_text`, `input_image`, `input_audio`,"
        " `output_text`",
    ),
    (message({"type": "output_text"}), "missing field `text`"),
    (
        message({"type": "input_text", "text": 7}),
        "invalid type: integer `7`, expected a string",
    ),
    ({"type": "reasoning"}, "missing field `summary`"),
    ({"type": "function_call", "name": "x", "arguments": "x"}, "missing field `call_id`"),
    ({"type": "function_call_output", "call_id": "x"}, "missing field `output`"),
    ({"type": "custom_tool_call", "call_id": "x", "name": "x"}, "missing field `input`"),
    ({"type": "local_shell_call", "status": "completed"}, "missing field `action`"),
    ({"type": "agent_message", "author": "a", "recipient": "x"}, "missing field `content`"),
    ({"type": "image_generation_call", "status": "x"}, "missing field `result`"),
    ({"type": "web_search_call"}, None),
    ({"type": "of_the_future"}, None),
]


@pytest.mark.parametrize(("item", "fault"), ITEMS, ids=[json.dumps(item) for item, _ in ITEMS])
def test_an_item_is_taken_or_refused_as_codex_does(
    item: Any, fault: str | None, asked: Client, live: str
) -> None:
    if fault is None:
        assert asked.call("thread/inject_items", threadId=live, items=[ITEM, item]) == {}
        return
    error = asked.fail("thread/inject_items", threadId=live, items=[ITEM, item])
    assert error["message"] == f"items[1] is not a valid response item: {fault}"


@pytest.mark.parametrize(
    ("method", "struct"),
    [
        ("thread/read", "ThreadReadParams with 2 elements"),
        ("thread/start", "ThreadStartParams with 27 elements"),
        ("thread/name/set", "ThreadSetNameParams with 2 elements"),
        ("thread/archive", "ThreadArchiveParams with 1 element"),
        ("thread/unsubscribe", "ThreadUnsubscribeParams with 1 element"),
    ],
)
def test_params_that_are_no_object_are_named(method: str, struct: str, asked: Client) -> None:
    for params, words in (
        ([], f"invalid length 0, expected struct {struct}"),
        (7, f"invalid type: integer `7`, expected struct {struct.split()[0]}"),
    ):
        asked.send(json.dumps({"id": "odd", "method": method, "params": params}).encode())
        while (answer := asked.next()).get("id") != "odd":
            assert "method" in answer
        assert answer["error"]["message"] == f"Invalid request: {words}"


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("thread/list", {"parentThreadId": ""}, "invalid parent thread id: invalid length: "),
        ("thread/list", {"ancestorThreadId": "n"}, "invalid ancestor thread id: invalid char"),
        ("thread/list", {"cwd": [7]}, "Invalid request: data did not match any variant of unt"),
        ("thread/list", {"sourceKinds": [7]}, "Invalid request: invalid type: integer `7`, e"),
        ("thread/metadata/update", {"threadId": "x", "projectId": "x"}, "invalid thread id: "),
        ("thread/metadata/update", {"threadId": "x"}, "invalid thread id: invalid character"),
        ("thread/metadata/update", {"threadId": UNKNOWN, "projectId": "x"}, "project not found: x"),
        (
            "thread/fork",
            {"threadId": LEGACY, "beforeTurnId": "x"},
            "beforeTurnId 'x' was not found in the source thread",
        ),
        ("thread/fork", {"threadId": PAGINATED, "beforeTurnId": "x"}, "turn not found: x"),
        (
            "thread/fork",
            {"threadId": LEGACY, "lastTurnId": "x", "ephemeral": True},
            "lastTurnId 'x' was not found in the source thread",
        ),
        ("thread/resume", {"threadId": UNKNOWN, "path": ""}, "no rollout found for thread id "),
        (
            "thread/resume",
            {"threadId": UNKNOWN, "path": "/"},
            "failed to resolve rollout path `/`: path is a directory",
        ),
        (
            "thread/fork",
            {"threadId": UNKNOWN, "path": "/nowhere.jsonl"},
            "failed to resolve rollout path `/nowhere.jsonl`: file does not exist",
        ),
        *(
            ("thread/list", {"cursor": cursor}, f"invalid cursor: {cursor}")
            for cursor in (
                "2026-11-20T12:29:48",
                "2026-11-20",
                "2026-11-20T12:29Z",
                "2026-13-20T12:29:48Z",
                f"{PLACE}Z|",
                f"12|{AFTER}",
            )
        ),
    ],
)
def test_what_cannot_be_is_told_in_codexs_words(
    method: str, params: dict[str, Any], words: str, asked: Client
) -> None:
    assert asked.fail(method, **params)["message"][: len(words)] == words


@pytest.mark.parametrize(
    "cursor",
    [
        f"{PLACE}Z|{AFTER}",
        f"{PLACE}999Z|{AFTER.upper()}",
        "2026-11-20T12:29:48Z",
        "2026-11-20 12:29:48Z",
        "2026-11-20t12:29:48z",
        "2026-11-20T12-29-48",
        "2026-11-20T13:29:48.036+01:00",
        f"2026-11-20T12-29-48|{AFTER}",
    ],
)
def test_a_list_goes_on_at_a_cursor_of_codexs(cursor: str, asked: Client) -> None:
    page = asked.call("thread/list", cursor=cursor, limit=1, modelProviders=["mock"])
    assert [thread["id"] for thread in page["data"]] == [NEXT]


def test_a_time_alone_is_behind_all_of_its_moment(asked: Client) -> None:
    for direction in ("asc", "desc"):
        page = asked.call("thread/list", cursor=f"{PLACE}Z", sortDirection=direction, limit=100)
        ids = [thread["id"] for thread in page["data"]]
        assert ids
        assert AFTER not in ids


@BOTH
def test_a_path_says_which_thread_is_meant(source: str, client: Client) -> None:
    path = client.call("thread/read", threadId=source)["thread"]["path"]
    fork = client.call("thread/fork", threadId=UNKNOWN, path=path)["thread"]
    assert fork["forkedFromId"] == source
    resumed = client.call("thread/resume", threadId=UNKNOWN, path=path)["thread"]
    assert (resumed["id"], resumed["status"]["type"]) == (source, "idle")
    error = client.fail("thread/resume", threadId=source, path="/nowhere.jsonl")
    assert error["message"].startswith(f"cannot resume running thread {source} with stale path: ")


def test_a_path_outside_the_home_is_refused(client: Client, tmp_path: Path) -> None:
    path = Path(client.call("thread/read", threadId=LEGACY)["thread"]["path"])
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    error = client.fail("thread/resume", threadId=LEGACY, path=str(copy))
    assert error["message"].endswith("it is not the file of a thread in this home")
    assert client.call("thread/loaded/list")["data"] == []


@BOTH
def test_a_fork_has_the_folder_and_the_source_that_are_asked_for(
    source: str, client: Client, tmp_path: Path
) -> None:
    asked = {"cwd": str(tmp_path), "threadSource": "user"}
    thread = client.call("thread/fork", threadId=source, **asked)["thread"]
    with Path(thread["path"]).open() as file:
        meta = json.loads(file.readline())["payload"]
    assert (meta["cwd"], meta["thread_source"]) == (str(tmp_path), "user")
    assert thread["threadSource"] == "user"
    if source == PAGINATED:  # a legacy one holds the folders of its source's turns
        assert thread["cwd"] == str(tmp_path)


def test_a_fork_of_what_holds_nothing_lets_its_source_go(client: Client) -> None:
    source = client.call("thread/start")["thread"]["id"]
    fork = client.call("thread/fork", threadId=source)["thread"]
    assert fork["forkedFromId"] == source
    assert client.call("thread/delete", threadId=source) == {}
    client.call("thread/inject_items", threadId=fork["id"], items=[ITEM])


@pytest.mark.parametrize("mode", ["legacy", "paginated"])
def test_what_is_injected_is_in_the_file(mode: str, client: Client) -> None:
    thread = client.call("thread/start", historyMode=mode)["thread"]
    assert not Path(thread["path"]).exists()
    items = [{"type": "later"}, ITEM, {"item": ITEM, "retention": "always"}, [ITEM, "default"]]
    client.call("thread/inject_items", threadId=thread["id"], items=items)
    written = [json.loads(line) for line in Path(thread["path"]).read_text().splitlines()[-3:]]
    assert [line["payload"] for line in written] == [ITEM] * 3  # as Codex, none of a later type
    kept = [line.get("metadata") for line in written]
    assert kept == [None, {"retain_across_windows": True}, {"retain_across_windows": False}]
    assert client.call("thread/resume", threadId=thread["id"])["thread"]["id"] == thread["id"]


@BOTH
def test_an_ephemeral_fork_leaves_nothing(source: str, client: Client, changed: Cli) -> None:
    before = sorted((changed.home / "sessions").rglob("*"))
    asked = {"threadId": source, "ephemeral": True, "excludeTurns": True}
    thread = client.call("thread/fork", **asked)["thread"]
    assert (thread["ephemeral"], thread["path"], thread["forkedFromId"]) == (True, None, source)
    the = {"threadId": thread["id"]}
    assert client.call("thread/read", **the)["thread"] == thread
    assert client.call("thread/inject_items", **the, items=[ITEM]) == {}
    assert client.fail("thread/inject_items", **the, items=[])["message"].startswith("items must")
    assert client.fail("thread/name/set", **the, name="")["message"].startswith("thread name ")
    assert client.fail("thread/archive", **the)["message"].startswith("no rollout found ")
    assert client.call("thread/loaded/list")["data"] == [thread["id"]]
    assert sorted((changed.home / "sessions").rglob("*")) == before


@pytest.mark.parametrize("folder", [LONG, f"/{LONG}/x", "/dev/null/x", "/proc/1/root/x"])
def test_a_folder_that_no_system_has_is_kept_all_the_same(folder: str, asked: Client) -> None:
    fork = asked.call("thread/fork", threadId=LEGACY, cwd=folder, ephemeral=True, excludeTurns=True)

    assert fork["cwd"] == folder
    assert asked.call("thread/list", cwd=folder)["data"] == []


@pytest.mark.parametrize("method", ["thread/resume", "thread/fork"])
@pytest.mark.parametrize(
    "path", [f"/{LONG}", f"/{LONG}/x", "/a\0b", "/dev/null", "/dev/null/x", "/proc/1/root/x"]
)
def test_a_path_that_leads_nowhere_is_an_invalid_request(
    method: str, path: str, asked: Client
) -> None:
    refused = asked.fail(method, threadId=UNKNOWN, path=path)

    assert refused["code"] == -32600
    assert refused["message"].startswith(f"failed to resolve rollout path `{path}`: ")
