"""Values of the metadata, from the payloads of lines."""

from typing import Any, Final

from rollout.files.text import storable_text
from rollout.jsonl.parse import compact_json
from rollout.metadata.model import LONGEST_TEXT, ToolMetadata
from rollout.schema import payloads
from rollout.schema.modes import LEGACY
from rollout.schema.times import time_ms

MAX_INTEGER: Final = 2**63 - 1
"""The greatest number that SQLite stores."""


def message_text(message: payloads.Fields) -> str:
    """The text of a message of an agent, or in a user's name."""
    user = message.get("role") == "user"
    found = payloads.parts(message.get("content"))
    return "".join(text for kind, text in found if not user or kind == "input_text").strip()


def has_image(message: payloads.Fields) -> bool:
    return any(kind == "input_image" for kind, _ in payloads.parts(message.get("content")))


def line_time_ms(line: dict[str, Any]) -> int | None:
    at = line.get("timestamp")
    return time_ms(at) if isinstance(at, str) else None


def history_mode(meta: payloads.Fields) -> str:
    mode = meta.get("history_mode", LEGACY)
    return text_of(mode if isinstance(mode, str) else compact_json(mode) or "unreadable")


def tools_of(entries: object, namespace: str | None = None) -> "list[ToolMetadata]":
    found = []
    for tool in map(payloads.obj, payloads.array(entries)):
        name = payloads.text(tool.get("name"))
        if not name:
            continue
        if isinstance(tools := tool.get("tools"), list):
            found += tools_of(tools, name)
            continue
        found.append(
            ToolMetadata(
                optional_text(payloads.text(tool.get("namespace")) or namespace),
                text_of(name),
                text_of(payloads.text(tool.get("description"))),
                compact_json(tool.get("inputSchema")) or "null",
                payloads.flag(tool.get("deferLoading")),
            )
        )
    return found


def tokens_used(info: object) -> int | None:
    """The total of a ``token_count``; None if it tells none."""
    total = payloads.obj(payloads.obj(info).get("total_token_usage")).get("total_tokens")
    if type(total) is int and 0 <= total <= MAX_INTEGER:
        return total  # as nearly always
    total = payloads.number(total)
    if total is None or total != total:
        return None
    return int(min(max(total, 0), MAX_INTEGER))


def folder_of(text: str) -> str:
    return text_of(text.rstrip("/") or text[:1])


def text_of(value: str | None, longest: int | None = LONGEST_TEXT) -> str:
    """``value`` in that length, so that it can be stored."""
    return storable_text(value[:longest]) if value else ""


def optional_text(value: object) -> str | None:
    return text_of(value) if isinstance(value, str) else None
