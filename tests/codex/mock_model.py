"""A model server for a real Codex offline. It answers every request with the same words, unless
the prompt names things to do before, ``"the prompt #shell #patch"``
(:data:`~tests.codex.model.deeds.DEEDS`), or an end that is no answer: ``#refused``, ``#limited``,
``#fails_with_CODE``, ``#hangs``."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

from tests.codex.model.deeds import ANSWER, message, outputs
from tests.codex.model.request import Item, Request, prompt_of

_USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 120,
}
_HANGS = 20.0  # seconds


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

    def __init__(self, asked: "list[Request]") -> None:
        super().__init__(("127.0.0.1", 0), _Model)
        self.asked = asked
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
        self.server.asked.append(request)
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
        events = _events([message(f"msg_{number}", ANSWER)], number)[:3]
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
    kept = [item for item in request.input if prompt_of(item) is not None][-1:]
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
def mock_model(model: str = "mock-model", asked: "list[Request] | None" = None) -> Iterator[str]:
    """A server of its own; gives the text of a ``config.toml`` that has Codex use it. ``asked``
    gets the requests."""
    server = _Server([] if asked is None else asked)
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
