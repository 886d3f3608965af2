"""Calls of tools as a model made them: the command that was run, and how it ended."""

import json
import re
from typing import Any, Final, NamedTuple

from rollout.items.commands import shell_line
from rollout.schema.strict import Fields

SHELLS: Final = frozenset(
    {
        *("shell", "container.exec", "shell_command", "exec_command", "local_shell_call"),
        *("local_shell", "unified_exec"),
    }
)
"""The tools that run a command."""
PATCHES: Final = "apply_patch"
"""The tool that changes files."""
HEAD_CHARACTERS: Final = 500
"""In so many characters a shell's output says how the command ended, before what it printed."""
EXIT: Final = re.compile(r"(?m)^(?:Exit code:|Process exited with code) (-?\d+)$")
OUTPUT: Final = re.compile(r"(?m)^Output:\n")
_SHELL_NAMES: Final = frozenset({"bash", "sh", "zsh", "/bin/bash", "/bin/sh", "/bin/zsh"})
_WRAPPED: Final = re.compile(r"(?:/bin/|/usr/bin/)?(?:bash|sh|zsh) -l?c (?P<line>.+)", re.DOTALL)


class Outcome(NamedTuple):
    """How a command or a patch ended, as its output tells."""

    exit_code: int | None = None
    refused: bool = False
    """Whether it reports a failure without an exit code."""
    text: str = ""
    """How its text begins."""

    @property
    def failed(self) -> bool:
        return bool(self.exit_code) or self.refused


def outcome(output: object, *, shell: bool) -> Outcome:
    """What the output of a command or a patch tells of its end; nothing if it has none. Of a
    ``shell`` more of it may be what a command has printed."""
    if isinstance(output, str) and output.startswith("{"):
        output = parsed(output)
    match output:
        case {"output": str(text), "metadata": dict(facts)}:
            return Outcome(code_of(facts.get("exit_code")), text=text[:HEAD_CHARACTERS])
        case {"Err": str(text)}:
            return Outcome(refused=True, text=text[:HEAD_CHARACTERS])
        case {"content": content, **more} if not shell:
            refused = more.get("success") is False or more.get("isError") is True
            return Outcome(refused=refused, text=head_of(content))
    text = head_of(output)
    head = OUTPUT.search(text)
    code = EXIT.search(text, 0, head.end()) if head else None
    return Outcome(int(code[1]) if code else None, text=text[head.end() :] if head else text)


def head_of(output: object) -> str:
    """How a text begins, or the texts of several parts."""
    if isinstance(output, str):
        return output[:HEAD_CHARACTERS]
    parts = output if isinstance(output, list) else ()
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))[:HEAD_CHARACTERS]


def shorten_outputs(line: Fields) -> None:
    """Have a line hold no more of what a tool has printed than its beginning, and how it ended: a
    turn may have very many."""
    payload = line.get("payload", line)
    if not isinstance(payload, dict):
        return
    item = payload.get("item")
    for fields in (payload, item) if isinstance(item, dict) else (payload,):
        for name in _PRINTED:
            if isinstance(text := fields.get(name), str):
                fields[name] = text[:HEAD_CHARACTERS]
    output = payload.get("output")
    if isinstance(output, str):
        payload["output"] = _short_output(output)
    elif isinstance(output, list):
        payload["output"] = head_of(output)


_PRINTED: Final = ("aggregated_output", "formatted_output", "stdout", "stderr")


def _short_output(output: str) -> str:
    """An output that has the same :func:`outcome`, and little more."""
    fields = parsed(output) if output.startswith("{") else None
    if not isinstance(fields, dict):
        return head_of(output)
    told = {name: fields[name] for name in ("success", "isError", "metadata") if name in fields}
    for name in ("output", "Err", "content"):
        if name in fields:
            told[name] = head_of(fields[name]) if name == "content" else fields[name]
            if isinstance(told[name], str):
                told[name] = told[name][:HEAD_CHARACTERS]
    return json.dumps(told)


def code_of(value: object) -> int | None:
    """An exit code, if a value is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def parsed(text: object) -> Any:
    """The JSON in a text; anything else as it is."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def command_line(arguments: object) -> str | None:
    """The command in the arguments of a shell tool, as one would type it."""
    if not isinstance(arguments, dict):
        return None
    names = (name for name in ("command", "cmd", "input") if name in arguments)
    found = arguments.get(next(names, ""))
    if isinstance(found, str):
        return found
    if isinstance(found, list) and all(isinstance(word, str) for word in found):
        return typed(found)
    return None


def typed(words: list[str]) -> str:
    """The words of a command without the shell that runs it."""
    match words:
        case [shell, "-lc" | "-c", line] if shell in _SHELL_NAMES:
            return str(line)
    return shell_line(words)


def untyped(line: str) -> str:
    """A command line without the shell that runs it."""
    import shlex

    if _WRAPPED.fullmatch(line) is None:
        return line
    try:
        words = shlex.split(line)
    except ValueError:
        return line
    return words[2] if len(words) == 3 else line
