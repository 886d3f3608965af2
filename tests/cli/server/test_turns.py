"""The service gives turns and items: those of the corpus as Codex gives them, those of long
threads page by page, and those of threads that are written meanwhile."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.schema.modes import LEGACY, PAGINATED
from rollout.schema.strict import Fields
from tests.rollout.history.test_gold import LIVE, OLD_PROJECTIONS, without
from tests.samples.histories import recorded, reduced
from tests.samples.homes import thread_id
from tests.samples.long_threads import add, content, put, truth, turn_lines
from tests.samples.rollouts import event
from tests.support.app_client import Client, Server
from tests.support.command import Cli
from tests.support.effort import PATIENCE_S, sample
from tests.support.indexes import rows

MODES = (LEGACY, PAGINATED)
ALL: dict[str, Any] = {"itemsView": "full", "sortDirection": "asc"}


def walked(client: Client, method: str, **params: Any) -> list[Fields]:
    """All pages of a list together."""
    found: list[Fields] = []
    cursor = None
    while True:
        page = client.call(method, **params, cursor=cursor)
        found += page["data"]
        assert (page["backwardsCursor"] is None) == (not page["data"])
        if (cursor := page["nextCursor"]) is None:
            return found


@pytest.fixture
def of_corpus(corpus_home: Path, own_corpus_index: Path, tmp_path: Path) -> Cli:
    """The command for the corpus."""
    return Cli(corpus_home, tmp_path, {"THREADKEEP_DB": str(own_corpus_index)})


def test_the_corpus_has_the_turns_that_codex_gives(of_corpus: Cli) -> None:
    gold = recorded()
    with Server(of_corpus, "--listen", "stdio://") as server:
        client = server.client.begin()
        for thread, answer in sample(gold["read"].items()):
            read = client.call("thread/read", threadId=thread, includeTurns=True)
            assert reduced(read["thread"]["turns"]) == answer["data"]
            pages = walked(client, "thread/turns/list", threadId=thread, limit=2, **ALL)
            assert reduced(pages) == answer["data"]
        for kind in "turns", "turnssummary":
            for thread, answer in sample(gold[kind].items()):
                data = gold["read"][thread]["data"] if answer["data"] == "read" else answer["data"]
                asked = {"threadId": thread, **answer["params"]}
                assert reduced(walked(client, "thread/turns/list", **asked)) == data
        for thread in sample(gold["projected_read"]):
            _check_projected(client, thread)


def test_items_of_turns_that_overlap_are_listed_in_the_order_of_their_lines(
    of_corpus: Cli,
) -> None:
    """As Codex lists them, while it tells turns one after the other: the turn of a review goes on
    around the one of the reviewer."""
    thread = "01a1d751-fb8a-7e71-b150-26a6d2970f85"
    gold = recorded()["projected_items"][thread]["data"]
    with Server(of_corpus, "--listen", "stdio://") as server:
        client = server.client.begin()
        for limit in 1, 2, 3, 4, 100:
            asked: dict[str, Any] = {"threadId": thread, "limit": limit}
            for direction, data in ("asc", gold), ("desc", gold[::-1]):
                listed = walked(client, "thread/items/list", sortDirection=direction, **asked)
                assert reduced(listed) == data
        read = client.call("thread/read", threadId=thread, includeTurns=True)["thread"]["turns"]
    by_turns = [(turn["id"], item["id"]) for turn in read for item in turn["items"]]
    by_lines = [(each["turnId"], each["item"]["id"]) for each in gold]
    assert sorted(by_turns) == sorted(by_lines)
    assert by_turns != by_lines


def _check_projected(client: Client, thread: str) -> None:
    old = OLD_PROJECTIONS.get(thread, set())
    of = "live" if thread in LIVE else "projected"
    turns = recorded()[f"{of}_turns"][thread]
    ours = walked(client, "thread/turns/list", **{"threadId": thread, **turns["params"]})
    assert without(reduced(ours), old) == without(turns["data"], old)
    items = recorded()[f"{of}_items"][thread]["data"]
    found = walked(client, "thread/items/list", threadId=thread, limit=4)
    assert without(reduced(found), old) == without(items, old)
    backwards = {"threadId": thread, "limit": 3, "sortDirection": "desc"}
    assert walked(client, "thread/items/list", **backwards) == found[::-1]
    for entry in found[:2]:
        asked = {"turnId": entry["turnId"], "itemIds": [entry["item"]["id"]]}
        read = client.call("thread/items/read", threadId=thread, **asked)
        assert read["data"] == [entry]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    (tmp_path / "home" / "sessions").mkdir(parents=True)
    return Cli(tmp_path / "home", tmp_path)


@pytest.fixture
def client(cli: Cli) -> Iterator[Client]:
    with Server(cli, "--listen", "stdio://") as server:
        yield server.client.begin()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Client]]:
    """A home, and a client of its server; each test has threads of its own there."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "home" / "sessions").mkdir(parents=True)
    with Server(Cli(folder / "home", folder), "--listen", "stdio://") as server:
        yield folder / "home", server.client.begin()


@pytest.mark.parametrize("mode", MODES)
def test_a_long_thread_is_indexed_before_anybody_asks(mode: str, cli: Cli, client: Client) -> None:
    path = put(cli.home, 1, content(1, mode, 300))
    until = time.monotonic() + PATIENCE_S
    client.call("thread/list")
    while not client.call("thread/list")["complete"]:
        time.sleep(0.02)
    right = truth(path, mode)
    asked = {"threadId": thread_id(1), "itemsView": "full", "limit": 100}
    assert walked(client, "thread/turns/list", **asked) == right[::-1]
    while not rows(cli.index, "SELECT thread_id FROM turn_checkpoints"):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert walked(client, "thread/turns/list", **asked, sortDirection="asc") == right


@pytest.mark.parametrize("mode", MODES)
def test_what_is_written_meanwhile_is_there(mode: str, shared: tuple[Path, Client]) -> None:
    home, client = shared
    number = MODES.index(mode)
    path = put(home, number, content(number, mode, 3))
    the = {"threadId": thread_id(number)}
    first = client.call("thread/turns/list", **the, limit=1)
    add(path, turn_lines(number, mode, 2, first=3), mode)
    add(path, [event("task_started", turn_id="running elsewhere")], mode)
    turns = client.call("thread/read", **the, includeTurns=True)["thread"]["turns"]
    assert turns == truth(path, mode)
    assert turns[-1]["status"] == "interrupted"
    newer = {"cursor": first["backwardsCursor"], "sortDirection": "asc", "itemsView": "full"}
    assert client.call("thread/turns/list", **the, **newer)["data"] == turns[2:]


def test_what_was_injected_is_there_as_far_as_codex_shows_it(shared: tuple[Path, Client]) -> None:
    _, client = shared
    hook = '<hook_prompt hook_run_id="r">look again</hook_prompt>'
    content = [{"type": "input_text", "text": hook}]
    message = {"type": "message", "role": "user", "content": content}
    for mode, shown in {LEGACY: 1, PAGINATED: 0}.items():
        started = client.call("thread/start", historyMode=mode)["thread"]
        the = {"threadId": started["id"]}
        client.call("thread/inject_items", **the, items=[message])
        page = client.call("thread/turns/list", **the, itemsView="full")
        assert len(page["data"]) == shown
        read = client.call("thread/read", **the, includeTurns=True)
        assert read["thread"]["turns"] == page["data"]
        resumed = client.call("thread/resume", **the, initialTurnsPage={"itemsView": "full"})
        assert resumed["thread"]["turns"] == page["data"]
        assert resumed["initialTurnsPage"] == page


def test_successful_output_alone_is_deferred(shared: tuple[Path, Client]) -> None:
    home, client = shared

    def command(at: int, output: str, status: str, code: int) -> Fields:
        facts = {"command": ["true"], "cwd": "file:///w", "parsed_cmd": [], "process_id": "1"}
        done = {"status": status, "aggregated_output": output, "exit_code": code}
        item = {"type": "CommandExecution", "id": f"c{at}", "source": "agent"} | facts | done
        duration = {"duration": {"secs": 0, "nanos": 1}}
        of = {"thread_id": thread_id(7), "turn_id": "turn 0"}
        return event("item_completed", **of, item=item | duration)

    path = put(home, 7, content(7, PAGINATED, 1))
    lines = [
        command(1, "much", "completed", 0),
        command(2, "", "completed", 0),
        command(3, "why", "failed", 1),
    ]
    add(path, lines, PAGINATED)
    asked: dict[str, Any] = {"threadId": thread_id(7), "turnId": "turn 0"}
    deferred = {"deferOutput": {"commandExecution": True}}
    data = client.call("thread/items/list", **asked, **deferred)["data"]
    found = {entry["item"]["id"]: entry for entry in data}
    assert found["c1"]["outputDeferred"] is True
    assert found["c1"]["item"]["aggregatedOutput"] is None
    assert not any("outputDeferred" in found[name] for name in ("c2", "c3", "u0", "a0"))
    assert found["c3"]["item"]["aggregatedOutput"] == "why"
    read = client.call("thread/items/read", **asked, itemIds=["c1"])["data"]
    assert read[0]["item"]["aggregatedOutput"] == "much"
