"""The rules for first messages, titles and previews."""

from pathlib import Path
from typing import Any

import pytest

from rollout.metadata.model import LONGEST_TEXT
from tests.rollout.metadata.reading import agree, metadata_of, skipped
from tests.samples import strategies
from tests.samples.rollouts import (
    FOREIGN_ID,
    RolloutLine,
    agent,
    content,
    encode,
    envelope,
    event,
    goal,
    item,
    meta,
    reduce_lines,
    response,
    text_part,
    user,
)

MARKED = "# Context from my IDE\n## My request for Codex:\n rename it \n"


def prompts(*lines: RolloutLine) -> tuple[str, str, str]:
    found = metadata_of(meta(), *lines)
    return found.first_user_message, found.title, found.preview


def as_item(message: str, **pictures: object) -> dict[str, Any]:
    """The same prompt as paginated files have it."""
    more = [{"type": "image", "image_url": "x"}] if pictures.get("images") else []
    more += [{"type": "local_image", "path": "x"}] if pictures.get("local_images") else []
    return item("UserMessage", text_part(message), *more)


@pytest.mark.parametrize("prompt", [user, as_item])
def test_the_first_prompt_is_first_message_title_and_preview(prompt: Any) -> None:
    assert prompts(prompt(" hello\n"), prompt("again")) == ("hello", "hello", "hello")


@pytest.mark.parametrize("prompt", [user, as_item])
def test_only_what_follows_the_first_marker_is_the_prompt(prompt: Any) -> None:
    assert prompts(prompt(MARKED))[0] == "rename it"
    twice = "a## My request for Codex:b## My request for Codex:c"
    assert prompts(prompt(twice))[0] == "b## My request for Codex:c"


@pytest.mark.parametrize("prompt", [user, as_item])
@pytest.mark.parametrize("blank", ["", " \n\t", "## My request for Codex:", "\u00a0\u2003"])
def test_a_blank_prompt_is_passed_over(prompt: Any, blank: str) -> None:
    assert prompts(prompt(blank), prompt("a")) == ("a", "a", "a")


@pytest.mark.parametrize("prompt", [user, as_item])
@pytest.mark.parametrize("kind", ["images", "local_images"])
def test_a_picture_alone_is_shown_but_gives_no_title(prompt: Any, kind: str) -> None:
    assert prompts(prompt("", **{kind: ["x"]})) == ("[Image]", "", "[Image]")
    assert prompts(prompt("", **{kind: ["x"]}), prompt("a")) == ("[Image]", "a", "[Image]")
    assert prompts(prompt("a", **{kind: ["x"]})) == ("a", "a", "a")


def test_the_texts_of_an_item_are_put_together() -> None:
    line = item("UserMessage", text_part("a "), {"type": "mention"}, text_part("b"))
    assert prompts(line) == ("a b", "a b", "a b")


def test_a_goal_gives_the_preview_only_if_nothing_came_before() -> None:
    assert prompts(goal("ship"), user("a")) == ("a", "a", "ship")
    assert prompts(user("a"), goal("ship")) == ("a", "a", "a")
    assert prompts(goal(""), goal("first"), goal("second")) == ("", "", "first")


def test_what_only_looks_like_a_prompt_is_none() -> None:
    assert prompts(
        response("x", role="user"),
        envelope("response_item", strategies.BAIT),
        envelope("compacted", {"replacement_history": [strategies.BAIT]}),
        event("of_the_future", item=strategies.BAIT, message="bait"),
        item("Reasoning", text_part("bait")),
        event("agent_reasoning", text=encode(user("bait")).decode()),
    ) == ("", "", "")


def test_a_rollback_undoes_nothing_here() -> None:
    assert prompts(user("a"), event("thread_rolled_back", num_turns=1), user("b"))[0] == "a"


def test_without_a_prompt_the_first_message_of_the_agent_is_the_fallback() -> None:
    for said in (agent, lambda text: item("AgentMessage", {"type": "Text", "text": text})):
        found = metadata_of(meta(), said(" "), said(" first "), said("second"))
        assert (found.fallback_preview, found.preview) == ("first", "")


@pytest.mark.parametrize(
    "line",
    [
        user("", audio=["x"]),
        user("", local_audio=["x"]),
        item("UserMessage", {"type": "audio"}),
        item("UserMessage", {"type": "skill"}),
        item("UserMessage", {"type": "mention"}),
    ],
)
def test_without_a_text_an_attachment_is_the_fallback(line: dict[str, Any]) -> None:
    found = metadata_of(meta(), line, agent("later"))
    assert (found.fallback_preview, found.preview) == ("[Attachment]", "")


def test_a_text_is_cut_to_what_is_kept_of_it() -> None:
    found = metadata_of(meta(), user("ä" * (LONGEST_TEXT + 5)))
    assert found.preview == found.title == found.first_user_message == "ä" * LONGEST_TEXT


@pytest.mark.parametrize(
    "line",
    [
        user(5),
        user(["x"]),
        user(None),
        event("user_message"),
        item("UserMessage"),
        item("UserMessage", content="text"),
        event("item_completed", item="x"),
        event("item_completed"),
        goal(5),
        event("thread_goal_updated", goal="x"),
        agent(["x"]),
        event("thread_settings_applied", thread_settings=[]),
        event("token_count", info="x"),
    ],
)
def test_a_prompt_of_the_wrong_type_changes_nothing(line: dict[str, Any]) -> None:
    assert metadata_of(meta(), line) == metadata_of(meta())


BARE_META = {
    "id": FOREIGN_ID,
    "timestamp": "2025-08-10T09:00:00.123Z",
    "instructions": None,
    "git": {"commit_hash": "abc", "branch": "main"},
}


def bare(text: str, role: str = "user") -> dict[str, Any]:
    parts = [{"type": "input_text", "text": text}]
    return {"type": "message", "id": None, "role": role, "content": parts}


def test_a_rollout_of_the_bare_era_is_read() -> None:
    reducer = reduce_lines(
        BARE_META,
        {"record_type": "state"},
        bare("<user_instructions>\nbe kind</user_instructions>"),
        bare("<environment_context>\n<cwd>/old/home</cwd>\n</environment_context>"),
        bare("hello", role="assistant"),
        bare("count the files"),
        bare("again"),
    )
    found = reducer.metadata
    assert (found.id, found.created_at_ms) == (FOREIGN_ID, 1_754_816_400_123)
    assert (found.git_sha, found.git_branch, found.cwd) == ("abc", "main", "/old/home")
    assert (found.title, found.preview) == ("count the files", "count the files")
    assert (found.source, found.history_mode, reducer.bad_lines) == ("vscode", "legacy", 0)


def test_a_picture_of_the_bare_era_is_shown() -> None:
    message = {"type": "message", "role": "user", "content": [{"type": "input_image"}]}
    assert metadata_of(BARE_META, message).preview == "[Image]"


def test_bare_lines_among_enveloped_ones_are_bad() -> None:
    reducer = reduce_lines(meta(), BARE_META, bare("x"), {"record_type": "state"})
    assert (reducer.metadata, reducer.bad_lines) == (metadata_of(meta()), 3)


def prompt(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return envelope("response_item", {"type": "message", "role": role, "content": list(parts)})


def typed(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        ([prompt(typed("<environment_context>\n")), prompt(typed("do it"))], ("", "do it")),
        (
            [prompt(typed("x"), role="developer"), prompt(typed("# AGENTS.md instructions"))],
            ("", ""),
        ),
        ([prompt(typed("<turn_aborted>"), typed("x")), prompt(typed(" <b>"))], ("", "<b>")),
        (
            [prompt(typed(" <turn_aborted>")), prompt(typed("a <turn_aborted>"))],
            ("", "a <turn_aborted>"),
        ),
        ([prompt(typed(" ")), prompt({"type": "input_image", "image_url": "u"})], ("", "[Image]")),
        ([prompt(typed("a")), agent("b"), prompt(typed("c"))], ("", "a")),
        ([prompt(typed("alone"), role="assistant")], ("", "alone")),
        ([prompt(typed("a")), user("b")], ("b", "")),
        ([prompt(typed("a")), goal("g")], ("g", "")),
        ([user("b"), prompt(typed("a"))], ("b", "")),
        (
            [envelope("response_item", "x"), envelope("response_item", {"type": "message"})],
            ("", ""),
        ),
    ],
)
def test_prompts_of_response_items_stand_in_where_no_event_has_one(
    tmp_path: Path, lines: list[dict[str, Any]], shown: tuple[str, str]
) -> None:
    reducer = reduce_lines(meta(), *lines)
    assert (reducer.metadata.preview, reducer.metadata.fallback_preview) == shown
    agree(skipped(tmp_path, content(meta(), *lines)), reducer)


def test_response_items_of_a_paginated_thread_are_not_shown() -> None:
    found = metadata_of(meta(history_mode="paginated"), prompt(typed("do it")))
    assert (found.preview, found.fallback_preview) == ("", "")
