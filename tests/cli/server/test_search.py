"""``thread/search`` and ``thread/searchOccurrences`` beside what Codex 0.169 answered."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.schemas import conforms
from tests.samples.gold import GOLD, exchanges
from tests.samples.homes import encoded, event, lines, thread_id, write
from tests.support.app_client import Client, Server, soon
from tests.support.command import Cli

STAMP = "2026-05-28T20:00:00.000Z"
UNICODE = "01a1d790-c955-74a3-b034-a16cdd5b116f"
MULTI = "01a1cfc0-26a7-78c0-8044-08e9dd6e19a1"
FORK = "01a1f8ef-3281-7de0-acfb-004f14c713e3"
LEGACY = "019ba942-4360-7972-90c5-a2bbe066ab5f"
NOT_SHOWN = {
    "019c09ab-7d73-7e63-aa75-1577c8db1f1a": "rolled back",
    "01a1f8e4-1d64-7932-9342-2e48327ab20e": "rolled back in what it was forked from",
    "019cc40d-1e67-7842-b0ad-6a0baf7c198f": "told to the model alone",
    "01a1d021-56cb-7af2-b1c9-67ef95a31eff": "told to the model alone",
    "01a1d367-9f79-77e0-96fe-a26cf810ac9c": "told to the model alone",
}
"""Threads that Codex finds by what their turns do not show."""
OURS_ALONE = {
    **dict.fromkeys(
        (
            *("72fa7c57-67d2-4c45-b60d-899ed7929eb3", "ae1da814-b07b-4cfc-926b-d590d80807a7"),
            *("2903b9d1-7301-46b6-b2c8-767b56aab5d1", "6f2bbf65-5ea3-4446-ba44-715167fce0bd"),
            *("86f98a0f-72da-4e01-9026-5b43f5e559cb", "11a8770b-1bc5-4561-b23d-8c29930ffb80"),
            *("2f15b1cd-90f4-4eb8-99bc-dd4c703aa513", "85e8fc54-5c10-4539-8148-0e5d77e6b91e"),
            *("eae31d5b-850e-44ad-8bb2-e122a3a07a58", "315c4d90-36a2-47fa-abab-fb9955a5ce98"),
            *("3ebbd70e-2a04-4c65-9dfc-01d4015a12e5", "dcd5698b-e343-493d-9bef-eedce9f9055a"),
        ),
        "by the title of a file without a history",
    ),
    "019e3e14-af4a-7d03-a85d-36f2220bc2a0": "without a message that Codex lists it by",
    "01a1d87a-215a-7753-a486-ab84ec6fabf1": "without a message that Codex lists it by",
    "01a1f5d2-e031-79c2-b345-bb9f4d22ee6c": "without a message that Codex lists it by",
    "01a0edc9-6899-7dc3-a989-6ee9e14be8f7": "in an earlier file of a reverted thread",
    "01a1d275-9a58-74c2-be0e-991e9820d349": "in an earlier file of a reverted thread",
    "01a0528a-73e5-78b1-97bf-8c9f02b13088": "in an earlier file of a reverted thread",
    "01a169cc-5cd9-7f70-948d-7fd8144214a7": "by its name",
    "01a1d5a8-28b3-70d2-be3d-e471002c8e45": "by its name",
    "01a1d923-ae94-71d0-8a07-69d9bc2c0c20": "by its name",
}
"""Threads that only we find."""
OTHER_PLACE = {
    "01a1d723-feed-7c03-8986-1fe26fc87343": "told to the model alone",
    "01a04971-fd26-7093-8a90-61c8bce487f8": "told to the model alone",
    "01a1d0da-05f4-7e81-a6b5-8489b253756f": "the picture as the model was told of it",
    "0199996b-c63e-7d93-889c-5e6f1b6dbb85": "told to the model alone",
}
"""Threads in which Codex shows another place first."""


@pytest.fixture(scope="module")
def client(
    corpus_home: Path, corpus_index: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    base = tmp_path_factory.mktemp("gold")
    cli = Cli(corpus_home, base, {"THREADKEEP_DB": str(corpus_index)})
    with Server(cli) as server:
        yield in_step(server.client.begin())


def in_step(client: Client) -> Client:
    """This client, when everything is indexed."""
    soon(lambda: client.call("thread/search", searchTerm="x")["complete"])
    return client


@pytest.mark.parametrize("name", sorted(path.name for path in GOLD.glob("search_*.json")))
def test_what_codex_finds_is_found(client: Client, name: str) -> None:
    pages = exchanges(name)
    asked = {key: value for key, value in pages[0][0].items() if key != "cursor"}
    theirs: dict[str, str] = {}
    for _, response in pages:
        conforms("thread/search", response["result"])
        for hit in response["result"]["data"]:
            theirs.setdefault(hit["thread"]["id"], hit["snippet"])
    ours: dict[str, str] = {}
    order: list[tuple[int, str]] = []
    cursor = None
    while True:
        answer = client.call("thread/search", **asked, cursor=cursor)
        assert answer["complete"]
        assert len(answer["data"]) <= asked.get("limit", 25)
        for hit in answer["data"]:
            assert hit["thread"]["id"] not in ours
            ours[hit["thread"]["id"]] = hit["snippet"]
            order.append((hit["thread"]["createdAt"], hit["thread"]["id"]))
        cursor = answer["nextCursor"]
        if cursor is None:
            break
    assert [at for at, _ in order] == sorted(
        (at for at, _ in order), reverse=asked.get("sortDirection") != "asc"
    )
    assert theirs.keys() - ours.keys() <= NOT_SHOWN.keys()
    assert ours.keys() - theirs.keys() <= OURS_ALONE.keys()
    elsewhere = NOT_SHOWN.keys() | OURS_ALONE.keys() | OTHER_PLACE.keys()
    if name != "search_archived.json":  # that finds what the models were told of, everywhere
        common = theirs.keys() & ours.keys() - elsewhere
        assert {id_: ours[id_] for id_ in common} == {id_: theirs[id_] for id_ in common}


def occurrence(thread: str, turn: str, item: str, ordinal: int, text: str, at: int, to: int) -> Any:
    """One that Codex gave when the thread was loaded."""
    cursor = (
        f'{{"requestedThreadId":"{thread}","rolloutOrdinal":{ordinal},"includeAnchor":true,'
        '"scope":{"kind":"turns"}}'
    )
    span = {"start": at, "end": to}
    said = {"turnId": turn, "itemId": item, "snippet": text, "snippetMatchRange": span}
    return said | {"turnCursor": cursor}


def test_occurrences_are_those_of_codex(client: Client) -> None:
    turn = "01a1d790-c96a-7143-9c63-a333985570d4"
    text = "Übersetze «naïve café» → 東京 🦀👩‍👩‍👧‍👦 ok?"
    cut = f"... ly 1485 to: {text}"
    assert client.call("thread/searchOccurrences", threadId=UNICODE, searchTerm="OK?") == {
        "data": [
            occurrence(UNICODE, turn, "01a1d790-c988-7c91-921d-1d8593d830c0", 1, text, 42, 45),
            occurrence(UNICODE, turn, "msg_1485", 1, cut, 58, 61),
        ],
        "nextCursor": None,
    }
    (first, _) = client.call("thread/searchOccurrences", threadId=UNICODE, searchTerm="東京")[
        "data"
    ]
    assert first["snippetMatchRange"] == {"start": 25, "end": 27}


def test_pages_of_occurrences_are_those_of_codex(client: Client) -> None:
    turn = "01a1cfc0-26b1-7ce3-b970-db1050f8fa74"
    asked = {"threadId": MULTI, "searchTerm": "e"}
    page = client.call("thread/searchOccurrences", **asked, limit=2)
    item = "01a1cfc0-26c6-7f60-ad31-9caf2c8183e9"
    reply = "Reply 1411 to: Add pagination to /users"
    assert page["data"] == [
        occurrence(MULTI, turn, item, 1, "Add pagination to /users", 21, 22),
        occurrence(MULTI, turn, "msg_1411", 1, reply, 1, 2),
    ]
    places = '"nextRolloutOrdinal":11,"nextOccurrenceIndex":1}'
    assert page["nextCursor"] == f'{{"threadId":"{MULTI}","searchTerm":"e",{places}'
    following = client.call("thread/searchOccurrences", **asked, limit=2, cursor=page["nextCursor"])
    other = "01a1cfcc-7726-7980-8602-aca6e7799e2c"
    text = "Explain this regex: ^(?:a|b)+$ [RUNMD]"
    assert following["data"] == [
        occurrence(MULTI, turn, "msg_1411", 1, reply, 36, 37),
        occurrence(MULTI, other, "01a1cfcc-773c-7291-9bc2-ffbd0f0a3805", 17, text, 0, 1),
    ]
    zero = client.call("thread/searchOccurrences", **asked, limit=0)
    assert len(zero["data"]) == 1
    assert '"nextRolloutOrdinal":11,"nextOccurrenceIndex":0}' in zero["nextCursor"]
    whole = client.call("thread/searchOccurrences", **asked, limit=1000)
    assert whole["data"][:4] == page["data"] + following["data"]


UNKNOWN = "01a1d790-c955-74a3-b034-a16cdd5b1100"


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        (
            "thread/search",
            {"searchTerm": " "},
            -32600,
            "thread/search requires a non-empty searchTerm",
        ),
        ("thread/search", {}, -32600, "Invalid request: missing field `searchTerm`"),
        ("thread/search", {"searchTerm": "x", "cursor": "bad"}, -32600, "invalid cursor: bad"),
        (
            "thread/search",
            {"searchTerm": "x", "sortKey": "zz"},
            -32600,
            "Invalid request: unknown variant `zz`, expected one of `created_at`, `updated_at`,"
            " `recency_at`",
        ),
        (
            "thread/search",
            {"searchTerm": 5},
            -32600,
            "Invalid request: invalid type: integer `5`, expected a string",
        ),
        (
            "thread/searchOccurrences",
            {"threadId": MULTI, "searchTerm": ""},
            -32600,
            "thread/searchOccurrences requires a non-empty searchTerm",
        ),
        (
            "thread/searchOccurrences",
            {"threadId": MULTI, "searchTerm": "t", "cursor": "xx"},
            -32600,
            "invalid cursor: xx",
        ),
        *(
            (
                "thread/searchOccurrences",
                {"threadId": thread, "searchTerm": "x"},
                -32601,
                "thread/searchOccurrences is not supported yet",
            )
            for thread in (LEGACY, UNKNOWN)
        ),
    ],
)
def test_errors_are_those_of_codex(
    client: Client, method: str, params: dict[str, Any], code: int, message: str
) -> None:
    error = client.fail(method, **params)
    assert (error["code"], error["message"]) == (code, message)


def test_hints_are_in_the_words_of_the_protocol(client: Client) -> None:
    error = client.fail("thread/search", searchTerm="x", cursor="bad")
    assert error["data"]["hint"] == "start without a cursor, or repeat the params it came from"
    error = client.fail("thread/list", parentThreadId="zz")
    assert "--" not in error["data"].get("hint", "")


def test_a_cursor_of_another_thread_is_refused(client: Client) -> None:
    cursor = client.call("thread/searchOccurrences", threadId=MULTI, searchTerm="e", limit=1)
    error = client.fail(
        "thread/searchOccurrences", threadId=FORK, searchTerm="e", cursor=cursor["nextCursor"]
    )
    assert error["message"].startswith("invalid cursor: {")


def test_what_is_said_while_a_server_runs_is_found(tmp_path: Path) -> None:
    write(tmp_path / "home", 1)
    cli = Cli(tmp_path / "home", tmp_path)
    with Server(cli) as server:
        client = in_step(server.client.begin())

        def found(text: str) -> list[str]:
            answer = client.call("thread/search", searchTerm=text)
            return [hit["thread"]["id"] for hit in answer["data"]]

        assert found("said just now") == []
        with write(cli.home, 1).open("ab") as file:
            file.write(encoded([event(STAMP, "agent_message", message="said just now")]))
        write(cli.home, 2, encoded(lines(2, "and SAID JUST NOW")))
        soon(lambda: found("said just now") == [thread_id(2), thread_id(1)])


def streamed(client: Client, **params: Any) -> tuple[list[Any], dict[str, Any]]:
    """What is told while a search goes on, and what it is answered with."""
    asked = client.ask("thread/search/stream", **params)
    client.told.clear()
    result = client.answer(asked)["result"]
    conforms("thread/search/stream", result)
    told = [each["params"] for each in client.told if each["method"] == "thread/search/partial"]
    assert all(each["requestId"] == asked for each in told)
    return [hit for each in told for hit in each["data"]], result


@pytest.mark.parametrize(
    "params",
    [
        {"searchTerm": "e"},
        {"searchTerm": "e", "limit": 7, "sortKey": "updated_at", "sortDirection": "asc"},
        {"searchTerm": "the", "limit": 100},
        {"searchTerm": "nobody said that"},
    ],
    ids=str,
)
def test_a_stream_tells_first_what_it_answers_in_the_end(
    client: Client, params: dict[str, Any]
) -> None:
    whole = client.call("thread/search", **params)
    told, answer = streamed(client, **params)
    assert answer == whole
    assert told == answer["data"][: len(told)]
    assert bool(told) == (len(answer["data"]) > 1)
    if answer["nextCursor"]:
        later = params | {"cursor": answer["nextCursor"]}
        assert streamed(client, **later)[1] == client.call("thread/search", **later)


@pytest.mark.parametrize("method", ["thread/search", "thread/search/stream"])
def test_a_search_is_cancelled_by_its_method_and_id(client: Client, method: str) -> None:
    other = {"thread/search": "thread/search/stream", "thread/search/stream": "thread/search"}
    assert client.call(f"{method}/cancel", requestId=client.ask("thread/loaded/list")) == {}
    line = {"id": "mine", "method": method, "params": {"searchTerm": "e", "limit": 100}}
    for cancelled in (True, False):
        cancel = method if cancelled else other[method]
        client.send(json.dumps(line).encode())
        wanted = client.ask(f"{cancel}/cancel", requestId="mine")
        answers: dict[Any, dict[str, Any]] = {}
        while len(answers) < 2:
            message = client.next()
            if "method" not in message:
                answers[message["id"]] = message
        assert answers[wanted]["result"] == {}
        if not cancelled:
            assert answers["mine"]["result"]["data"]
            continue
        error = answers["mine"]["error"]
        assert (error["code"], error["message"]) == (-32600, "thread search cancelled")
        assert error["data"]["kind"] == "cancelled"


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("thread/search/stream", {"searchTerm": " "}, -32600, "thread/search requires a non-empty"),
        (
            *("thread/search/stream", {"searchTerm": "é" * 32_769}, -32602),
            "thread/search/stream searchTerm exceeds 65536 UTF-8 bytes",
        ),
        (
            *("thread/search/stream", {"searchTerm": "x", "cursor": "no"}, -32602),
            "invalid cursor: no",
        ),
        ("thread/search/cancel", {}, -32600, "Invalid request: missing field `requestId`"),
        (
            *("thread/search/cancel", {"requestId": 1.5}, -32600),
            "Invalid request: data did not match any variant of untagged enum RequestId",
        ),
    ],
)
def test_what_makes_no_search_is_refused_as_codex_does(
    client: Client, method: str, params: dict[str, Any], code: int, message: str
) -> None:
    error = client.fail(method, **params)
    assert error["code"] == code
    assert error["message"].startswith(message)
