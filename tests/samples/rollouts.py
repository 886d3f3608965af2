"""Small builders of rollout lines and files, and the plain way to reducer them.

A line is a dict in the key order that Codex writes; :func:`encode` spells it as Codex does.
Bytes stand for themselves wherever a line is taken, so that damage can be written down.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import zstandard

from rollout.files.layout import parse_name
from rollout.jsonl.parse import BadLine, Line
from rollout.jsonl.reader import LineFilter, LineReader, open_rollout
from rollout.metadata.extract import extract_file
from rollout.metadata.model import initial_metadata
from rollout.metadata.outcomes import EarlierMetadata, Extracted, Unusable
from rollout.metadata.reducer import MetadataReducer
from tests import FIXTURES

CORPUS: Final = FIXTURES / "corpus" / "home"
"""A home with rollouts that real Codex versions wrote, and damaged ones."""

THREAD_ID: Final = "01a14000-0000-7000-8000-000000000001"
FOREIGN_ID: Final = "01a14000-0000-7000-8000-0000000000ff"
TURN_ID: Final = "01a14000-0000-7000-8000-0000000000a1"
STARTED: Final = "2026-10-15T07-00-00"
NOW: Final = "2026-10-15T07:00:08.296Z"

RolloutLine = Mapping[str, Any] | bytes
"""What :func:`content` takes: a line's object, or its very bytes."""


def envelope(kind: str, payload: object, *, timestamp: object = NOW) -> dict[str, Any]:
    """A line of the outer type ``kind``."""
    return {"timestamp": timestamp, "type": kind, "payload": payload}


def meta(thread_id: object = THREAD_ID, **fields: object) -> dict[str, Any]:
    """A ``session_meta``; ``fields`` replace the usual ones or are added."""
    usual = {
        "id": thread_id,
        "timestamp": "2026-10-15T07:00:00.000Z",
        "cwd": "/work/demo",
        "originator": "codex_cli_rs",
        "cli_version": "0.169.0",
        "source": "cli",
        "model_provider": "mock",
    }
    return envelope("session_meta", usual | fields)


def turn(**fields: object) -> dict[str, Any]:
    """A ``turn_context``."""
    usual = {
        "turn_id": TURN_ID,
        "cwd": "/work/demo",
        "approval_policy": "never",
        "permission_profile": {"type": "disabled"},
        "model": "gpt-5.2-codex",
        "effort": "medium",
    }
    return envelope("turn_context", usual | fields)


def event(kind: str, **fields: object) -> dict[str, Any]:
    """An ``event_msg`` whose inner type is ``kind``."""
    return envelope("event_msg", {"type": kind, **fields})


def user(message: object, **fields: object) -> dict[str, Any]:
    """A ``user_message`` event, as legacy files have it."""
    return event("user_message", message=message, **fields)


def agent(message: object) -> dict[str, Any]:
    """An ``agent_message`` event."""
    return event("agent_message", message=message)


def item(kind: str, *content: object, **fields: object) -> dict[str, Any]:
    """An ``item_completed`` event with an item of ``kind``, as paginated files have it."""
    inner = {"type": kind, "id": "item-1", "content": list(content), **fields}
    return event("item_completed", thread_id=THREAD_ID, turn_id=TURN_ID, item=inner)


def text_part(text: object) -> dict[str, Any]:
    """A text part of an item's content."""
    return {"type": "text", "text": text}


def tokens(total: object) -> dict[str, Any]:
    """A ``token_count`` event with a total."""
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": total}
    return event("token_count", info={"total_token_usage": usage}, rate_limits=None)


def goal(objective: object) -> dict[str, Any]:
    """A ``thread_goal_updated`` event."""
    inner = {"threadId": THREAD_ID, "objective": objective, "status": "active"}
    return event("thread_goal_updated", threadId=THREAD_ID, goal=inner)


def settings_applied(**fields: object) -> dict[str, Any]:
    """A ``thread_settings_applied`` event with just these settings."""
    return event("thread_settings_applied", thread_id=THREAD_ID, thread_settings=fields)


def response(text: object, role: str = "assistant") -> dict[str, Any]:
    """A ``response_item``: most of every file, and nothing that the index needs."""
    content = [{"type": "output_text", "text": text}]
    return envelope("response_item", {"type": "message", "role": role, "content": content})


def encode(line: RolloutLine) -> bytes:
    """The line as Codex spells it: compact, UTF-8, without its newline."""
    if isinstance(line, bytes):
        return line
    try:
        return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a lone surrogate can only be written as an escape
        return json.dumps(line, separators=(",", ":")).encode()


def content(*lines: RolloutLine) -> bytes:
    """The lines as a file holds them, each with its newline."""
    return b"".join(encode(line) + b"\n" for line in lines)


def rollout_name(thread_id: str = THREAD_ID, started: str = STARTED) -> str:
    """The regular file name."""
    return f"rollout-{started}-{thread_id}.jsonl"


def rollout_path(
    thread_id: str = THREAD_ID, started: str = STARTED, *, archived: bool = False
) -> str:
    """Where Codex keeps that file, relative to the home."""
    name = rollout_name(thread_id, started)
    if archived:
        return f"archived_sessions/{name}"
    return f"sessions/{started[:4]}/{started[5:7]}/{started[8:10]}/{name}"


def write_rollout(home: Path, data: bytes | Iterable[RolloutLine], path: str = "") -> str:
    """Write a rollout below ``home`` and give its relative path; ``.zst`` is compressed."""
    path = path or rollout_path()
    if not isinstance(data, bytes):
        data = content(*data)
    if path.endswith(".zst"):
        data = zstandard.ZstdCompressor().compress(data)
    file = home / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return path


def append(home: Path, path: str, data: bytes) -> None:
    """Let the file at ``path`` grow, as a writer does."""
    with (home / path).open("ab") as file:
        file.write(data)


def read_lines(
    data: bytes, buffer_bytes: int = 4096, needs: LineFilter | None = None
) -> list[Line | BadLine]:
    """All that a reader with so small a buffer gives for ``data``."""
    return list(LineReader(buffer_bytes).lines(MemoryStream(data), needs=needs))


class MemoryStream:
    """Bytes with the three methods that a reader of lines asks for."""

    def __init__(self, data: bytes) -> None:
        self._file = BytesIO(data)

    def readinto(self, buffer: memoryview, /) -> int:
        return self._file.readinto(buffer)

    def seek(self, offset: int, /) -> int:
        return self._file.seek(offset)

    def fileno(self) -> int:
        raise AssertionError("these bytes are not in a file")


def reduce_lines(*lines: RolloutLine, name: str = "") -> MetadataReducer:
    """The reducer of these lines, every one of them parsed: the definition of what is right."""
    parsed = parse_name(name or rollout_name())
    assert parsed is not None
    reducer = MetadataReducer(initial_metadata(parsed))
    for line in read_lines(content(*lines), 2**20):
        reducer.apply(line)
    return reducer


def reduce_file(file: Path) -> MetadataReducer:
    """The reducer of a whole file, every line parsed; a damaged end of compression ends it."""
    name = parse_name(file.name)
    assert name is not None
    reducer = MetadataReducer(initial_metadata(name))
    with open_rollout(file) as stream:
        for line in LineReader().lines(stream):
            reducer.apply(line)
    return reducer


def extracted(
    home: Path, path: str, earlier: EarlierMetadata | None = None, reader: LineReader | None = None
) -> Extracted:
    """What :func:`extract_file` gives for a file that must be usable."""
    found = extract_file(home, path, earlier, reader)
    assert isinstance(found, Extracted), found
    return found


def unusable(home: Path, path: str) -> Unusable:
    """What :func:`extract_file` gives for a file that must not be usable."""
    found = extract_file(home, path)
    assert isinstance(found, Unusable), found
    return found


def run_unprivileged(home: Path, expression: str) -> Any:
    """The value of a Python ``expression`` in a process whose folder is ``home``, not as root.

    Root may read everything, so refused permissions can only be seen without it. Names at
    hand: ``Path``, ``extract_file``, ``scan_home``, ``read_names``.
    """
    home.chmod(0o755)
    script = (
        "import json, os\n"
        "from pathlib import Path\n"
        "from rollout.metadata.extract import extract_file\n"
        "from rollout.metadata.session_index import read_names\n"
        "from rollout.files.scan import scan_home\n"
        "if os.getuid() == 0:\n"
        "    os.setgid(65534)\n"
        "    os.setuid(65534)\n"
        f"print(json.dumps({expression}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def corpus_rollouts() -> list[str]:
    """Relative paths of every regular file of the corpus that is named as a rollout."""
    found = []
    for folder, _, names in os.walk(CORPUS):
        for name in names:
            file = Path(folder, name)
            if parse_name(name) is not None and file.is_file() and not file.is_symlink():
                found.append(file.relative_to(CORPUS).as_posix())
    return sorted(found)
