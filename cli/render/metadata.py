"""The metadata of a thread, for people."""

from typing import TYPE_CHECKING, Any

from cli.render.labels import other_machines
from cli.terminal import output
from cli.terminal.text import amount, money, plural
from state.query.marks import Marks
from state.query.rows import Row
from state.query.thread_json import display_name, display_text

if TYPE_CHECKING:
    from state.prices.spending import Spending


def fields(row: Row, details: dict[str, Any], spent: "Spending") -> list[tuple[str, str]]:
    """Names and values, in order. Empty values are not shown."""
    git = " ".join(filter(None, (row["git_branch"], (row["git_sha"] or "")[:12])))
    supported = row["history_mode"] in ("legacy", "paginated")
    marks: Marks = details["marks"]
    tools = (filter(None, (tool["namespace"], tool["name"])) for tool in details["tools"])
    fields = [
        ("id", row["id"]),
        ("machine", row.get("machine", "")),
        ("user", row.get("user", "")),
        ("also on", ", ".join(other_machines(row))),
        ("name", display_name(row) or ""),
        ("begins with", display_text(row)),
        ("folder", row["cwd"]),
        ("now in", details["moved_to"] or ""),
        ("created", output.moment(row["created_at_ms"])),
        ("updated", output.moment(row["updated_at_ms"])),
        ("archived", "yes" if row["archived"] else ""),
        ("pinned", "yes" if marks.pinned else ""),
        ("tags", ", ".join(marks.tags)),
        ("status", marks.status),
        ("note", marks.note),
        ("source", row["source"]),
        ("client", " ".join(filter(None, (row["originator"], row["cli_version"])))),
        ("model", " ".join(filter(None, (row["model"], row["reasoning_effort"])))),
        ("provider", row["model_provider"]),
        ("tokens", f"{row['tokens_used']:,}" if row["tokens_used"] else ""),
        ("used", _used(spent) if spent.tokens else ""),
        ("git", git),
        ("origin", row["git_origin_url"] or ""),
        ("history", row["history_mode"] + ("" if supported else " (unknown to this version)")),
        ("approvals", details["approval_mode"]),
        ("memory", details["memory_mode"]),
        ("forked from", row["forked_from_id"] or ""),
        ("parent", row["parent_thread_id"] or ""),
        ("tools", ", ".join(map(".".join, tools))),
    ]
    for file in details["files"]:
        note = "" if file["bucket"] == "indexed" else f"  ({file['bucket']})"
        if file["bad_lines"]:
            lines = plural(file["bad_lines"], "unreadable line")
            note += f"  ({lines}, first at byte {file['reason_offset']}: {file['reason']})"
        elif file["reason"]:
            note += f"  ({file['reason']})"
        if file["left_out"]:
            lines = plural(file["left_out"], "line")
            note += f"  ({lines} outside any turn: a second program wrote them;"
            note += f" the first at byte {file['left_out_at']})"
        fields.append(("file", f"{file['path']}  {amount(file['size_bytes'])}B{note}"))
    return fields


def _used(spent: "Spending") -> str:
    """What the thread used itself; ``tokens`` is Codex's count, with what was inherited."""
    unpriced = f" ({spent.unpriced_tokens:,} of them without a price)"
    partly = unpriced if spent.unpriced_tokens and spent.cost is not None else ""
    cost = money(spent.cost, spent.unpriced_tokens)
    return f"{spent.tokens:,} tokens{partly}, {cost} at API prices"
