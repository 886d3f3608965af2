"""Tool calls as the model made them: commands, patches, plans and others."""

import json
import math
import re
from dataclasses import dataclass
from typing import Final

from cli.render.blocks.block import Block, Form, Picture, Role
from cli.terminal.text import plural
from rollout.items.calls import (
    EXIT,
    HEAD_CHARACTERS,
    OUTPUT,
    PATCHES,
    SHELLS,
    code_of,
    command_line,
    parsed,
)
from rollout.items.patches import patch_text
from rollout.schema.strict import Fields

_TOOK: Final = re.compile(r"(?m)^Wall time: ([\d.]+) seconds?$")
_PATCHED: Final = re.compile(r"(?m)^\*\*\* (?:Add|Update|Delete) File: (.{1,200}?)[ \r]*$")
_MARKS: Final = {"completed": "[x]", "in_progress": "[>]"}


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool returned."""

    text: str
    exit_code: int | None = None
    seconds: float | None = None
    pictures: tuple[Picture, ...] = ()
    refused: bool = False
    """Whether it reports a failure without an exit code."""

    @property
    def failed(self) -> bool:
        return bool(self.exit_code) or self.refused


def tool_call(call: Fields) -> list[Block]:
    """The blocks of a call that has no item (:data:`rollout.history.tool_calls.TOOL_CALL`)."""
    name = ".".join(filter(None, (call["namespace"], call["name"])))
    arguments = parsed(call["arguments"])
    given = tool_output(call)
    if call["name"] == "update_plan" and isinstance(arguments, dict):
        return [Block(Role.NOTE, "plan", plan_text(arguments))]
    line = command_line(arguments) if call["name"] in SHELLS else None
    if line is not None:
        return [command(line, given, no_output=call["output"] is None)]
    if call["name"] == PATCHES:
        return patch(call)
    title = f"tool {name}{shown_arguments(arguments)}"
    state = "no output" if call["output"] is None else _state(given)
    if not name:
        title = "output of a missing call"
    elif call["name"] in ("web_search_call", "web_search"):
        title, state = _web_call(arguments), _state(given)  # its results are hardly ever kept
    elif call["name"] == "view_image":
        path = arguments.get("path") if isinstance(arguments, dict) else arguments
        title, state = f"looked at the image {path}", _state(given)
    elif call["name"] == "image_generation_call":
        title = f"made an image{shown_arguments(arguments)}"
    shown = Block(
        Role.TOOL,
        title,
        given.text,
        Form.OUTPUT,
        state=state,
        failed=given.failed,
        pictures=given.pictures,
    )
    return [shown]


def patch(call: Fields, status: str = "") -> list[Block]:
    """A patch as the model gave it, with the ``status`` of its item."""
    given = tool_output(call)
    failed = given.failed or status in ("failed", "declined")
    state = "" if status == "completed" else status
    if call["output"] is None and not status:
        state = "no output"
    arguments = parsed(call["arguments"])
    text = patch_text(arguments) or readable(arguments)
    title = _patch_title(text)
    shown = [
        Block(Role.TOOL, title, text, Form.DIFF, state=state or "failed" * failed, failed=failed)
    ]
    return [*shown, *patch_output(given)]


def _patch_title(text: str) -> str:
    """``patch``, and the files that it changes."""
    files = [*dict.fromkeys(_PATCHED.findall(text))]
    more = f" and {plural(len(files) - 3, 'more file')}" if len(files) > 3 else ""
    return f"patch {', '.join(files[:3])}{more}".strip()


def patch_output(given: ToolOutput) -> list[Block]:
    """The tool's output for a patch, unless it only reports success."""
    if not given.text or (given.text.startswith("Success") and not given.failed):
        return []
    return [Block(Role.TOOL, "patch output", given.text, Form.OUTPUT, failed=given.failed)]


def _web_call(arguments: object) -> str:
    if not isinstance(arguments, dict):
        return web_title(arguments if isinstance(arguments, str) else "", {})
    action = arguments.get("action", arguments)
    query = arguments.get("query")
    return web_title(str(query or ""), action if isinstance(action, dict) else {})


def web_title(query: str, action: Fields) -> str:
    """What was searched for on the web, by the query or the action."""
    match action:
        case {"type": "openPage" | "open_page", "url": str(url)}:
            return f"web: opened {url}"
        case {"type": "findInPage" | "find_in_page", "pattern": pattern, "url": url}:
            return f"web: searched for {pattern!r} in {url}"
    queries = action.get("queries")
    several = ", ".join(map(str, queries)) if isinstance(queries, list) else ""
    return f"web search: {query or action.get('query') or several}"


def command(line: str, given: ToolOutput, *, no_output: bool = False, status: str = "") -> Block:
    """The block of a command."""
    failed = given.failed or status in ("failed", "declined")
    state = "no output" if no_output else ""
    if status and status != "completed" and given.exit_code is None:
        state = status
    return Block(
        Role.TOOL,
        line,
        given.text,
        Form.OUTPUT,
        state=", ".join(filter(None, (state, _state(given)))),
        failed=failed,
        command=True,
        pictures=given.pictures,
    )


def _state(given: ToolOutput) -> str:
    parts = [] if given.exit_code is None else [f"exit {given.exit_code}"]
    if given.seconds and given.seconds >= 0.001:
        parts.append(duration_text(given.seconds * 1000))
    return ", ".join(parts)


def duration_text(duration_ms: float) -> str:
    """A duration for people: ``12 ms``, ``3.4 s``, ``2 min 5 s``; empty for none."""
    try:
        seconds = duration_ms / 1000
    except OverflowError:
        return ""
    if not math.isfinite(seconds):
        return ""
    if seconds < 1:
        return f"{duration_ms:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60:,} min {int(seconds) % 60} s"


def tool_output(call: Fields) -> ToolOutput:
    """The output of a call. A shell's output also has exit code and time, as JSON or in lines
    before the text."""
    pictures: list[Picture] = []
    output = call["output"]
    if isinstance(output, str) and output.startswith(("{", "[{")):
        output = parsed(output)
    match output:
        case {"output": str(said), "metadata": dict(facts)}:
            code, seconds = facts.get("exit_code"), facts.get("duration_seconds")
            return ToolOutput(said, code_of(code), _seconds(seconds))
        case {"Ok": dict(result)}:
            output = result
        case {"Err": str(said)}:
            return ToolOutput(said, refused=True)
    shell = call["name"] in SHELLS  # a command may print anything
    match output:
        case [{}, *_] if not shell and all(_is_part(part) for part in output):
            return ToolOutput(content_text(output, pictures), pictures=tuple(pictures))
        case {"content": str() | list() as content, **more} if not (
            shell or more.keys() - _OF_RESULTS
        ):
            said = content_text(content, pictures)
            if not said and more.get("structuredContent") is not None:
                said = readable(more["structuredContent"])
            refused = more.get("success") is False or more.get("isError") is True
            return ToolOutput(said, pictures=tuple(pictures), refused=refused)
    text = content_text(call["output"], pictures)
    head = OUTPUT.search(text, 0, HEAD_CHARACTERS)
    if head:
        code, seconds = (found.search(text, 0, head.end()) for found in (EXIT, _TOOK))
        if code or seconds:
            return ToolOutput(
                text[head.end() :],
                int(code[1]) if code else None,
                _number(seconds[1]) if seconds else None,
                tuple(pictures),
            )
    return ToolOutput(text, pictures=tuple(pictures))


def _is_part(value: object) -> bool:
    """Whether a value is a part of an MCP tool's result."""
    match value:
        case {"type": "text", "text": str()} | {"type": "image", "data": str()}:
            return True
    return False


_OF_RESULTS: Final = frozenset({"structuredContent", "isError", "_meta", "success"})


def _seconds(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def content_text(value: object, pictures: list[Picture]) -> str:
    """The text of a tool's output, a text or a list of parts; its images go to ``pictures``."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return readable(value)
    texts = []
    for part in value:
        match part:
            case {"text": str(text)}:
                texts.append(text)
            case {"type": "image", "data": str(data), **more}:
                pictures.append(
                    picture(f"data:{more.get('mimeType') or 'image/png'};base64,{data}")
                )
            case {"image_url": str(url)} | {"imageUrl": str(url)}:
                pictures.append(picture(url))
            case _:
                texts.append(readable(part))
    return "\n".join(texts)


_IMAGE_URL: Final = re.compile(
    r"data:image/(png|jpeg|jpg|gif|webp);base64,(?P<data>[A-Za-z0-9+/]+={0,2})"
)

_LEFT_OUT: Final = re.compile(r"data:image/(?:png|jpeg|jpg|gif|webp);base64,")


def picture(url: str) -> Picture:
    """An image by its URL. Only an image in the thread is shown: nothing is ever loaded."""
    found = _IMAGE_URL.fullmatch(url)
    if found:
        kind, size = found[1], len(found["data"]) * 3 // 4
        return Picture(url, f"image/{kind}, {size:,} bytes")
    if url.startswith("data:"):
        label = f"{url[:40].partition(';')[0]}, not shown"
        return Picture("", label, left_out=_LEFT_OUT.fullmatch(url) is not None)
    return Picture("", url[:200])


def plan_text(arguments: Fields) -> str:
    """A plan as a list."""
    explanation, steps = arguments.get("explanation"), arguments.get("plan")
    lines = [explanation] if isinstance(explanation, str) and explanation else []
    for step in steps if isinstance(steps, list) else ():
        if isinstance(step, dict):
            mark = _MARKS.get(str(step.get("status")), "[ ]")
            lines.append(f"{mark} {step.get('step')}")
    return "\n".join(lines)


def shown_arguments(arguments: object) -> str:
    """The arguments of a call, to follow its name."""
    if arguments in (None, "", {}):
        return ""
    text = arguments if isinstance(arguments, str) else readable(arguments)
    return f" {text[:HEAD_CHARACTERS]}{'…' if len(text) > HEAD_CHARACTERS else ''}"


def readable(value: object) -> str:
    """Any value of a rollout as text."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "(nested too deeply to be shown)"
