"""Hypothesis strategies: lines and whole rollouts, as Codex writes them and as nobody should.

``rollout_bytes()`` is what the properties run over. Lines are drawn as objects first and
spelled afterwards (:func:`spelled`), so that each kind is met in the usual spelling, which
may be skipped by its first bytes, and in unusual ones, which may not.
"""

import json
from typing import Any, Final

from hypothesis import strategies as st

from tests.samples.rollouts import (
    FOREIGN_ID,
    THREAD_ID,
    TURN_ID,
    agent,
    encode,
    envelope,
    event,
    goal,
    item,
    meta,
    response,
    settings_applied,
    text_part,
    tokens,
    turn,
    user,
)

BAIT: Final = {"type": "user_message", "message": "bait"}
"""Looks like a prompt when found inside another line."""

texts = st.one_of(
    st.sampled_from(
        ["", " ", "hello", "# IDE\n## My request for Codex:\n do it ", "ä\u2028ö", '{"a":1}']
    ),
    st.text(max_size=20),
)
picture_lists = st.sampled_from([None, [], ["data:image/png;base64,AAAA"]])


def _maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any subset of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


sources = st.sampled_from(
    [
        "cli",
        "mcp",
        "from the future",
        {"subagent": "review"},
        {"subagent": {"thread_spawn": {"parent_thread_id": FOREIGN_ID, "agent_role": "r"}}},
        {"custom": "atlas"},
        None,
        5,
    ]
)
tool_lists = st.sampled_from(
    [
        [],
        [{"type": "function", "name": "look", "description": "d", "inputSchema": {"a": 1}}],
        [{"type": "namespace", "name": "space", "tools": [{"name": "inner"}]}],
        "no list",
    ]
)
metas = st.builds(
    lambda thread_id, fields: meta(thread_id, **fields),
    st.sampled_from([THREAD_ID, THREAD_ID, FOREIGN_ID, THREAD_ID.upper(), "no id", 5]),
    _maybe(
        timestamp=st.sampled_from(["2026-01-02T03:04:05.678+02:00", "2026-01-02T03-04-05", "?", 1]),
        cwd=st.sampled_from(["/a/b/", "", None]),
        source=sources,
        history_mode=st.sampled_from(["legacy", "paginated", "future", None, ""]),
        memory_mode=st.sampled_from(["disabled", "enabled", 7]),
        git=st.sampled_from([{"branch": "main"}, {"commit_hash": "0" * 40}, "none", None]),
        agent_nickname=st.sampled_from(["nick", None]),
        model_provider=st.sampled_from(["other", None]),
        dynamic_tools=tool_lists,
        base_instructions=st.sampled_from([None, {"text": "x" * 700}]),
    ),
)
turns = st.builds(
    lambda fields: turn(**fields),
    _maybe(
        cwd=st.sampled_from(["/turn", "", 1]),
        model=st.sampled_from(["m1", "m2", None]),
        effort=st.sampled_from(["high", None, 3]),
        approval_policy=st.sampled_from(["on-failure", {"granular": {}}, None]),
        permission_profile=st.none(),
        sandbox_policy=st.sampled_from([{"mode": "workspace-write"}, {"type": "read-only"}]),
    ),
)
setting_changes = st.builds(
    lambda fields: settings_applied(**fields),
    _maybe(
        cwd=st.just("/settings"),
        model=st.just("m3"),
        model_provider_id=st.just("settled"),
        reasoning_effort=st.just("low"),
        permission_profile=st.just({"type": "disabled"}),
    ),
)
parts = st.one_of(
    st.builds(text_part, texts),
    st.sampled_from([{"type": "image", "image_url": "x"}, {"type": "audio"}, {"type": "skill"}]),
)
users = st.builds(
    lambda message, fields: user(message, **fields),
    texts,
    _maybe(images=picture_lists, local_images=picture_lists, audio=picture_lists),
)
items = st.builds(
    lambda kind, content: item(kind, *content),
    st.sampled_from(
        ["UserMessage", "AgentMessage", "Reasoning", "CommandExecution", "usermessage"]
    ),
    st.lists(parts, max_size=3),
)
token_counts = st.one_of(
    st.builds(tokens, st.one_of(st.integers(), st.floats(), st.sampled_from(["5", "x", None]))),
    st.sampled_from([event("token_count", info=None), event("token_count", info={})]),
)
needless = st.one_of(
    st.builds(response, texts),
    st.sampled_from(
        [
            response([BAIT]),
            envelope("response_item", BAIT),
            envelope("response_item", meta(FOREIGN_ID)["payload"] | {"payload": BAIT}),
            envelope("compacted", {"message": "", "replacement_history": [BAIT] * 30}),
            envelope("world_state", {"state": event("token_count", info={})}),
            event("task_started", turn_id=TURN_ID, payload=BAIT),
            event("agent_reasoning", text=encode(envelope("event_msg", BAIT)).decode()),
            event("exec_command_end", stdout="y" * 900),
        ]
    ),
)
strangers = st.sampled_from(
    [
        envelope("of_the_future", BAIT),
        event("of_the_future", item=BAIT),
        envelope("event_msg", [BAIT]),
        envelope("event_msg", None),
        envelope("session_meta", "text"),
        envelope("turn_context", []),
        {"timestamp": "x", "type": 5, "payload": BAIT},
    ]
)
prompts = st.builds(
    lambda text, role: envelope(
        "response_item",
        {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]},
    ),
    st.one_of(texts, st.just("<environment_context>\n</environment_context>")),
    st.sampled_from(["user", "user", "developer", "assistant"]),
)
starts = st.sampled_from(
    [event("task_started", turn_id=TURN_ID), event("turn_started", turn_id=TURN_ID)]
)
namings = st.builds(
    lambda thread_id, name: event("thread_name_updated", thread_id=thread_id, thread_name=name),
    st.sampled_from([THREAD_ID, THREAD_ID, FOREIGN_ID, None, 5]),
    st.sampled_from(["A name", "Another", " ", None, 7]),
)
goals = st.builds(goal, texts)
agents = st.builds(agent, texts)
line_objects = st.one_of(
    *(metas, turns, users, agents, items, goals, token_counts, setting_changes),
    *(prompts, starts, namings, needless, strangers),
)

_TIMES = (
    "2026-10-15T06:59:59.001Z",
    "2026-10-15T07:00:09.002Z",
    "2026-10-15T07:00:08.296Z",
    "2026-10-15T07:00:08Z",
    *("", "x" * 24, 'q"\\' * 8, 7, None),
)


_ordinals = st.one_of(st.integers(0, 9), st.integers(0, 2**64))


@st.composite
def spelled(draw: st.DrawFn, objects: st.SearchStrategy[Any] = line_objects) -> bytes:
    """A line's bytes: mostly as Codex writes them, sometimes in another valid spelling."""
    line = dict(draw(objects))
    way = draw(
        st.sampled_from(
            ["usual", "usual", "ordinal", "ordinal", "order", "spaces", "ascii", "time"]
        )
    )
    if way == "ordinal":
        line = {"timestamp": line.pop("timestamp"), "ordinal": draw(_ordinals), **line}
    elif way == "order":
        line = dict(draw(st.permutations(list(line.items()))))
        payload = line.get("payload")
        if isinstance(payload, dict):
            payload = dict(draw(st.permutations(list(payload.items()))))
            if isinstance(payload.get("item"), dict):
                inner = list(payload["item"].items())
                payload["item"] = dict(draw(st.permutations(inner)))
            line["payload"] = payload
    elif way == "spaces":
        around = draw(st.sampled_from(["", " ", "\t", "\r", "\0"]))
        return (around + json.dumps(line) + around).encode()
    elif way == "ascii":
        return json.dumps(line, separators=(",", ":")).encode()
    elif way == "time":
        line["timestamp"] = draw(st.sampled_from(_TIMES))
    return encode(line)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A line of which a piece is gone, doubled or overwritten."""
    line = draw(spelled())
    start = draw(st.integers(0, len(line)))
    end = draw(st.integers(start, len(line)))
    piece = draw(st.sampled_from([b"", b"\0", b"\xff\xfe", b"\\ud800", b'"', line]))
    return (line[:start] + piece + line[end:]).replace(b"\n", b"")


garbage = st.one_of(
    st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")),
    st.sampled_from([b"", b" ", b"\0" * 700, b"5", b"[]", b'"text"', b"null", b"x" * 1500, b"{}"]),
)
lines = st.one_of(spelled(), spelled(), spelled(), damaged(), garbage)
"""The bytes of one line, without its newline."""


@st.composite
def rollout_bytes(draw: st.DrawFn) -> bytes:
    """A whole file: a session_meta first more often than not, at times a torn line last."""
    found = draw(st.lists(lines, max_size=14))
    if draw(st.integers(0, 3)):
        found.insert(0, draw(spelled(metas)))
    data = b"\n".join(found)
    return data if draw(st.booleans()) else data + b"\n"


def byte_lines(longest: int = 6000) -> st.SearchStrategy[bytes]:
    """Bytes whose lines are shorter, as long as and longer than a small buffer."""
    lengths = st.integers(0, longest)
    pieces = st.one_of(
        st.binary(max_size=60),
        st.builds(lambda count: b"\0" * count, lengths),
        st.builds(lambda count: b"z" * count, lengths),
        st.builds(lambda count: b'{"a":"' + b"q" * count + b'"}', lengths),
        st.builds(lambda count: b"\0" * count + b'{"a":1}', lengths),
        st.sampled_from([b"\n", b"\r\n", b"\n\n", b" ", b"\xef\xbb\xbf"]),
    )
    return st.lists(st.one_of(pieces, st.just(b"\n")), max_size=10).map(b"".join)
