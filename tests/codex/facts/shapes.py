"""What values look like: the path of each key, and which words or types stand there.

What is recorded of a Codex are such facts: a subject (a kind of line, a method, a table), a path
in it (of keys, or a column), and the set of what was met there.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

Facts = dict[str, dict[str, set[str]]]

_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_.$-]{0,40}")
_NUMBERED = re.compile(r"\d{3}")
_WORD = re.compile(r"[A-Za-z][A-Za-z_./:-]{0,40}")
_FREE = re.compile(
    r"(?:^|_)(?:id|path|cwd|nickname|text|message|title|prompt|cmd|command|delta|url|shell|timezone)$",
    re.I,
)
"""Keys whose values are no words of the format."""
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_OF_TOOLS: Final = ("parameters", "inputSchema", "input_schema", "outputSchema", "output_schema")
"""Keys of what a tool takes and gives, which is no part of the format."""
_MOST_WORDS: Final = 24


def empty() -> Facts:
    """No facts yet."""
    return defaultdict(lambda: defaultdict(set))


def add(facts: Facts, subject: str, value: Any) -> None:
    """Note what ``value`` looks like."""
    found = facts[subject]
    for path, word in _walk(value, ""):
        found[path].add(word)


def settled(facts: Facts) -> Facts:
    """The same; where there were many words, any text may stand."""
    return {
        subject: {path: _few(words) for path, words in paths.items()}
        for subject, paths in facts.items()
    }


def _few(words: set[str]) -> set[str]:
    texts = {word for word in words if word.startswith("'")}
    return (words - texts) | {"string"} if len(texts) > _MOST_WORDS else words


def _walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if not value:
            yield path, "{}"
        for key, item in value.items():
            inner = f"{path}.{_name(key)}" if path else _name(key)
            if key in _OF_TOOLS and isinstance(item, dict):
                yield inner, "{}"
            else:
                yield from _walk(item, inner + (type_of(item) if key == "item" else ""))
    elif isinstance(value, list):
        if not value:
            yield path, "[]"
        for item in value:
            yield from _walk(item, path + (type_of(item) or "[]"))
    else:
        yield path, _word(value, path)


def type_of(value: Any) -> str:
    """``[the type]`` of a value that names one."""
    named = value.get("type") if isinstance(value, dict) else None
    return f"[{named}]" if isinstance(named, str) and _WORD.fullmatch(named) else ""


def _name(key: str) -> str:
    """A key, or ``*`` for one that is itself data: a path, an id."""
    return key if _KEY.fullmatch(key) and not _NUMBERED.search(key) else "*"


def _word(value: Any, path: str) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if not isinstance(value, str):
        return "number"
    key = _CAMEL.sub("_", re.sub(r"\[\w*\]$", "", path).rpartition(".")[2])
    return f"'{value}'" if _WORD.fullmatch(value) and not _FREE.search(key) else "string"
