"""A row in the shape of the app-server's ``Thread``."""

from pathlib import Path
from typing import Any, Final

from rollout.files.layout import logical_path
from rollout.schema.session_source import api_source
from state.query.rows import Row

OF_FLEET: Final = ("machine", "user", "machines")
"""What rows of a fleet have besides."""


def display_name(row: Row) -> str | None:
    """The name that clients show: what the user set; else, for a legacy thread, its title, unless
    that is just the first message."""
    if row["name"] is not None:
        return str(row["name"])
    title = row["title"]
    if row["history_mode"] == "legacy" and title and title != row["first_user_message"]:
        return str(title)
    return None


def display_text(row: Row) -> str:
    """The text that a list shows for a thread: its preview, or the fallback."""
    return str(row["preview"] or row["fallback_preview"])


def thread_json(row: Row, home: Path, status: str = "notLoaded") -> dict[str, Any]:
    """The app-server's ``Thread`` for a row. Times are whole seconds; the path is absolute
    and logical: ``.jsonl`` even where the file is compressed. Of a row of a fleet it is relative to
    the home on its machine, and there are three keys more."""
    path = logical_path(row["rollout_path"])
    of_fleet: dict[str, Any] = {key: row[key] for key in OF_FLEET if key in row}
    git = {"sha": row["git_sha"], "branch": row["git_branch"], "originUrl": row["git_origin_url"]}
    return {
        "id": row["id"],
        "environments": None,
        "extra": None,
        "sessionId": row["session_id"] or row["id"],
        "forkedFromId": row["forked_from_id"],
        "attachedToThreadId": row["attached_thread_parent_id"],
        "parentThreadId": row["parent_thread_id"],
        "preview": display_text(row),
        "ephemeral": False,
        "section": None,
        "sectionEnteredAt": None,
        "projectId": None,
        "historyMode": row["history_mode"],
        "modelProvider": row["model_provider"],
        "model": row["model"],
        "reasoningEffort": row["reasoning_effort"],
        "createdAt": row["created_at_ms"] // 1000,
        "updatedAt": row["updated_at_ms"] // 1000,
        "recencyAt": row["recency_at_ms"] // 1000,
        "status": {"type": status},
        "path": path if of_fleet else f"{home}/{path}",
        "cwd": row["cwd"],
        "cliVersion": row["cli_version"],
        "originator": row["originator"],
        "source": api_source(row["source"]),
        "canAcceptDirectInput": None,
        "threadSource": row["thread_source"],
        "agentNickname": row["agent_nickname"],
        "agentRole": row["agent_role"],
        "gitInfo": git if any(git.values()) else None,
        "name": display_name(row),
        "daybreakEnabled": None,
        "turns": [],
        **of_fleet,
    }
