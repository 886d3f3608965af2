"""Who began a thread: ``session_meta.source`` as it is stored, and as the API's source kinds.

The facts are in docs/rollout-format.md#sources, measured on Codex 0.169.
"""

from functools import lru_cache
from typing import Any, Final, Literal, get_args

PLAIN: Final = frozenset({"cli", "vscode", "exec", "mcp", "unknown"})

SourceKind = Literal[
    "cli",
    "vscode",
    "exec",
    "appServer",
    "subAgent",
    "subAgentReview",
    "subAgentCompact",
    "subAgentThreadSpawn",
    "subAgentOther",
    "unknown",
]
"""What ``thread/list`` takes as ``sourceKinds``."""
SOURCE_KINDS: Final[tuple[str, ...]] = get_args(SourceKind)

INTERACTIVE_KINDS: Final = frozenset({"cli", "vscode", "custom:atlas", "custom:chatgpt"})
"""The kinds that are listed if none are named."""

_SUBAGENT_KINDS: Final = {kind for kind in SOURCE_KINDS if kind.startswith("subAgent")}


def stored_source(value: str | dict[str, Any] | None) -> str:
    """``source`` as Codex's ``threads.source`` has it: a plain word or compact JSON.

    Absent means ``vscode``; an unknown word becomes ``unknown``. Codex drops a line with an
    unknown object; here it is kept.
    """
    if value is None:
        return "vscode"
    if isinstance(value, str):
        return value if value in PLAIN else "unknown"
    spawn = thread_spawn(value)
    if spawn is not None:
        known = ("parent_thread_id", "depth", "agent_path", "agent_nickname", "agent_role")
        value = {"subagent": {"thread_spawn": {key: spawn.get(key) for key in known}}}
    from rollout.jsonl.parse import compact_json

    return compact_json(value) or "unknown"


@lru_cache(maxsize=1024)
def source_kind(source: str) -> str:
    """The kind of a stored source: of :data:`SOURCE_KINDS`, or ``custom…`` or ``internal``."""
    if source in PLAIN:
        return "appServer" if source == "mcp" else source
    value = source_object(source)
    if value is None:
        return "unknown"
    if "custom" in value:
        return f"custom:{value['custom']}" if value["custom"] in ("atlas", "chatgpt") else "custom"
    if "internal" in value:
        return "internal"
    subagent = value.get("subagent")
    if isinstance(subagent, dict):
        return "subAgentThreadSpawn" if "thread_spawn" in subagent else "subAgentOther"
    return {
        "review": "subAgentReview",
        "compact": "subAgentCompact",
        "memory_consolidation": "subAgent",
    }.get(str(subagent), "unknown")


def kinds_selected(names: list[str]) -> frozenset[str]:
    """The stored kinds that the API's ``sourceKinds`` select; ``subAgent`` means all its kinds."""
    if not names:
        return INTERACTIVE_KINDS
    chosen = set(names)
    if "subAgent" in chosen:
        chosen |= _SUBAGENT_KINDS
    return frozenset(chosen)


def api_source(source: str) -> Any:
    """A stored source in the shape of the API's ``Thread.source``."""
    if source in PLAIN:
        return "appServer" if source == "mcp" else source
    value = source_object(source)
    if value is None or "internal" in value:
        return "unknown"
    if "subagent" in value:
        return {"subAgent": value["subagent"]}
    return value if "custom" in value else "unknown"


def source_object(source: str) -> dict[str, Any] | None:
    """The object in a stored source; None for a plain word."""
    if not source.startswith("{"):
        return None
    import orjson  # which takes long to load, and most sources are plain words

    try:
        value = orjson.loads(source)
    except ValueError:
        return None  # cut to the column's length
    return value if isinstance(value, dict) else None


def thread_spawn(source: str | dict[str, Any] | None) -> dict[str, Any] | None:
    """The ``thread_spawn`` in a source; None if the thread was not spawned."""
    value = source_object(source) if isinstance(source, str) else source
    subagent = value.get("subagent") if value else None
    spawn = subagent.get("thread_spawn") if isinstance(subagent, dict) else None
    return spawn if isinstance(spawn, dict) else None
