"""Calls of tools as only a model's side tells them: commands, plans, and others."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from cli.reading.blocks import Block, Form, Picture, Role, block
from rollout.commands import shell_line
from rollout.shapes import Fields

_SHELLS: Final = frozenset(
    {"shell", "container.exec", "shell_command", "exec_command", "local_shell_call", "local_shell"}
)
_SHELL_NAMES: Final = frozenset({"bash", "sh", "zsh", "/bin/bash", "/bin/sh", "/bin/zsh"})
_EXIT: Final = re.compile(r"(?m)^(?:Exit code:|Process exited with code) (-?\d+)$")
_TOOK: Final = re.compile(r"(?m)^Wall time: ([\d.]+) seconds?$")
_OUTPUT: Final = re.compile(r"(?m)^Output:\n")
_HEAD_CHARACTERS: Final = 500
_MARKS: Final = {"completed": "[x]", "in_progress": "[>]"}


@dataclass(frozen=True, slots=True)
class Given:
    """What a tool gave."""

    text: str
    exit_code: int | None = None
    seconds: float | None = None
    pictures: tuple[Picture, ...] = ()


def tool_call(call: Fields) -> Block:
    """A call that no item tells of (:data:`rollout.tool_calls.TOOL_CALL`)."""
    name = ".".join(filter(None, (call["namespace"], call["name"])))
    arguments = _parsed(call["arguments"])
    given = _given(call["output"])
    if call["name"] == "update_plan" and isinstance(arguments, dict):
        return block(Role.NOTE, "plan", plan_text(arguments))
    line = command_line(arguments) if call["name"] in _SHELLS else None
    if line is not None:
        return command(line, given, no_output=call["output"] is None)
    if call["name"] == "apply_patch":
        text = arguments if isinstance(arguments, str) else readable(arguments)
        failed = bool(given.exit_code)
        return block(Role.TOOL, "patch", text, Form.DIFF, state=_state(given), failed=failed)
    return block(
        Role.TOOL,
        f"tool {name}{_shown_arguments(arguments)}",
        given.text,
        Form.OUTPUT,
        state="no output" if call["output"] is None else _state(given),
        failed=bool(given.exit_code),
        pictures=given.pictures,
    )


def command(line: str, given: Given, *, no_output: bool = False, status: str = "") -> Block:
    """A command that was run."""
    failed = bool(given.exit_code) or status in ("failed", "declined")
    state = "no output" if no_output else ""
    if status and status != "completed" and given.exit_code is None:
        state = status
    return block(
        Role.TOOL,
        line,
        given.text,
        Form.OUTPUT,
        state=", ".join(filter(None, (state, _state(given)))),
        failed=failed,
        command=True,
        pictures=given.pictures,
    )


def _state(given: Given) -> str:
    parts = [] if given.exit_code is None else [f"exit {given.exit_code}"]
    if given.seconds and given.seconds >= 0.001:
        parts.append(took(given.seconds * 1000))
    return ", ".join(parts)


def took(duration_ms: float) -> str:
    """A duration for people: ``12 ms``, ``3.4 s``, ``2 min 5 s``."""
    if duration_ms < 1000:
        return f"{duration_ms:.0f} ms"
    seconds = duration_ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60:,} min {int(seconds) % 60} s"


def command_line(arguments: object) -> str | None:
    """The command among the arguments of a shell's tool, as somebody would type it."""
    if not isinstance(arguments, dict):
        return None
    found = arguments.get("command", arguments.get("cmd"))
    if isinstance(found, str):
        return found
    if isinstance(found, list) and all(isinstance(word, str) for word in found):
        return typed(found)
    return None


def typed(words: list[str]) -> str:
    """The words of a command, without the shell that it was given to."""
    match words:
        case [shell, "-lc" | "-c", line] if shell in _SHELL_NAMES:
            return str(line)
    return shell_line(words)


_WRAPPED: Final = re.compile(r"(?:/bin/|/usr/bin/)?(?:bash|sh|zsh) -l?c (?P<line>.+)", re.DOTALL)


def untyped(line: str) -> str:
    """The same for a command that is one line already."""
    import shlex

    if _WRAPPED.fullmatch(line) is None:
        return line
    try:
        words = shlex.split(line)
    except ValueError:
        return line
    return words[2] if len(words) == 3 else line


def _given(output: object) -> Given:
    """The output of a tool, of which a shell's tells more: as JSON, or in lines before it."""
    pictures: list[Picture] = []
    text = content_text(output, pictures)
    if text.startswith("{"):
        match _parsed(text):
            case {"output": str(said), "metadata": dict(facts)}:
                code, seconds = facts.get("exit_code"), facts.get("duration_seconds")
                return Given(
                    said,
                    code if isinstance(code, int) else None,
                    seconds if isinstance(seconds, int | float) else None,
                )
    head = _OUTPUT.search(text, 0, _HEAD_CHARACTERS)
    if head:
        code, seconds = (found.search(text, 0, head.end()) for found in (_EXIT, _TOOK))
        if code or seconds:
            return Given(
                text[head.end() :],
                int(code[1]) if code else None,
                _number(seconds[1]) if seconds else None,
                tuple(pictures),
            )
    return Given(text, pictures=tuple(pictures))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def content_text(value: object, pictures: list[Picture]) -> str:
    """What a tool gave, a text or a list of parts, as text; its images go to ``pictures``."""
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


def picture(url: str) -> Picture:
    """An image by its URL. Only one that is in the thread is shown: nothing is ever loaded."""
    found = _IMAGE_URL.fullmatch(url)
    if found:
        kind, size = found[1], len(found["data"]) * 3 // 4
        return Picture(url, f"image/{kind}, {size:,} bytes")
    if url.startswith("data:"):
        return Picture("", f"{url[:40].partition(';')[0]} that is not shown")
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


def _shown_arguments(arguments: object) -> str:
    if arguments in (None, "", {}):
        return ""
    text = arguments if isinstance(arguments, str) else readable(arguments)
    return f" {text[:_HEAD_CHARACTERS]}{'…' if len(text) > _HEAD_CHARACTERS else ''}"


def _parsed(text: object) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def readable(value: object) -> str:
    """Any value of a rollout as text."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "(nested too deeply to be shown)"
