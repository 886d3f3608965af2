"""Items of threads as blocks."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from cli.render.blocks import tools
from cli.render.blocks.block import Block, Form, Picture, Role
from rollout.history.tool_calls import TOOL_CALL, image_format
from rollout.items.calls import untyped
from rollout.items.patches import diff_of
from rollout.schema.strict import Fields

_UNREAD: Final = frozenset({"type", "id", "raw", "startedAtMs", "completedAtMs"})
"""The fields of an item of which only type and id could be read."""


def blocks(item: Fields, call: Fields | None = None) -> Iterator[Block]:
    """The blocks of an item, or of an entry that is no item of Codex. ``call`` is the model's call
    behind an item that does not hold everything."""
    if item.keys() == _UNREAD:
        text = tools.readable(item["raw"])
        yield Block(Role.NOTE, f"{item['type']}, unknown to this version", text, Form.OUTPUT)
        return
    build = _BUILDS.get(item["type"])
    if build is None:
        text = tools.readable({key: value for key, value in item.items() if value is not None})
        yield Block(Role.NOTE, item["type"], text, Form.OUTPUT)
        return
    with_call = _WITH_CALL.get(item["type"]) if call else None
    made = with_call(item, call) if with_call else build(item)
    for each in made if isinstance(made, list) else [made]:
        if "raw" in item:
            state = ", ".join(filter(None, (each.state, "Codex cannot read it")))
            yield replace(each, state=state)
        else:
            yield each


def _user(item: Fields) -> Block:
    texts: list[str] = []
    pictures: list[Picture] = []
    for part in item["content"]:
        match part:
            case {"type": "text", "text": text}:
                texts.append(text)
            case {"type": "image", "url": url}:
                pictures.append(tools.picture(url))
            case {"type": "localImage", "path": path}:
                pictures.append(Picture("", path))
            case {"type": "skill" | "mention" as kind, "name": name, "path": path}:
                texts.append(f"[{kind} {name}: {path}]")
            case {"type": kind, **more}:
                where = more.get("path") or more.get("url") or more.get("fileId") or ""
                texts.append(f"[{kind} {str(where)[:200]}]")
    return Block(Role.USER, "user", "\n".join(texts), pictures=tuple(pictures))


def _agent(item: Fields) -> Block:
    phase, delivery = item.get("phase"), item.get("delivery")
    state = "" if phase in (None, "final_answer") else str(phase).replace("_", " ")
    state = ", ".join(filter(None, (state, delivery)))
    # Codex writes the questions into the text, too.
    asked = [each for each in item["questions"] or () if each["title"] not in item["text"]]
    lines: list[str] = []
    for each in asked:
        lines += [each["title"], *(f"- {option}" for option in each["options"] or ())]
    text = "\n".join(filter(None, (item["text"], *lines)))
    return Block(Role.AGENT, "agent", text, Form.MARKDOWN, state=state)


def _reasoning(item: Fields) -> list[Block]:
    text = "\n\n".join([*item["summary"], *item["content"]])
    return [Block(Role.REASONING, "reasoning", text, Form.MARKDOWN)] if text.strip() else []


def _command(item: Fields, call: Fields | None = None) -> Block:
    milliseconds = item["durationMs"]
    from_call = tools.tool_output(call) if call else tools.ToolOutput("")
    given = tools.ToolOutput(
        item["aggregatedOutput"] or from_call.text,
        from_call.exit_code if item["exitCode"] is None else item["exitCode"],
        from_call.seconds if milliseconds is None else milliseconds / 1000,
        from_call.pictures,
    )
    return tools.command(untyped(item["command"]), given, status=item["status"])


def _patch(item: Fields) -> list[Block]:
    status = item["status"]
    state = "" if status == "completed" else status
    found = []
    for change in item["changes"]:
        kind = change["kind"]["type"]
        diff = diff_of(change)
        title = f"{kind} {change['path']}"
        failed = status in ("failed", "declined")
        found.append(Block(Role.TOOL, title, diff, Form.DIFF, state=state, failed=failed))
    return found or [Block(Role.TOOL, "patch of no file", state=state)]


def _patch_with(item: Fields, call: Fields) -> list[Block]:
    if not item["changes"]:
        return tools.patch(call, item["status"])
    return [*_patch(item), *tools.patch_output(tools.tool_output(call))]


def _result_with(item: Fields, call: Fields) -> Block:
    content = tools.tool_output(call).text
    if item["type"] == "mcpToolCall":
        return _mcp({**item, "result": {"content": content}})
    return _dynamic({**item, "contentItems": content})


def _tool(title: str, item: Fields, content: object, error: str | None) -> Block:
    pictures: list[Picture] = []
    text = tools.content_text(content, pictures)
    failed = item["status"] == "failed"
    parts = [] if item["status"] == "completed" else [item["status"]]
    if item["durationMs"]:
        parts.append(tools.duration_text(item["durationMs"]))
    arguments = (
        "" if item["arguments"] in (None, {}) else f" {tools.readable(item['arguments'])[:500]}"
    )
    return Block(
        Role.TOOL,
        f"tool {title}{arguments}",
        "\n".join(filter(None, (error, text))),
        Form.OUTPUT,
        state=", ".join(parts),
        failed=failed,
        pictures=tuple(pictures),
    )


def _mcp(item: Fields) -> Block:
    result, error = item["result"] or {}, item["error"] or {}
    content = result.get("content")
    if not content and result.get("structuredContent") is not None:
        content = tools.readable(result["structuredContent"])
    return _tool(f"{item['server']}.{item['tool']}", item, content, error.get("message"))


def _dynamic(item: Fields) -> Block:
    name = ".".join(filter(None, (item["namespace"], item["tool"])))
    return _tool(name, item, item["contentItems"], None)


def _function_output(item: Fields) -> Block:
    pictures: list[Picture] = []
    text = tools.content_text(item["output"], pictures)
    name = ".".join(filter(None, (item["namespace"], item["name"])))
    return Block(Role.TOOL, f"tool {name}", text, Form.OUTPUT, pictures=tuple(pictures))


def _collab(item: Fields) -> Block:
    to = ", ".join(item["receiverThreadIds"])
    title = f"agents: {item['tool']}{f' → {to}' if to else ''}"
    lines = [item["prompt"]] if item["prompt"] else []
    for thread, state in item["agentsStates"].items():
        said = f": {state['message']}" if state["message"] else ""
        lines.append(f"{thread} {state['status']}{said}")
    state = "" if item["status"] == "completed" else item["status"]
    failed = item["status"] == "failed"
    return Block(Role.TOOL, title, "\n".join(lines), Form.OUTPUT, state=state, failed=failed)


def _activity(item: Fields) -> Block:
    return Block(
        Role.NOTE, f"agent {item['agentPath']} {item['kind']} (thread {item['agentThreadId']})"
    )


def _web_search(item: Fields) -> Block:
    title = tools.web_title(item["query"], item["action"] or {})
    results = item.get("results")
    text = "\n".join(tools.readable(each) for each in results) if results else ""
    return Block(Role.TOOL, title, text, Form.OUTPUT)


def _image_generation(item: Fields) -> Block:
    result = item.get("result") or ""
    kind = image_format(result)
    made = (tools.picture(f"data:image/{kind};base64,{result}"),) if kind else ()
    saved = item.get("savedPath")
    title = f"made an image{f' at {saved}' if saved else ''}"
    state = "" if item["status"] == "completed" else item["status"]
    return Block(Role.TOOL, title, item["revisedPrompt"] or "", state=state, pictures=made)


def _hook(item: Fields) -> Block:
    text = "\n".join(str(fragment.get("text")) for fragment in item["fragments"])
    return Block(Role.NOTE, "hook prompt", text, Form.OUTPUT)


_BUILDS: Final[dict[str, Callable[[Fields], Any]]] = {
    "userMessage": _user,
    "agentMessage": _agent,
    "reasoning": _reasoning,
    "plan": lambda item: Block(Role.AGENT, "plan", item["text"], Form.MARKDOWN),
    "commandExecution": _command,
    "fileChange": _patch,
    "mcpToolCall": _mcp,
    "dynamicToolCall": _dynamic,
    "functionCallOutput": _function_output,
    "collabAgentToolCall": _collab,
    "subAgentActivity": _activity,
    "webSearch": _web_search,
    "imageView": lambda item: Block(Role.TOOL, f"looked at the image {item['path']}"),
    "imageGeneration": _image_generation,
    "sleep": lambda item: Block(Role.NOTE, f"slept for {tools.duration_text(item['durationMs'])}"),
    "hookPrompt": _hook,
    "enteredReviewMode": lambda item: Block(Role.NOTE, "review begins", item["review"]),
    "exitedReviewMode": lambda item: Block(Role.AGENT, "review", item["review"], Form.MARKDOWN),
    "contextCompaction": lambda _: Block(Role.NOTE, "the history was compacted here"),
    TOOL_CALL: tools.tool_call,
}
_WITH_CALL: Final[dict[str, Callable[[Fields, Any], Any]]] = {
    "commandExecution": _command,
    "fileChange": _patch_with,
    "mcpToolCall": _result_with,
    "dynamicToolCall": _result_with,
    "functionCallOutput": lambda item, call: tools.tool_call({**call, "output": item["output"]}),
    "subAgentActivity": lambda item, call: [_activity(item), *tools.tool_call(call)],
}
"""How an item is shown together with its call."""
