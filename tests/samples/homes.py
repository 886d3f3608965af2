"""Small homes made of real-looking rollout files."""

import json
import os
import uuid
from pathlib import Path
from typing import Any

BASE_MS = 1_780_000_000_000  # 2026-05-28


def thread_id(number: int) -> str:
    """A version 7 UUID whose time grows with ``number``."""
    return str(uuid.UUID(int=(BASE_MS + number * 1000) << 80 | 0x7 << 76 | 0b10 << 62 | number))


def lines(number: int, prompt: str = "hello", **meta: Any) -> list[dict[str, Any]]:
    """A whole small legacy rollout: metadata, a turn with its prompt, its tokens."""
    stamp = f"2026-05-28T20:{number // 60 % 60:02}:{number % 60:02}.000Z"
    payload = {
        "id": thread_id(number),
        "timestamp": stamp,
        "cwd": f"/work/p{number % 3}",
        "originator": "codex_cli_rs",
        "cli_version": "0.146.0",
        "source": "cli",
        "model_provider": "openai",
    } | meta
    turn = {
        "cwd": "/work",
        "approval_policy": "never",
        "model": "gpt-5",
        "sandbox_policy": {"type": "read-only"},
    }
    used = {"input_tokens": 90 + number, "output_tokens": 10, "total_tokens": 100 + number}
    usage = {"total_token_usage": used, "last_token_usage": used}
    limits = {"limit_id": "codex", "primary": {"used_percent": number}}
    return [
        {"timestamp": stamp, "type": "session_meta", "payload": payload},
        {"timestamp": stamp, "type": "turn_context", "payload": turn},
        event(stamp, "user_message", message=prompt),
        event(stamp, "token_count", info=usage, rate_limits=limits),
    ]


def event(stamp: str, kind: str, **payload: Any) -> dict[str, Any]:
    """An ``event_msg`` line."""
    return {"timestamp": stamp, "type": "event_msg", "payload": {"type": kind, **payload}}


def encoded(values: list[dict[str, Any]]) -> bytes:
    """Lines as Codex writes them."""
    return b"".join(json.dumps(v, separators=(",", ":")).encode() + b"\n" for v in values)


def file_name(number: int, segment: int | None = None) -> str:
    """The name of a thread's file, or of its ``segment`` after a revert."""
    later = number if segment is None else number + 30 + segment
    stamp = f"2026-05-28T20-{later // 60 % 60:02}-{later % 60:02}"
    suffix = "" if segment is None else f"_{thread_id(5000 + segment)}"
    return f"rollout-{stamp}-{thread_id(number)}{suffix}.jsonl"


def write(
    home: Path,
    number: int,
    content: bytes | None = None,
    *,
    archived: bool = False,
    segment: int | None = None,
    mtime_ms: int | None = None,
) -> Path:
    """Write a thread's file into a home; its mtime grows with ``number`` unless given."""
    folder = home / ("archived_sessions" if archived else "sessions/2026/05/28")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(number, segment)
    path.write_bytes(encoded(lines(number, f"prompt {number}")) if content is None else content)
    touched = BASE_MS + number * 1000 if mtime_ms is None else mtime_ms
    os.utime(path, ns=(touched * 1_000_000, touched * 1_000_000))
    return path
