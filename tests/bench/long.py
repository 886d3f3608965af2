"""Threads of any length, with lifelike turns: a question, twenty commands with 3 KB of output each,
an answer.

    python -m tests.bench.long HOME --mb 1000
"""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from rollout.schema.modes import LEGACY, PAGINATED
from tests.samples.homes import file_name, thread_id

_OUTPUT: Final = "lorem ipsum dolor sit amet " * 120
_COMMANDS: Final = 20


class _Writer:
    def __init__(self, path: Path, number: int, mode: str) -> None:
        self._file = path.open("wb")
        self._number = number
        self._mode = mode
        self._lines = 0
        self.size = 0

    def line(self, kind: str, payload: dict[str, Any]) -> None:
        line: dict[str, Any] = {"timestamp": f"2026-05-28T20:00:00.{self._lines % 1000:03}Z"}
        if self._mode == PAGINATED:
            line["ordinal"] = self._lines
        line |= {"type": kind, "payload": payload}
        self.size += self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self._lines += 1

    def event(self, kind: str, **fields: Any) -> None:
        self.line("event_msg", {"type": kind, **fields})

    def item(self, turn_id: str, **item: Any) -> None:
        of = {"thread_id": thread_id(self._number), "turn_id": turn_id}
        self.event("item_completed", **of, item=item, completed_at_ms=1_780_000_000_000)

    def close(self) -> None:
        self._file.close()


def write_long(home: Path, number: int, mode: str, size: int) -> Path:
    """Write a rollout of about so many bytes into a home."""
    path = home / "sessions/2026/05/28" / file_name(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = _Writer(path, number, mode)
    stamp = "2026-05-28T20:00:00.000Z"
    meta = {"id": thread_id(number), "timestamp": stamp, "cwd": "/w", "originator": "t"}
    meta |= {"cli_version": "0.169.0", "source": "cli", "history_mode": mode}
    writer.line("session_meta", meta | {"model_provider": "openai"})
    turn = 0
    while writer.size < size:
        _turn(writer, mode, turn)
        turn += 1
    writer.close()
    return path


def _turn(writer: _Writer, mode: str, number: int) -> None:
    name = f"00000000-0000-7000-8000-{number:012x}"
    writer.event("task_started", turn_id=name, started_at=number, model_context_window=1)
    question = {"type": "input_text", "text": f"question {number}"}
    writer.line("response_item", {"type": "message", "role": "user", "content": [question]})
    if mode == LEGACY:
        writer.event("user_message", message=f"question {number}")
    else:
        text = [{"type": "text", "text": f"question {number}", "text_elements": []}]
        writer.item(name, type="UserMessage", id=f"u{number}", content=text)
    for at in range(_COMMANDS):
        call = f"call_{number}_{at}"
        asked = {"name": "exec_command", "arguments": '{"cmd":"ls"}', "call_id": call}
        writer.line("response_item", {"type": "function_call", **asked})
        facts: dict[str, Any] = {
            "process_id": "1",
            "command": ["bash", "-lc", "ls"],
            "parsed_cmd": [],
        }
        facts |= {"source": "unified_exec_startup", "status": "completed", "exit_code": 0}
        facts |= {"aggregated_output": _OUTPUT, "duration": {"secs": 0, "nanos": 1}}
        if mode == LEGACY:
            more = {"stdout": _OUTPUT, "stderr": "", "formatted_output": _OUTPUT}
            of = {"call_id": call, "turn_id": name, "cwd": "/w"}
            writer.event("exec_command_end", **of, **facts, **more)
        else:
            writer.item(name, type="CommandExecution", id=call, cwd="file:///w", **facts)
        output = {"type": "function_call_output", "call_id": call, "output": _OUTPUT}
        writer.line("response_item", output)
        writer.event("token_count", info=None, rate_limits=None)
    answer = {"type": "output_text", "text": f"answer {number}"}
    writer.line("response_item", {"type": "message", "role": "assistant", "content": [answer]})
    if mode == LEGACY:
        writer.event("agent_message", message=f"answer {number}")
    else:
        words = [{"type": "Text", "text": f"answer {number}"}]
        writer.item(name, type="AgentMessage", id=f"a{number}", content=words)
    writer.event("task_complete", turn_id=name, completed_at=number, duration_ms=5)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--mb", type=int, default=1000)
    arguments = parser.parse_args()
    for place, mode in enumerate((LEGACY, PAGINATED), 1):
        write_long(arguments.home, place, mode, arguments.mb * 10**6)
