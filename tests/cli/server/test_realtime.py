"""``thread/realtime/list``: the voice sessions of a thread, with the answers of Codex 0.171."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.items.realtime import read_sessions
from tests.samples.histories import first_line, numbered, spell
from tests.samples.rollouts import THREAD_ID, TURN_ID, envelope, event, rollout_path, user
from tests.support.app_client import Client, Server, soon
from tests.support.checks import synced
from tests.support.command import Cli

LEGACY_ID = "01a14000-0000-7000-8000-000000000002"
EMPTY_ID = "01a14000-0000-7000-8000-000000000003"
UNKNOWN_ID = "01a14000-0000-7000-8000-000000000099"
Fields = dict[str, Any]


def realtime(kind: str, id_: str, at: object = "never", **fields: Any) -> Fields:
    """A line of a voice session; ``at`` is when it was observed."""
    observed = {} if at == "never" else {"observed_at_ms": at}
    own = {"type": kind, "id": id_, "realtime_session_id": "s", **observed}
    return envelope("realtime_item", {**own, **fields})


def frame(id_: str, at: object = "never", **fields: Any) -> Fields:
    said = {"role": "user", "text": f"said in {id_}"}
    return realtime("frame", id_, at, channels={"voice_transcript": said}, **fields)


INPUT = {"input": "in", "input_item_id": "i", "source_event_ids": ["f1"]}
SHOWN = {"type": "inline_visualization", "index": 1}
LINES = [
    first_line("paginated", source="cli"),
    event("task_started", turn_id=TURN_ID, started_at=1, model_context_window=None),
    realtime("realtime_session_started", "b", 10),
    frame("f1", 30),
    frame("f2", 20),
    realtime("transcript_segment", "seg", 25, role="assistant", text="x"),
    realtime("turn_input_accepted", "t", 40, handoff_id="h", mode="start", turn_id="T", **INPUT),
    realtime("session_end_input_saved", "e", 50, **INPUT),
    realtime("bem_item_promoted", "p", 45, item_id="m", turn_id="T", presentation=SHOWN),
    frame("none"),
    frame("f3", 20, realtime_session_id="s2"),
    frame("dup", 60),
    frame("dup", 61),
    realtime("realtime_session_closed", "c", 70, outcome="failed"),
    frame("neg", -5),
    frame("null", None),
]
"""Asked of Codex 0.171 line by line, and all together."""
UNREADABLE = [
    realtime("frame", "u", 1, channels={}),
    realtime("frame", "u", 1, channels={"voice_transcript": {"role": "x", "text": "x"}}),
    frame("u", "1"),
    frame("u", 2**63),
    realtime("of_the_future", "u", 1),
    realtime("realtime_session_closed", "u", 1, outcome="x"),
    realtime("turn_input_accepted", "u", 1, handoff_id="h", mode="x", turn_id="T", **INPUT),
    realtime("session_end_input_saved", "u", 1, **INPUT | {"source_event_ids": [7]}),
    realtime("bem_item_promoted", "u", 1, item_id="m", turn_id="T", presentation={"type": "x"}),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("realtime")
    cli = Cli(folder / "home", folder)
    legacy = [first_line("legacy", id=LEGACY_ID, source="cli"), user("hello")]
    empty = numbered([first_line("paginated", id=EMPTY_ID, source="cli")])
    threads = {THREAD_ID: numbered(LINES), LEGACY_ID: legacy, EMPTY_ID: empty}
    for id_, lines in threads.items():
        file = cli.home / rollout_path(id_)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(spell(lines))
    synced(cli.home, cli.index)
    with Server(cli) as server:
        client = server.client.begin()
        soon(lambda: client.call("thread/list")["complete"])
        yield client


def listed(client: Client, **params: Any) -> Fields:
    """The answer, as Codex gives it: its schema has other names (``turn_id``) for some fields."""
    asked = client.ask("thread/realtime/list", **{"threadId": THREAD_ID, **params})
    result: Fields = client.answer(asked)["result"]
    return result


def ids(client: Client, **params: Any) -> str:
    answer = listed(client, **params)
    assert answer["coverage"] == "ready"
    assert answer["projectedThroughItemIndex"] == len(LINES)
    return " ".join(entry["item"]["id"] for entry in answer["data"])


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, "neg b f2 f3 f1 t p e dup c"),
        ({"order": "observedAt"}, "neg b f2 f3 f1 t p e dup c"),
        ({"order": "position"}, "b f1 f2 t e p f3 dup c neg"),
        ({"limit": 2}, "neg b"),
        ({"sessionId": "s2"}, "f3"),
        ({"sessionId": "no"}, ""),
        ({"fromObservedAtMs": 20, "toObservedAtMs": 40}, "f2 f3 f1"),
        ({"afterPosition": 4}, "neg f3 t p e dup c"),
        ({"afterPosition": 999}, ""),
        ({"snapshotEnd": 5}, "b f2 f1"),
        ({"snapshotEnd": 0}, ""),
        ({"requiredThroughPosition": len(LINES) - 1}, "neg b f2 f3 f1 t p e dup c"),
        ({"eventId": "f1"}, "f1"),
        ({"eventId": "none"}, ""),
        ({"eventId": "f1", "sessionId": "s2"}, ""),
        ({"eventId": "f1", "snapshotEnd": 2}, ""),
    ],
    ids=str,
)
def test_events_are_found_as_codex_finds_them(client: Client, params: Fields, found: str) -> None:
    assert ids(client, **params) == found


@pytest.mark.parametrize(
    ("params", "end"),
    [
        ({"snapshotEnd": 999}, 999),
        ({"requiredThroughPosition": len(LINES)}, len(LINES)),
        ({"eventId": "no"}, len(LINES)),
        ({"eventId": ""}, len(LINES)),
    ],
    ids=str,
)
def test_what_is_not_there_yet_is_pending(client: Client, params: Fields, end: int) -> None:
    answer = listed(client, **params)
    assert (answer["coverage"], answer["data"], answer["snapshotEnd"]) == ("pending", [], end)


@pytest.mark.parametrize("order", ["observedAt", "position"])
def test_pages_go_on_where_the_last_one_ended(client: Client, order: str) -> None:
    found, cursor = [], None
    while True:
        params = {"threadId": THREAD_ID, "order": order, "limit": 3, "cursor": cursor}
        answer = listed(client, **params)
        found += [entry["item"]["id"] for entry in answer["data"]]
        cursor = answer["nextCursor"]
        if cursor is None:
            break
        assert list(json.loads(cursor)) == [
            *("version", "rollout_id", "query", "snapshot_end", "observed_at_ms", "position")
        ]
        other = {**params, "cursor": cursor, "sessionId": "s"}
        error = client.fail("thread/realtime/list", **other)
        assert error["message"] == "realtime cursor does not match this query"
    assert " ".join(found) == ids(client, order=order)


def test_items_are_in_the_shape_of_codex(client: Client) -> None:
    answer = listed(client, order="position")
    shown = {entry["item"]["id"]: entry["item"] for entry in answer["data"]}
    given = {"sourceEventIds": ["f1"], "inputItemId": "i", "input": "in"}
    turn = {"handoffId": "h", "turnId": "T", "mode": "start"}
    session = {"realtimeSessionId": "s"}
    assert shown["t"] == {
        **{"id": "t", **session, "observedAtMs": 40, "type": "turnInputAccepted"},
        **turn,
        **given,
    }
    assert shown["p"]["presentation"] == {"type": "inlineVisualization", "index": 1}
    assert shown["f2"]["channels"] == {"voice_transcript": {"role": "user", "text": "said in f2"}}
    assert [entry["position"] for entry in answer["data"]] == [2, 3, 4, 6, 7, 8, 10, 11, 13, 14]


@pytest.mark.parametrize("id_", [LEGACY_ID, UNKNOWN_ID])
def test_other_threads_have_none(client: Client, id_: str) -> None:
    assert listed(client, threadId=id_) == {
        "data": [],
        "nextCursor": None,
        "snapshotEnd": 0,
        "projectedThroughItemIndex": 0,
        "coverage": "unsupported",
    }


def test_a_thread_without_a_voice_session_is_ready(client: Client) -> None:
    answer = listed(client, threadId=EMPTY_ID)
    assert (answer["coverage"], answer["snapshotEnd"]) == ("ready", 1)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"threadId": "x"}, "invalid thread id: "),
        ({"limit": 0}, "realtime page size must be between 1 and 500"),
        ({"limit": 501}, "realtime page size must be between 1 and 500"),
        ({"limit": -1}, "Invalid request: invalid value: integer `-1`, expected u32"),
        ({"snapshotEnd": -1}, "Invalid request: invalid value: integer `-1`, expected u64"),
        ({"order": "x"}, "Invalid request: unknown variant `x`, expected `observedAt` or "),
        (
            {"fromObservedAtMs": 2, "toObservedAtMs": 2},
            "realtime observation time range must be nonempty",
        ),
        ({"cursor": ""}, "invalid realtime cursor"),
        ({"cursor": "{}"}, "invalid realtime cursor"),
    ],
    ids=str,
)
def test_a_query_without_meaning_is_refused(client: Client, params: Fields, message: str) -> None:
    error = client.fail("thread/realtime/list", **{"threadId": THREAD_ID, **params})
    assert error["code"] == -32600
    assert error["message"].startswith(message)


def test_what_codex_cannot_read_takes_no_place(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    file.write_bytes(spell(numbered([first_line("paginated"), *UNREADABLE])))
    found = read_sessions(file)
    assert (found.events, found.end) == ([], 1)
