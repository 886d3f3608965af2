"""Every record of a tool's call, of every version, shows what the tool did."""

import re
from itertools import product
from pathlib import Path

from rollout.history.transcript import open_transcript
from rollout.schema.modes import LEGACY, PAGINATED
from tests.rollout.history.tool_lines import (
    COMMAND_ENDED,
    FREEFORM,
    INVOCATION,
    MAKE,
    MODES,
    PATCH,
    PATCHED,
    PNG,
    RAN,
    SCRIPT,
    SECONDS,
    SHELLS,
    Fields,
    custom,
    function,
    gave,
    item,
    lines_of,
    shown,
)
from tests.samples.histories import numbered, spell
from tests.samples.homes import thread_id
from tests.samples.long_threads import head, put
from tests.samples.rollouts import event
from tests.support.command import Inside
from tests.support.each import each


def test_a_command_has_its_output_whichever_comes_first(tmp_path: Path) -> None:
    outputs = [gave(RAN), gave(FREEFORM), gave([{"type": "input_text", "text": FREEFORM}])]

    def check(case: tuple[str, str]) -> None:
        name, mode = case
        for output in outputs:
            assert shown(tmp_path, mode, SHELLS[name], output) == MAKE
            assert shown(tmp_path, mode, output, SHELLS[name]) == MAKE
        assert shown(tmp_path, mode, SHELLS[name]) == [("$ make", "no output", "")]

    each(product(SHELLS, MODES), check)


CASES: dict[str, tuple[list[Fields], list[tuple[str, str, str]]]] = {
    "a patch, its item without changes": (
        [
            custom("apply_patch", PATCH),
            event(
                "patch_apply_end",
                **{"call_id": "c", "stdout": "", "stderr": "", "success": True},
                status="completed",
            ),
            gave("Exit code: 0\nWall time: 0 seconds\nOutput:\nSuccess. Updated\n"),
        ],
        PATCHED,
    ),
    "a patch, its event without status": (
        [
            custom("apply_patch", PATCH),
            event("patch_apply_end", call_id="c", stdout="", stderr="", success=True),
            gave("Exit code: 0\nWall time: 0 seconds\nOutput:\nSuccess. Updated\n"),
        ],
        PATCHED,
    ),
    "a patch as a function": (
        [function("apply_patch", {"input": PATCH}), gave("Success. Updated")],
        [("patch run.sh", "", PATCH)],
    ),
    "a patch that failed": (
        [custom("apply_patch", PATCH), gave("verification failed", kind="custom_tool_call_output")],
        [("patch run.sh", "", PATCH), ("patch output", "", "verification failed")],
    ),
    "a patch by a command, its item without changes": (
        [
            function("shell", {"command": ["bash", "-lc", SCRIPT]}),
            event(
                "patch_apply_end",
                **{"call_id": "c", "stdout": "", "stderr": "", "success": True},
                status="completed",
            ),
            gave("Exit code: 0\nWall time: 0 seconds\nOutput:\nSuccess. Updated\n"),
        ],
        PATCHED,
    ),
    "a patch by its begin alone": (
        [event("patch_apply_begin", call_id="c", changes={"a": {"add": {"content": "x\n"}}})],
        [("patch a", "no output", "*** Add File: a\n+x")],
    ),
    "a search in the web": (
        [
            item(
                "web_search_call",
                id="ws",
                status="completed",
                action={"type": "search", "query": "q"},
            )
        ],
        [("web search: q", "", "")],
    ),
    "a search in the web by an end without an action": (
        [event("web_search_begin", call_id="c"), event("web_search_end", call_id="c", query="q")],
        [("web search: q", "", "")],
    ),
    "an agent by its events": (
        [
            event(
                "collab_agent_spawn_end", call_id="c", prompt="count", status={"completed": "done"}
            )
        ],
        [('tool spawn_agent {"prompt": "count"}', "", '{"completed": "done"}')],
    ),
    "a page of the web": (
        [item("web_search_call", id="ws", action={"type": "open_page", "url": "https://x"})],
        [("web: opened https://x", "", "")],
    ),
    "a search for tools": (
        [
            item("tool_search_call", call_id="c", execution="client", arguments={"query": "mail"}),
            item("tool_search_output", call_id="c", status="completed", tools=[{"name": "send"}]),
        ],
        [('tool tool_search_call {"query": "mail"}', "", '{"name": "send"}')],
    ),
    "a picture": (
        [
            item(
                "image_generation_call",
                id="ig",
                status="completed",
                revised_prompt="dot",
                result=PNG,
            )
        ],
        [("made an image dot", "", "")],
    ),
    "a script": (
        [custom("exec", "text(1)"), gave([{"type": "input_text", "text": "1"}])],
        [("tool exec text(1)", "", "1")],
    ),
    "a plan": (
        [function("update_plan", {"plan": [{"step": "a", "status": "completed"}]}), gave("ok")],
        [("plan", "", "[x] a")],
    ),
    "an MCP tool by its call": (
        [function("docs__look", {"q": 1}), gave('{"content":[{"type":"text","text":"found"}]}')],
        [('tool docs__look {"q": 1}', "", "found")],
    ),
    "an MCP tool that failed": (
        [function("docs__look", {"q": 1}), gave({"content": "no", "success": False})],
        [('tool docs__look {"q": 1}', "", "no")],
    ),
    "an MCP tool that was begun": (
        [event("mcp_tool_call_begin", call_id="c", invocation=INVOCATION)],
        [('tool docs.look {"q": "x"}', "no output", "")],
    ),
    "an MCP tool whose end Codex does not read": (
        [
            event(
                "mcp_tool_call_end",
                call_id="c",
                invocation=INVOCATION,
                result={"Ok": {"content": [{"type": "text", "text": "found"}]}},
            )
        ],
        [('tool docs.look {"q": "x"}', "", "found")],
    ),
    "a command by its events": (
        [
            event("exec_command_begin", call_id="c", command=["bash", "-lc", "make"], cwd="/w"),
            event(
                "exec_command_end",
                **{"call_id": "c", "aggregated_output": "it ran\n", "duration": SECONDS},
                **COMMAND_ENDED,
            ),
        ],
        MAKE,
    ),
    "a command by its end alone, of an older version": (
        [
            event(
                "exec_command_end",
                call_id="c",
                stdout="it ran\n",
                duration=SECONDS,
                **COMMAND_ENDED,
            )
        ],
        MAKE,
    ),
    "a command that was begun": (
        [event("exec_command_begin", call_id="c", command=["ls"], cwd="/w")],
        [("$ ls", "no output", "")],
    ),
    "a command by its call and its end": (
        [
            SHELLS["shell"],
            event(
                "exec_command_end",
                call_id="c",
                stdout="it ran\n",
                duration=SECONDS,
                **COMMAND_ENDED,
            ),
        ],
        MAKE,
    ),
    "an image that was looked at": (
        [event("view_image_tool_call", call_id="c", path="/w/x.png")],
        [("looked at the image /w/x.png", "", "")],
    ),
    "an image that is not there": (
        [function("view_image", {"path": "x.png"}), gave("unable to locate x.png")],
        [("looked at the image x.png", "", "unable to locate x.png")],
    ),
    "a tool of a client": (
        [
            event(
                "dynamic_tool_call_request", callId="c", turnId="t", tool="look", arguments={"a": 1}
            ),
            event(
                "dynamic_tool_call_response",
                **{"call_id": "c", "tool": "look", "arguments": {"a": 1}},
                content_items=[{"type": "inputText", "text": "seen"}],
            ),
        ],
        [('tool look {"a": 1}', "", "seen")],
    ),
    "a call of a kind that is not known": (
        [
            item("sky_call", call_id="c", action={"aim": "up"}),
            item("sky_call_output", call_id="c", output="blue"),
        ],
        [('tool sky_call {"aim": "up"}', "", "blue")],
    ),
    "an output without a call": (
        [gave("left over", "other")],
        [("output of a missing call", "", "left over")],
    ),
    "an output that a client gave": (
        [item("function_call_output", id="fco", name="k", namespace="agent", output="context")],
        [("tool agent.k", "", "context")],
    ),
    "one call twice": (
        [function("x", "1"), gave("one"), function("x", "2"), gave("two")],
        [("tool x 1", "", "one"), ("tool x 2", "", "two")],
    ),
    "one output twice": (
        [function("x", "1"), gave("one"), gave("one"), gave("more")],
        [("tool x 1", "", "one\nmore")],
    ),
    "two calls before two outputs": (
        [function("x", "1"), function("x", "2", "d"), gave("two", "d"), gave("one")],
        [("tool x 1", "", "one"), ("tool x 2", "", "two")],
    ),
}


def test_a_record_of_a_tool_shows_what_it_did(tmp_path: Path) -> None:
    def check(case: tuple[str, str]) -> None:
        name, mode = case
        lines, expected = CASES[name]
        if mode == PAGINATED and "by a command" in name:
            expected = [("$ " + SCRIPT, "exit 0", "Success. Updated")]  # an event is no item there
        assert shown(tmp_path, mode, *lines) == expected

    each(product(CASES, MODES), check)


def test_calls_of_another_turn_and_of_what_was_left_out_are_not_told(tmp_path: Path) -> None:
    """A fork names the ordinal where it leaves its base, in which others go on."""
    base = lines_of(PAGINATED, [function("x", "1"), gave("kept")])
    ordinal = base.count(b"\n")
    later = numbered([function("x", "2", "d"), gave("left out", "d")], ordinal)
    put(tmp_path, 1, base + spell(later))
    facts = {"thread_id": thread_id(1), "end_ordinal_exclusive": ordinal}
    fork = head(2, PAGINATED, history_base={**facts, "end_byte_offset": len(base)})
    path = put(tmp_path, 2, spell(numbered([fork], ordinal)))
    with open_transcript(path, lambda _: put_path(tmp_path)) as dialogue:
        made = [entry.get("output") for entry, _ in dialogue.entries(0)]
    assert made == [None, "kept"]


def put_path(home: Path) -> Path:
    (found,) = home.rglob(f"*{thread_id(1)}.jsonl")
    return found


def test_show_and_exports_and_searches_agree(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    patch, _ = CASES["a patch, its item without changes"]
    lines = [SHELLS["local_shell_call"], gave(RAN), *(renamed(line) for line in patch)]
    put(cli.home, 1, lines_of(LEGACY, lines))
    texts = {"show": cli.run("show", thread_id(1)).out}
    for kind in ("md", "html"):
        out = tmp_path / f"out.{kind}"
        cli.run("export", thread_id(1), "--format", kind, "--output", str(out))
        texts[kind] = re.sub("<[^>]+>", "", out.read_text())
    for kind, text in texts.items():
        assert "make" in text, kind
        assert "it ran" in text, kind
        assert "Add File: run.sh" in text, kind
        assert "no file" not in text, kind
    document = cli.run("show", thread_id(1), "--json").json
    (turn,) = document["thread"]["turns"]
    assert [told["type"] for told in turn["items"]] == ["userMessage", "fileChange"]
    others = [other["item"] for other in document["others"]]
    assert [(call["name"], call["output"] is None) for call in others] == [
        ("local_shell_call", False),
        ("apply_patch", False),
    ]
    hits = cli.run("search", "--raw", "it ran", "--json").json["data"]
    assert [hit["thread"]["id"] for hit in hits] == [thread_id(1)]


def renamed(line: Fields) -> Fields:
    """The same of another call."""
    return {**line, "payload": {**line["payload"], "call_id": "other"}}
