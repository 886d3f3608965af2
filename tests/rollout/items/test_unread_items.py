"""What Codex cannot read in an item, or does not know, hides nothing from who reads a thread here:
each type of item, with each of its fields as it must not be."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.render.blocks.items import blocks
from rollout.history.transcript import open_transcript
from rollout.items.legacy import EVENT_BUILDERS
from rollout.items.paginated import ITEM_BUILDERS
from rollout.items.thread_item import turn_error
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.search.extract import read_thread_messages
from tests.samples.histories import first_line, numbered, spell
from tests.samples.item_shapes import DISPLAYS, EVENTS, ITEMS, ODD, item, variants
from tests.samples.rollouts import THREAD_ID, TURN_ID, agent, envelope, event, user

WORDS = {"UserMessage": "asked", "AgentMessage": "answered"} | {
    "user_message": "asked",
    "agent_message": "answered",
}
"""What is said in the messages of :mod:`tests.samples.item_shapes`."""
NEEDED = {"content", "message"}
KINDS = [*ITEMS, *EVENTS]
plain_values = st.one_of(st.sampled_from([*ODD, *DISPLAYS]), st.integers(), st.text(max_size=9))
any_values = st.recursive(
    plain_values,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=3,
)


def line(kind: str, fields: dict[str, Any], id_: str = "i") -> dict[str, Any]:
    if kind in EVENTS:
        return envelope("event_msg", {"type": kind, **fields})
    ids = {"thread_id": THREAD_ID, "turn_id": TURN_ID}
    return event("item_completed", **ids, item=item(kind, id_, fields))


def written(folder: Path, kind: str, *lines: dict[str, Any], begun: bool = True) -> Path:
    """A rollout with these lines in a turn, of the mode that has them."""
    mode = LEGACY if kind in EVENTS else PAGINATED
    start = [event("task_started", turn_id=TURN_ID, started_at=1)] if begun else []
    every = [first_line(mode), *start, *lines]
    path = folder / "r.jsonl"
    path.write_bytes(spell(numbered(every) if mode == PAGINATED else every))
    return path


def entries(path: Path) -> Iterator[tuple[dict[str, Any], bool]]:
    with open_transcript(path, lambda _: None) as dialogue:
        for number in range(len(dialogue.turns) + len(dialogue.orphans)):
            yield from dialogue.entries(number)


def shown(path: Path) -> str:
    """All that a reader sees."""
    return "\n".join(
        f"{each.title}\n{each.text}" for found, _ in entries(path) for each in blocks(found)
    )


def said(path: Path) -> list[str]:
    """All that a search looks through."""
    return [
        message.text
        for message in read_thread_messages(path.parent, path.name, lambda _: None).messages
    ]


def test_every_type_of_item_is_walked_over() -> None:
    assert {kind.split(" ")[0] for kind in ITEMS} == set(ITEM_BUILDERS)
    assert set(EVENTS) == set(EVENT_BUILDERS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_that_nobody_knows_changes_nothing(kind: str, tmp_path: Path) -> None:
    whole = (ITEMS | EVENTS)[kind]
    before = [*entries(written(tmp_path, kind, line(kind, whole)))]
    after = [*entries(written(tmp_path, kind, line(kind, {**whole, "of_the_future": {"a": 1}})))]
    assert len(before) == 1
    if kind == "context_compacted":  # the one line in which Codex takes no other field
        assert after[0][0].pop("raw")
        after = [(after[0][0] | {"id": before[0][0]["id"]}, False)]
    assert after == before


@pytest.mark.parametrize("kind", KINDS)
def test_no_value_of_a_field_hides_an_item(kind: str, tmp_path: Path) -> None:
    """Of an event that is no message, only what the model's own lines do not tell as well."""
    whole = (ITEMS | EVENTS)[kind]
    lines = [line(kind, each, f"i{at}") for at, each in enumerate(variants(kind, whole))]
    found = [*entries(written(tmp_path, kind, *lines))]
    if kind in ITEMS:
        ids = [each["id"] for each, _ in found]
        assert sorted(ids) == sorted(f"i{at}" for at in range(len(lines)))
    for each, extra in found:
        # Beside it stands what Codex cannot read of it, or the call itself.
        assert ("raw" in each or each["type"] == "toolCall") == extra
        assert [*blocks(each)] or each["type"] == "reasoning"


@pytest.mark.parametrize("kind", WORDS)
@given(data=st.data())
def test_words_are_shown_and_found_whatever_stands_beside_them(
    kind: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = (ITEMS | EVENTS)[kind]
    names = sorted({*whole, "of_the_future"} - NEEDED)
    fields = data.draw(st.dictionaries(st.sampled_from(names), any_values, max_size=3))
    begun = data.draw(st.booleans())
    spoilt = line(kind, {**whole, **fields})
    path = written(tmp_path_factory.mktemp("words"), kind, spoilt, begun=begun)
    assert WORDS[kind] in shown(path)
    assert any(WORDS[kind] in text for text in said(path))


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("UserMessage", [{"type": "text", "text": "asked"}, {"type": "of the future"}]),
        ("UserMessage", [{"type": "of the future", "text": "asked"}]),
        ("UserMessage", [7, {"type": "text", "text": "asked", "text_elements": 7}]),
        ("UserMessage", "asked"),
        ("AgentMessage", [{"type": "Of the future", "text": "answered", "more": 1}]),
        ("AgentMessage", [None, {"type": "Text", "text": "answered"}, {"type": "Text"}]),
        ("AgentMessage", "answered"),
    ],
)
def test_the_words_of_a_message_with_unknown_parts_are_read(
    kind: str, content: object, tmp_path: Path
) -> None:
    path = written(tmp_path, kind, line(kind, {"content": content}))
    [(found, extra)] = entries(path)
    assert extra
    assert found["raw"]["content"] == content  # nothing of it is lost
    assert WORDS[kind] in shown(path)
    assert said(path) == [WORDS[kind]]


def test_what_codex_cannot_read_is_not_counted(tmp_path: Path) -> None:
    """Codex 0.169 and 0.171 both: the next message is `item-2`."""
    lines = [user("hello"), line("agent_message", {"message": "lost", "delivery": "sync"})]
    path = written(tmp_path, "agent_message", *lines, agent("last"))
    found = [(each["id"], each["text"], extra) for each, extra in entries(path) if "text" in each]
    assert found == [("at-" + found[0][0][3:], "lost", True), ("item-2", "last", False)]
    assert said(path) == ["hello", "lost", "last"]
    assert "Codex cannot read it" in next(
        each.state for item_, extra in entries(path) if extra for each in blocks(item_)
    )


def test_messages_sent_while_working_are_items_like_others(tmp_path: Path) -> None:
    asks = {"title": "Which colour?", "options": ["Red", "Blue"]}
    lines = [
        user("hello"),
        line("agent_message", {"message": "Heads up", "delivery": "async"}),
        line("agent_message", {"message": "?", "delivery": "async", "questions": [asks]}),
    ]
    path = written(tmp_path, "agent_message", *lines, agent("last"))
    found = [(each["id"], each.get("delivery"), each.get("questions")) for each, _ in entries(path)]
    assert found[1:] == [
        ("item-2", "async", None),
        ("item-3", "async", [asks]),
        ("item-4", None, None),
    ]
    assert "Which colour?\n- Red\n- Blue" in shown(path)


def test_a_call_that_codex_cannot_read_is_shown_once(tmp_path: Path) -> None:
    call = {"type": "function_call", "name": "s__t", "arguments": "{}", "call_id": "c"}
    output = {"type": "function_call_output", "call_id": "c", "output": "o"}
    end = {**EVENTS["mcp_tool_call_end"], "mcp_app_ui": 7}
    lines = [user("hello"), envelope("response_item", call)]
    lines += [line("mcp_tool_call_end", end), envelope("response_item", output)]
    path = written(tmp_path, "mcp_tool_call_end", *lines)
    assert [each["type"] for each, _ in entries(path)] == ["userMessage", "mcpToolCall"]


def test_what_is_reported_twice_is_shown_once(tmp_path: Path) -> None:
    """A legacy thread has its messages in events; items tell of them again."""
    twice = item("AgentMessage", "i", {"content": [], "delivery": "sync"})
    ids = {"thread_id": THREAD_ID, "turn_id": TURN_ID}
    lines = [user("hello"), event("item_completed", **ids, item=twice), agent("said once")]
    path = written(tmp_path, "agent_message", *lines)
    assert [json.dumps(each["type"]) for each, _ in entries(path)] == [
        '"userMessage"',
        '"agentMessage"',
    ]


@pytest.mark.parametrize(
    ("written", "answered"),
    [("bio_policy", "bioPolicy"), ("cyber_policy", "cyberPolicy"), ("of_the_future", "other")],
)
def test_why_a_turn_failed_is_named_as_codex_does(written: str, answered: str) -> None:
    error = turn_error({"message": "m", "codex_error_info": written})
    assert error["codexErrorInfo"] == answered
