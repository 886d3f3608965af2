"""What is recorded of a Codex, and what another one has more or less."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests import FIXTURES
from tests.codex.facts.shapes import Facts

RECORDED: Final = FIXTURES / "codex" / "recorded.json"
SECTIONS: Final = {
    "lines": "Lines of rollouts",
    "answers": "Answers and notifications",
    "protocol": "Types of the protocol",
    "databases": "Databases",
    "files": "Files of a home",
}
DRIVEN: Final = frozenset({"lines", "answers", "files"})
"""The sections that depend on what a Codex was driven through."""
_MANY: Final = 3


@dataclass(frozen=True)
class Record:
    """A version of Codex, and its facts by section."""

    version: str
    facts: Mapping[str, Facts]


def text(record: Record) -> str:
    """How a record is written: one path a line, so that a diff can be read."""
    lines = ["{", f' "version": {json.dumps(record.version)}']
    for section in SECTIONS:
        subjects = []
        for subject, paths in sorted(record.facts[section].items()):
            told = [f"   {_json(path)}: {_json(_words(paths[path]))}" for path in sorted(paths)]
            subjects.append(f"  {_json(subject)}: {{\n" + ",\n".join(told) + "\n  }")
        lines[-1] += ","
        lines.append(f" {_json(section)}: {{\n" + ",\n".join(subjects) + "\n }")
    return "\n".join([*lines, "}"]) + "\n"


def load(path: Path = RECORDED) -> Record:
    """A record that was written.

    Raises:
        OSError, ValueError, KeyError: it is not there, or is none
    """
    data: Any = json.loads(path.read_text("utf-8"))
    facts = {
        section: {
            subject: {path: {*words.split(" | ")} for path, words in paths.items()}
            for subject, paths in data[section].items()
        }
        for section in SECTIONS
    }
    return Record(data["version"], facts)


def _json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _words(words: set[str]) -> str:
    return " | ".join(sorted(words))


def more(one: Facts, other: Facts) -> Facts:
    """What ``other`` has and ``one`` does not."""
    found: Facts = {}
    for subject, paths in other.items():
        for path, words in paths.items():
            had = one.get(subject, {}).get(path)
            if had is None or words - had:
                found.setdefault(subject, {})[path] = words - (had or set())
    return found


def changes(old: Record, new: Record, *, partly: bool = False) -> str:
    """What is new and what is gone, for people; nothing, if nothing is. If Codex was driven
    ``partly``, what is missing in what it did is not gone."""
    told = []
    for key, title in SECTIONS.items():
        before, after = old.facts[key], new.facts[key]
        gone = {} if partly and key in DRIVEN else more(after, before)
        lines = [*_lines("+", more(before, after), before), *_lines("-", gone, after)]
        if lines:
            told.append(section(title, lines))
    return "\n\n".join(told)


def section(title: str, lines: Iterable[str]) -> str:
    """A part of a report."""
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)])


def _lines(sign: str, facts: Facts, others: Facts) -> list[str]:
    """A line for each fact, or for each subject that the other one does not have at all; facts
    that many subjects share make one."""
    whole = [
        f"{sign} {subject}{_described(paths)}"
        for subject, paths in sorted(facts.items())
        if subject not in others
    ]
    shared: dict[tuple[str, str], list[str]] = {}
    for subject, paths in sorted(facts.items()):
        if subject in others:
            for path, words in sorted(paths.items()):
                shared.setdefault((path, _words(words)), []).append(subject)
    for (path, shown), subjects in shared.items():
        fact = f"{path}: {shown}" if path else shown
        if len(subjects) < _MANY:
            whole += [f"{sign} {subject} {fact}" for subject in subjects]
        else:
            whole.append(f"{sign} {fact}, in {len(subjects)}: {', '.join(subjects)}")
    return whole


def _described(paths: Mapping[str, set[str]]) -> str:
    """The fields of a new subject."""
    experimental = all("experimental" in words for words in paths.values())
    told = []
    for path, words in sorted(paths.items()):
        shown = _words(words - {"experimental"} if experimental else words)
        if path:
            told.append(f"{path} ({shown})")
        elif shown not in ("object", "file"):
            told.append(shown)
    fields = f": {', '.join(told)}" if told else ""
    return f"{' (experimental)' if experimental else ''}{fields}"
