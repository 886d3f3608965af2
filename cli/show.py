"""``threadkeep show``: what is known of one thread."""

from typing import Any

from cli import errors, output
from cli.places import Places
from cli.run import catch_up, read_index
from state.index import ThreadIndex
from state.listing import Row
from state.view import display_name, display_text, thread_json


def run(places: Places, reference: str, *, as_json: bool) -> int:
    """Show one thread. Gives the exit status."""

    async def work(index: ThreadIndex) -> tuple[Row, dict[str, Any]]:
        await catch_up(index)
        row = await index.thread(reference)
        return row, await index.details(row["id"])

    row, details = read_index(places, work)
    if as_json:
        output.data({"thread": thread_json(row, places.home), "movedTo": details["moved_to"]})
    else:
        for name, value in _fields(row, details):
            if value:
                output.line(f"{name:<12} {output.one_line(value)}")
    return errors.OK


def _fields(row: Row, details: dict[str, Any]) -> list[tuple[str, str]]:
    git = " ".join(filter(None, (row["git_branch"], (row["git_sha"] or "")[:12])))
    supported = row["history_mode"] in ("legacy", "paginated")
    fields = [
        ("id", row["id"]),
        ("name", display_name(row) or ""),
        ("begins with", display_text(row)),
        ("folder", row["cwd"]),
        ("now in", details["moved_to"] or ""),
        ("created", output.iso(row["created_at_ms"])),
        ("updated", output.iso(row["updated_at_ms"])),
        ("archived", "yes" if row["archived"] else ""),
        ("source", row["source"]),
        ("client", " ".join(filter(None, (row["originator"], row["cli_version"])))),
        ("model", " ".join(filter(None, (row["model"], row["reasoning_effort"])))),
        ("provider", row["model_provider"]),
        ("tokens", f"{row['tokens_used']:,}" if row["tokens_used"] else ""),
        ("git", git),
        ("origin", row["git_origin_url"] or ""),
        ("history", row["history_mode"] + ("" if supported else " (unknown to this version)")),
        ("approvals", details["approval_mode"]),
        ("memory", details["memory_mode"]),
        ("forked from", row["forked_from_id"] or ""),
        ("parent", row["parent_thread_id"] or ""),
        ("tools", ", ".join(_tool_name(tool) for tool in details["tools"])),
    ]
    for file in details["files"]:
        note = "" if file["bucket"] == "indexed" else f"  ({file['bucket']})"
        if file["bad_lines"]:
            lines = output.plural(file["bad_lines"], "unreadable line")
            note += f"  ({lines}, first at byte {file['reason_offset']}: {file['reason']})"
        elif file["reason"]:
            note += f"  ({file['reason']})"
        fields.append(("file", f"{file['path']}  {output.amount(file['size_bytes'])}B{note}"))
    return fields


def _tool_name(tool: dict[str, Any]) -> str:
    return f"{tool['namespace']}.{tool['name']}" if tool["namespace"] else str(tool["name"])
