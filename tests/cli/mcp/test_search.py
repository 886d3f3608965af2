"""``search_threads``."""

from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from cli.mcp.budget import BYTES_A_TOKEN
from tests.cli.mcp.support import asked, called, indexed, refused
from tests.samples.homes import encoded, event, lines, thread_id, write

QUESTION = "why did we decide to use keyset cursors instead of offsets?"
STAMP = "2026-05-28T20:00:00.000Z"


def talk(home: Path, number: int, *said: str, **where: Any) -> None:
    events = [
        event(STAMP, "agent_message" if at % 2 else "user_message", message=text)
        for at, text in enumerate(said)
    ]
    first, *_, last = lines(number)
    write(home, number, encoded([first, *events, last]), **where)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose messages are indexed."""
    folder = tmp_path_factory.mktemp("home")
    for number in range(10, 30):
        talk(folder, number, f"task {number}", "We do not use this to do that instead of those.")
    talk(
        folder, 1, "prompt", "done", "why did we decide", "to use keyset cursors instead of offsets"
    )
    talk(folder, 2, "paging\x00 \u202e", "The \x1b[31mcursor holds a key: an offset shifts.")
    talk(folder, 3, "paging " + "y " * 300 + "by keyset " + "z " * 300, "no")
    talk(folder, 4, "an old keyset cursor", archived=True)
    indexed(folder)
    return folder


def ids(threads: list[dict[str, Any]]) -> list[str]:
    return [thread["id"] for thread in threads]


def test_a_question_finds_all_words_first_and_then_the_rarest(home: Path) -> None:
    async def work(client: Client) -> None:
        found, text = await called(client, "search_threads", query=QUESTION, limit=3)
        assert ids(found["complete"]) == [thread_id(1)]
        assert ids(found["partial"]) == [thread_id(2), thread_id(3)]
        (first,), (second, third) = found["complete"], found["partial"]
        assert [(each["turn"], each["by"]) for each in first["passages"]] == [
            (2, "user"),
            (2, "agent"),
        ]
        assert first["passages"][1]["text"] == "to use keyset cursors instead of offsets"
        assert "words" not in first
        assert (third["words"], second["words"]) == (["keyset"], ["offsets", "cursors"])
        assert second["passages"][0]["text"] == "The cursor holds a key: an offset shifts."
        (passage,) = third["passages"]
        assert (passage["turn"], passage["by"]) == (1, "user")
        assert passage["text"].startswith("... y y")
        assert " by keyset z z " in passage["text"]
        assert len(passage["text"]) < 350
        assert found["note"] == "Not searched: 1 archived (archived=true)."
        assert "instead of those" not in text  # words that most threads have, and nothing else
        order = [text.index(part) for part in (thread_id(1), "some of the words", thread_id(2))]
        assert order == sorted(order)
        assert "turn 2, agent: to use keyset" in text

    asked(home, work)


def test_answers_keep_to_their_budget_and_join(home: Path) -> None:
    async def work(client: Client) -> None:
        query = "task 10: those?"
        whole, _ = await called(client, "search_threads", query=query, limit=50, max_tokens=20_000)
        assert len(whole["complete"]) == 1
        assert len(whole["partial"]) == 19
        assert "next_cursor" not in whole
        joined: list[str] = []
        cursor = ""
        while cursor or not joined:
            found, text = await called(
                client, "search_threads", query=query, cursor=cursor, max_tokens=400
            )
            assert len(text) <= 400 * BYTES_A_TOKEN
            joined += ids([*found.get("complete", []), *found.get("partial", [])])
            cursor = found.get("next_cursor", "")
            assert cursor in text
        assert joined == ids([*whole["complete"], *whole["partial"]])

    asked(home, work)


def test_only_chosen_threads_are_searched(home: Path) -> None:
    async def work(client: Client) -> None:
        found, _ = await called(client, "search_threads", query="keyset cursor", archived=True)
        assert ids(found["complete"]) == [thread_id(4)]
        assert "note" not in found
        found, _ = await called(client, "search_threads", query="keyset cursor", project="/work/p2")
        assert ids(found["partial"]) == [thread_id(2)]
        found, text = await called(client, "search_threads", query="keyset", since="1d")
        assert text.startswith("Nothing matches.")
        assert "complete" not in found

    asked(home, work)


def test_what_is_no_search_is_refused_with_what_to_do(home: Path) -> None:
    async def work(client: Client) -> None:
        assert "words" in await refused(client, "search_threads", query="?!")
        told = await refused(client, "search_threads", query="keyset", cursor="x")
        assert "call again without cursor" in told
        many = " ".join(f"word{number}" for number in range(70))
        assert "at most 64" in await refused(client, "search_threads", query=many)
        assert "query" in await refused(client, "search_threads")

    asked(home, work)
