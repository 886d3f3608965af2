"""A model server for a real Codex offline. It answers every request with the same words, unless
the prompt names things to do before: ``"the prompt #shell #patch"`` (:data:`DEEDS`), or an end
that is no answer: ``#refused``, ``#limited``, ``#fails_with_CODE``, ``#hangs``."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Final

ANSWER = "the answer of the model"
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""
_USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 120,
}
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
_TASK = "Message Type: NEW_TASK"
_ASIDE = ("<environment_context", "# AGENTS")
_HANGS = 20.0  # seconds

Item = dict[str, Any]
Step = list[Item]


@dataclass(frozen=True)
class Request:
    """What Codex asks the model."""

    number: int
    body: Mapping[str, Any]

    @cached_property
    def input(self) -> list[Item]:
        """The items so far."""
        given = self.body.get("input")
        return given if isinstance(given, list) else []

    @cached_property
    def _last(self) -> int:
        for index in range(len(self.input) - 1, -1, -1):
            if _prompt_of(self.input[index]) is not None:
                return index
        return -1

    @cached_property
    def prompt(self) -> str:
        """What it was asked for last."""
        return (_prompt_of(self.input[self._last]) or "") if self._last >= 0 else ""

    @cached_property
    def words(self) -> list[str]:
        """What the prompt says to do, in order."""
        return re.findall(r"#([a-z]\w*)", self.prompt)

    @cached_property
    def outputs(self) -> list[Item]:
        """What the tools that were called since then gave."""
        since = self.input[self._last + 1 :]
        return [item for item in since if str(item.get("type")).endswith("_output")]

    @cached_property
    def tools(self) -> dict[str, tuple[str | None, Item]]:
        """Each tool with its namespace, by name."""
        found: dict[str, tuple[str | None, Item]] = {}
        later = [item["tools"] for item in self.input if item.get("type") == "additional_tools"]
        for tools in (self.body.get("tools") or [], *later):
            for tool in tools:
                inner = tool.get("tools") if tool.get("type") == "namespace" else None
                for one in inner or [tool]:
                    name = one.get("name") or one["type"]
                    found.setdefault(name, (tool["name"] if inner else None, one))
        return found

    @property
    def scripted(self) -> bool:
        """Whether there is one tool for everything, which takes a script."""
        return self.tools.get("exec", (None, {}))[1].get("type") == "custom"

    def takes(self, name: str) -> frozenset[str]:
        """The parameters of a tool."""
        parameters = self.tools[name][1].get("parameters") or {}
        return frozenset(parameters.get("properties") or ())

    def call(self, name: str, given: Mapping[str, Any] | str, nth: int = 0) -> Item:
        """A call of a tool: with arguments, or with a text if it takes one."""
        namespace, _ = self.tools[name]
        item: Item = {"name": name, "call_id": f"call_{self.number}_{nth}"}
        if isinstance(given, str):
            item |= {"type": "custom_tool_call", "id": f"ctc_{self.number}_{nth}", "input": given}
            item["status"] = "completed"
        else:
            item |= {"type": "function_call", "id": f"fc_{self.number}_{nth}"}
            item["arguments"] = json.dumps(given)
        return item | ({"namespace": namespace} if namespace else {})

    def agents(self) -> list[str]:
        """The agents that it has spawned."""
        told = json.dumps([output.get("output") for output in self.outputs]).replace('\\"', '"')
        return re.findall(r'"(?:agent_id|thread_id|task_name|agent)"\s*:\s*"([^"]+)"', told)


def _prompt_of(item: Item) -> str | None:
    """What a user, or an agent that has others work for it, asks for in an item."""
    kind = item.get("type")
    if kind != "agent_message" and (kind != "message" or item.get("role") != "user"):
        return None
    parts = (part.get("text") or part.get("encrypted_content") for part in item["content"])
    text = " ".join(part for part in parts if part)
    if kind == "agent_message":
        return text if _TASK in text else None
    return None if text.startswith(_ASIDE) else text


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


def _message(id_: str, text: str, **more: str) -> Item:
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
        said.append(_message(f"msgc_{number}", "a comment of the model", phase="commentary"))
    text = ANSWER
    if "propose" in words:
        text = _PLAN
    elif "changes" in request.prompt and "review" in request.prompt.lower():
        text = json.dumps(_REVIEW)
    return [*said, _message(f"msg_{number}", text + (_CITATION if "cite" in words else ""))]


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


def _events(items: list[Item], number: int) -> list[Item]:
    """How a response with these items is told."""
    response = {"id": f"resp_{number}"}
    told: list[Item] = [{"type": "response.created", "response": response}]
    for index, item in enumerate(items):
        at = {"output_index": index}
        if item["type"] == "message":
            text = item["content"][0]["text"]
            begun = item | {"content": []}
            told.append({"type": "response.output_item.added", **at, "item": begun})
            told.append({"type": "response.output_text.delta", **at, "delta": text})
        told.append({"type": "response.output_item.done", **at, "item": item})
    return [*told, {"type": "response.completed", "response": response | {"usage": _USAGE}}]


def _stream(events: list[Item]) -> str:
    return "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Model)
        self.numbers = count(1)
        self.ends = threading.Event()


class _Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._tell({"object": "list", "data": [], "models": []})

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = Request(next(self.server.numbers), json.loads(data or b"{}"))
        words = request.words
        failed = [word for word in words if word.startswith("fails_with_")]
        if self.path.endswith("/compact"):
            self._tell(_compacted(request))
        elif "refused" in words:
            error = {"message": "the request is refused", "type": "invalid_request_error"}
            self._tell({"error": error | {"code": "invalid_prompt"}}, 400)
        elif "limited" in words:
            error = {"type": "usage_limit_reached", "message": "the limit is reached"}
            self._tell({"error": error | {"plan_type": "plus", "resets_at": 1_900_000_000}}, 429)
        elif "hangs" in words:
            self._hang(request.number)
        elif failed:
            self._send(_stream(_failure(request.number, failed[0])), "text/event-stream")
        else:
            events = _events(outputs(request), request.number)
            self._send(_stream(events), "text/event-stream")

    def _hang(self, number: int) -> None:
        """Begin to answer, and go no further."""
        events = _events([_message(f"msg_{number}", ANSWER)], number)[:3]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):  # Codex is gone
            self.wfile.write(_stream(events).encode())
            self.wfile.flush()
            self.server.ends.wait(_HANGS)

    def _tell(self, document: Any, status: int = 200) -> None:
        self._send(json.dumps(document), "application/json", status)

    def _send(self, text: str, content_type: str, status: int = 200) -> None:
        data = text.encode()
        with suppress(OSError):  # Codex is gone
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)


def _compacted(request: Request) -> Item:
    kept = [item for item in request.input if _prompt_of(item) is not None][-1:]
    output = [*kept, {"type": "compaction", "encrypted_content": "AAAA"}]
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    id_ = f"resp_{request.number}"
    return {"object": "response.compaction", "output": output, "id": id_, "usage": usage}


def _failure(number: int, word: str) -> list[Item]:
    code = word.removeprefix("fails_with_")
    response = {"id": f"resp_{number}"}
    error = {"code": code, "message": f"it fails with {code}"}
    return [
        {"type": "response.created", "response": response},
        {"type": "response.failed", "response": response | {"error": error}},
    ]


@contextmanager
def mock_model(model: str = "mock-model") -> Iterator[str]:
    """A server of its own; gives the text of a ``config.toml`` that has Codex use it."""
    server = _Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield (
            f'model = "{model}"\nmodel_provider = "mock"\n'
            'approval_policy = "never"\nsandbox_mode = "read-only"\n'
            '[model_providers.mock]\nname = "mock"\nwire_api = "responses"\n'
            f'base_url = "http://127.0.0.1:{server.server_port}/v1"\n'
            "request_max_retries = 0\nstream_max_retries = 0\n"
        )
    finally:
        server.ends.set()
        server.shutdown()
        thread.join()
        server.server_close()
