"""A model server that answers every request with the same words, for a real Codex offline."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = "the answer of the model"
_USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 120,
}
_SAID = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": ANSWER}],
}
_EVENTS = (
    {"type": "response.created", "response": {"id": "resp_1"}},
    {"type": "response.output_item.done", "output_index": 0, "item": _SAID},
    {"type": "response.completed", "response": {"id": "resp_1", "usage": _USAGE}},
)


class _Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(json.dumps({"object": "list", "data": [], "models": []}), "application/json")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        told = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in _EVENTS]
        self._answer("".join(told), "text/event-stream")

    def _answer(self, text: str, content_type: str) -> None:
        data = text.encode()
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def mock_model() -> Iterator[str]:
    """A server of its own; gives the text of a ``config.toml`` that has Codex use it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield (
            'model = "mock-model"\nmodel_provider = "mock"\n'
            'approval_policy = "never"\nsandbox_mode = "read-only"\n'
            '[model_providers.mock]\nname = "mock"\nwire_api = "responses"\n'
            f'base_url = "http://127.0.0.1:{server.server_port}/v1"\n'
            "request_max_retries = 0\nstream_max_retries = 0\n"
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
