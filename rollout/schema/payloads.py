"""Fields of payloads, read leniently (docs/rollout-format.md#lines): one of a wrong type counts as
absent and the others as they are, where Codex drops the whole line; every field is optional, as one
era requires what another lacks."""

from typing import Any, Final

Fields = dict[str, Any]

_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
_META_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    **dict.fromkeys(("id", "session_id", "timestamp", "cwd", "originator", "cli_version"), str),
    "source": (str, dict),
    **dict.fromkeys(("thread_source", "model_provider"), str),
    "git": dict,
    **dict.fromkeys(("git.commit_hash", "git.branch", "git.repository_url"), str),
    **dict.fromkeys(("agent_nickname", "agent_role", "agent_type", "agent_path"), str),
    **dict.fromkeys(("memory_mode", "forked_from_id", "parent_thread_id"), str),
    "attached_thread": bool,
    "history_base": dict,
    "dynamic_tools": list,
}
"""What Codex takes in fields of a ``session_meta``, beside null."""


def obj(value: object) -> Fields:
    """An object; empty if ``value`` is none."""
    return value if isinstance(value, dict) else {}


def text(value: object) -> str | None:
    """A string; None if ``value`` is none."""
    return value if isinstance(value, str) else None


def array(value: object) -> list[Any]:
    """An array; empty if ``value`` is none."""
    return value if isinstance(value, list) else []


def text_or_obj(value: object) -> str | Fields | None:
    """A string or an object; None if ``value`` is neither."""
    return value if isinstance(value, str | dict) else None


def flag(value: object) -> bool:
    """Whether ``value`` is true, or what other programs write for it."""
    return value.lower() in _TRUE if isinstance(value, str) else value == 1


def number(value: object) -> int | float | None:
    """A number, also one in a string, as damaged files have them; None if ``value`` is none."""
    if isinstance(value, str):
        for read in (int, float):
            try:
                return read(value)
            except ValueError:
                pass
    return value if isinstance(value, int | float) else None


def parts(value: object) -> list[tuple[str, str]]:
    """The type and the text of each part of a message's content."""
    found = map(obj, array(value))
    return [(text(part.get("type")) or "", text(part.get("text")) or "") for part in found]


def wrong_in_meta(payload: Fields) -> str | None:
    """The first field of a ``session_meta`` whose type Codex does not take."""
    for place, types in _META_TYPES.items():
        name, _, field = place.partition(".")
        value = payload.get(name)
        if field:
            value = obj(value).get(field)
        if value is not None and not isinstance(value, types):
            return place
    return None
