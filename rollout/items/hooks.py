"""Prompts of hooks: a ``hookPrompt`` item, and the response items that stand for one in legacy
files (docs/rollout-format.md#items-of-legacy-threads; measured on Codex 0.169)."""

import re
from typing import Any, Final

from rollout.schema.strict import Fields, Unfit, array, obj, text

MARK: Final = "hook_run_id"

_START: Final = re.compile(
    r"""\s*<([^\s<>/"'=]+)((?:\s+[^\s<>/"'=]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*>"""
)
_RUN_ID: Final = re.compile(r"""\shook_run_id\s*=\s*(?:"([^"<]*)"|'([^'<]*)')""")
_TEXT: Final = re.compile(r"<!\[CDATA\[(.*?)\]\]>|<!--.*?-->|([^<]+)", re.DOTALL)
_ENTITY: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9A-Fa-f]+);)")


def fragments(value: object) -> list[Fields]:
    """The fragments of a ``HookPrompt``."""
    shown = []
    for each in array(value):
        fragment = obj(each)
        run = text(fragment.get("hookRunId"))
        shown.append({"text": text(fragment.get("text")), "hookRunId": run})
    return shown


def prompt_fragments(message: dict[str, Any]) -> list[Fields] | None:
    """The fragments in a response item; None unless all of it is a hook's prompt."""
    content = message.get("content")
    if message.get("type") != "message" or message.get("role") != "user" or not content:
        return None
    try:
        return [_fragment(obj(part)) for part in array(content)]
    except Unfit:
        return None


def _fragment(part: Fields) -> Fields:
    if part.get("type") != "input_text":
        raise Unfit
    source = text(part.get("text"))
    start = _START.match(source)
    run = _RUN_ID.search(start[2]) if start else None
    if start is None or run is None:
        raise Unfit
    prompt, at = "", start.end()
    while piece := _TEXT.match(source, at):
        prompt += piece[1] or _unescaped(piece[2] or "")
        at = piece.end()
    # What is in another element inside of it is not read, but it must have an end.
    if re.match(r"</?[^\s<>]", source[at:]) is None or f"</{start[1]}" not in source[at:]:
        raise Unfit
    run_id = _unescaped(run[1] or run[2] or "")
    if not prompt.strip() or not run_id.strip():
        raise Unfit
    return {"text": prompt, "hookRunId": run_id}


def _unescaped(source: str) -> str:
    if _ENTITY.search(source):
        raise Unfit
    from html import unescape  # loads all entities

    return unescape(source)
