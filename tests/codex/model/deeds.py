"""What the model can be told to do, and what it answers."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.codex.model.request import Item, Request, Step

ANSWER = "the answer of the model"
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""
_MOST_SEARCHES: Final = 100
_BETWEEN_S: Final = 0.1
_PATCH = "*** Begin Patch\n*** Add File: new-{}.txt\n+hello\n*** End Patch\n"
_PLAN = "Here:\n<proposed_plan>\n# Plan\n- one\n- two\n</proposed_plan>\nDone."
_CITATION = (
    "\n<oai-mem-citation>\n<citation_entries>\nMEMORY.md:1-2|note=[a note]\n</citation_entries>\n"
    "<rollout_ids>\n019aa648-6f98-7211-9c66-c28a7b0609bd\n</rollout_ids>\n</oai-mem-citation>"
)
_FINDING = {
    "title": "[P1] Bad",
    "body": "It is bad.",
    "confidence_score": 0.9,
    "priority": 1,
    "code_location": {
        "absolute_file_path": "/w/a.txt",
        "line_range": {"start": 1, "end": 2},
    },
}
_REVIEW = {
    "findings": [_FINDING],
    "overall_correctness": "patch is incorrect",
    "overall_explanation": "There is a finding.",
    "overall_confidence_score": 0.8,
}
_BY_SCRIPT: Final = {
    "shell": 'text(await tools.exec_command({cmd: "echo hello; ls"}));',
    "bad_shell": 'text(await tools.exec_command({cmd: "ls /nonexistent; exit 3"}));',
    "patch": f"text(await tools.apply_patch({json.dumps(_PATCH)}));",
    "view": 'image(await tools.view_image({path: "px.png"}));',
    "lookup": 'text(await tools.lookup({q: "a word"}));',
}
"""What a model that has one tool for everything does with it."""


def _calls(*names: str, **given: Any) -> Callable[[Request], list[Step]]:
    """A deed: the first of these tools that there is, with these arguments."""

    def do(request: Request) -> list[Step]:
        there = [name for name in names if name in request.tools]
        return [[request.call(there[0], given)]] if there else []

    return do


def _two_shells(request: Request) -> list[Step]:
    if "exec_command" not in request.tools:
        return []
    commands = ("echo one", "cat README.md || true")
    return [[request.call("exec_command", {"cmd": c}, n) for n, c in enumerate(commands)]]


def _patch(request: Request) -> list[Step]:
    if "apply_patch" not in request.tools:
        return []
    text = _PATCH.format(request.number)
    custom = request.tools["apply_patch"][1].get("type") == "custom"
    return [[request.call("apply_patch", text if custom else {"input": text})]]


def _lookup_elsewhere(request: Request) -> list[Step]:
    names = [name for name in request.tools if name.endswith("echo_it")]
    return [[request.call(name, {"text": "hi"})] for name in names[:1]]


def _list_threads(request: Request) -> list[Step]:
    """Where Codex has tools searched for, the tool is searched for until the server has started:
    Codex does not wait for that."""
    names = [name for name in request.tools if name.endswith("list_threads")]
    searches = sum(output["type"] == "tool_search_output" for output in request.outputs)
    if not names and "tool_search" in request.tools and searches < _MOST_SEARCHES:
        time.sleep(_BETWEEN_S * bool(searches))
        searches += 1
    calls = [[request.call(name, {"query": "before"})] for name in names[:1]]
    return [*[[request.search("list threads")]] * searches, *calls]


def _spawn(request: Request) -> list[Step]:
    if "spawn_agent" not in request.tools:
        return []
    given: Item = {"message": "the work of a child #shell"}
    if "task_name" in request.takes("spawn_agent"):
        given["task_name"] = "scout"
    return [[request.call("spawn_agent", given)]]


def _wait_for_agents(request: Request) -> list[Step]:
    names = [name for name in ("wait_agent", "wait") if name in request.tools]
    if "spawn_agent" not in request.tools or not names:
        return []
    takes = request.takes(names[0])
    given = {key: request.agents()[:1] for key in ("targets", "ids") if key in takes}
    return [[request.call(names[0], given | {"timeout_ms": 10_000})]]


def _close_agent(request: Request) -> list[Step]:
    if "close_agent" not in request.tools:
        return []
    key = "target" if "target" in request.takes("close_agent") else "id"
    return [[request.call("close_agent", {key: "".join(request.agents()[:1])})]]


def _sleep(request: Request) -> list[Step]:
    names = [name for name in ("sleep", "clock_sleep") if name in request.tools]
    if not names:
        return []
    given = {key: 200 if "ms" in key else 1 for key in request.takes(names[0])}
    return [[request.call(names[0], given)]]


_QUESTION = {
    "id": "q1",
    "header": "Pick",
    "question": "Which?",
    "options": [{"label": "A", "description": "the one"}, {"label": "B", "description": "the two"}],
}
DEEDS: Final[Mapping[str, Callable[[Request], list[Step]]]] = {
    "shell": _calls("exec_command", cmd="echo hello; ls"),
    "bad_shell": _calls("exec_command", cmd="ls /nonexistent; exit 3"),
    "two_shells": _two_shells,
    "patch": _patch,
    "view": _calls("view_image", path="px.png"),
    "lookup": _calls("lookup", q="a word"),
    "mcp": _lookup_elsewhere,
    "list_threads": _list_threads,
    "steps": _calls(
        "update_plan",
        explanation="the plan",
        plan=[
            {"step": "the first", "status": "completed"},
            {"step": "the second", "status": "in_progress"},
        ],
    ),
    "ask": _calls("request_user_input", questions=[_QUESTION]),
    "message": _calls(
        "send_message_to_user_async", "send_user_message_async", message="Heads up, please"
    ),
    "ask_async": _calls(
        "request_user_input_async",
        questions=[{"title": "Which colour?", "options": ["the red one", "the blue one"]}],
    ),
    "spawn": _spawn,
    "wait": _wait_for_agents,
    "close": _close_agent,
    "agents": _calls("list_agents"),
    "sleep": _sleep,
}
"""What the model can be told to do. Without a tool for it, it does not."""


def _made(number: int, words: list[str]) -> list[Item]:
    """What the model makes without a tool of Codex's."""
    url = "https://example.invalid/a"
    searches = (
        {"type": "search", "query": "what is up", "queries": ["what is up"]},
        {"type": "open_page", "url": url},
        {"type": "find_in_page", "url": url, "pattern": "a word"},
    )
    made: list[Item] = []
    if "web" in words:
        made += [
            {
                "type": "web_search_call",
                "id": f"ws_{number}_{n}",
                "status": "completed",
                "action": a,
            }
            for n, a in enumerate(searches)
        ]
    if "image" in words:
        made.append(
            {
                "type": "image_generation_call",
                "id": f"ig_{number}",
                "status": "completed",
                "revised_prompt": "a dot",
                "result": PIXEL,
            }
        )
    return made


def message(id_: str, text: str, **more: str) -> Item:
    content = [{"type": "output_text", "text": text}]
    return {"type": "message", "id": id_, "role": "assistant", "content": content, **more}


def _answer(request: Request) -> list[Item]:
    """What the model says at the end."""
    words, number = request.words, request.number
    said = _made(number, words)
    if "think" in words or not request.tools:  # without tools it is asked for a summary
        summary = [{"type": "summary_text", "text": "**Considering** the request"}]
        thought = {"type": "reasoning", "id": f"rs_{number}", "encrypted_content": "AAAA"}
        said.append(thought | {"summary": summary})
    if "comment" in words:
        said.append(message(f"msgc_{number}", "a comment of the model", phase="commentary"))
    text = ANSWER
    if "propose" in words:
        text = _PLAN
    elif "changes" in request.prompt and "review" in request.prompt.lower():
        text = json.dumps(_REVIEW)
    return [*said, message(f"msg_{number}", text + (_CITATION if "cite" in words else ""))]


def outputs(request: Request) -> list[Item]:
    """The next thing that the model does or says."""
    steps: list[Step] = []
    for word in request.words:
        if request.scripted and word in _BY_SCRIPT:
            script = _BY_SCRIPT[word].replace("new-{}", f"new-{request.number}")
            steps.append([request.call("exec", script)])
        elif word in DEEDS:
            steps += DEEDS[word](request)
    done = len(request.outputs)
    for step in steps:
        if done < len(step):
            return step
        done -= len(step)
    return _answer(request)
