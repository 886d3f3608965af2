"""Values of the metadata, from the payloads of lines."""

from typing import Any, Final

from rollout.files.text import storable_text
from rollout.jsonl.parse import compact_json
from rollout.metadata.model import LONGEST_TEXT, ToolMetadata
from rollout.schema import payloads as models
from rollout.schema.modes import LEGACY
from rollout.schema.payloads import read_payload
from rollout.schema.times import time_ms

MAX_INTEGER: Final = 2**63 - 1
"""The greatest number that SQLite stores."""


def message_text(message: models.ResponseMessage) -> str:
    """The text of a message of an agent, or in a user's name."""
    user = message.role == "user"
    parts = (part for part in message.content or () if not user or part.type == "input_text")
    return "".join(part.text or "" for part in parts).strip()


def line_time_ms(line: dict[str, Any]) -> int | None:
    at = line.get("timestamp")
    return time_ms(at) if isinstance(at, str) else None


def history_mode(meta: models.SessionMeta) -> str:
    if "history_mode" not in meta.model_fields_set:
        return LEGACY
    mode = meta.history_mode
    return text_of(mode if isinstance(mode, str) else compact_json(mode) or "unreadable")


def tools_of(entries: list[Any] | tuple[()], namespace: str | None = None) -> "list[ToolMetadata]":
    found = []
    for entry in entries:
        tool = read_payload(models.DynamicTool, entry)
        if tool is None or not tool.name:
            continue
        if tool.tools is not None:
            found += tools_of(tool.tools, tool.name)
            continue
        found.append(
            ToolMetadata(
                optional_text(tool.namespace or namespace),
                text_of(tool.name),
                text_of(tool.description),
                compact_json(tool.input_schema) or "null",
                bool(tool.defer_loading),
            )
        )
    return found


def tokens_used(info: Any) -> int | None:
    """The total of a ``token_count``; None if it tells none."""
    if info is None:
        return None
    try:
        total = info["total_token_usage"]["total_tokens"]
    except (TypeError, KeyError):
        total = None
    if type(total) is int and 0 <= total <= MAX_INTEGER:
        return total  # as nearly always
    info = read_payload(models.TokenInfo, info)
    usage = info.total_token_usage if info else None
    if usage is None or usage.total_tokens is None or usage.total_tokens != usage.total_tokens:
        return None
    return int(min(max(usage.total_tokens, 0), MAX_INTEGER))


def folder_of(text: str) -> str:
    return text_of(text.rstrip("/") or text[:1])


def text_of(value: str | None, longest: int | None = LONGEST_TEXT) -> str:
    """``value`` in that length, so that it can be stored."""
    return storable_text(value[:longest]) if value else ""


def optional_text(value: object) -> str | None:
    return text_of(value) if isinstance(value, str) else None
