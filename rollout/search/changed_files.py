"""Find the rollouts whose patches changed a file. This uses no index; every line is read.

What a patch has changed stands in its event, where there is one
(docs/rollout-format.md#events), and in what the tool printed, which every version of Codex since
0.8 begins with the same words.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rollout.errors import SHORTAGES
from rollout.items.calls import parsed
from rollout.items.patches import ChangeKind
from rollout.jsonl.parse import Item, Line, object_of
from rollout.jsonl.reader import LineReader, open_rollout
from rollout.schema.times import time_ms
from rollout.search.normalize import casefold
from rollout.search.snippet import Snippet, snippet
from rollout.search.terms import Matcher, Term

_PRINTED: Final = "Success. Updated the following files:\n"
_NEEDLE: Final = _PRINTED.strip().encode()
_FILES: Final = re.compile(re.escape(_PRINTED) + r"((?:[AMD] [^\n]+(?:\n|$))+)")
_BY_LETTER: Final[dict[str, ChangeKind]] = {"A": "added", "M": "changed", "D": "deleted"}
_BY_TYPE: Final[dict[str, ChangeKind]] = {"add": "added", "delete": "deleted"}


class LastChange(NamedTuple):
    """The last change of a file in a rollout."""

    path: str
    """As the patch has it: absolute, or relative to where it ran."""
    kind: ChangeKind
    """Never ``moved``: a moved file has changed."""
    at_ms: int | None
    """When, in milliseconds since 1970; None if the line does not say."""

    def snippet(self, name: str) -> Snippet:
        """The piece of the path around what was searched for."""
        term = Term.of(name)
        return snippet(self.path, Matcher((term,) if term else ()))


def last_changes(home: str, paths: Sequence[str], name: str) -> list[LastChange | None]:
    """For each rollout, at a path relative to ``home``, the last change of a file whose path holds
    ``name``, case aside; None if there is none, or the rollout cannot be read."""
    wanted = casefold(name)
    return [_last_change(Path(home) / path, wanted) for path in paths]


def _last_change(path: Path, wanted: str) -> LastChange | None:
    last = None
    try:
        with open_rollout(path, []) as stream:
            for line in LineReader().lines(stream):
                if not isinstance(line, Line) or _NEEDLE not in line.data:
                    continue
                item = object_of(line)
                for changed, kind in _changes((item or {}).get("payload", item)):
                    if wanted in casefold(changed):
                        last = LastChange(changed, kind, _time_ms(item))
    except OSError as error:  # what could be read counts
        if error.errno in SHORTAGES:
            raise
    return last


def _time_ms(item: Item | None) -> int | None:
    written = (item or {}).get("timestamp")
    return time_ms(written) if isinstance(written, str) else None


def _changes(payload: Any) -> Iterator[tuple[str, ChangeKind]]:
    """The files that a line says were changed, each with what happened to it."""
    if not isinstance(payload, dict):
        return
    item = payload.get("item")
    event = item if isinstance(item, dict) else payload
    if isinstance(changes := event.get("changes"), dict):
        for path, change in changes.items():
            kind = change.get("type") if isinstance(change, dict) else None
            yield path, _BY_TYPE.get(str(kind), "changed")
    elif str(payload.get("type")).endswith("_output"):
        for text in _texts(payload.get("output")):
            for files in _FILES.findall(text):
                for entry in files.splitlines():
                    yield entry[2:], _BY_LETTER[entry[0]]


def _texts(output: Any) -> Iterator[str]:
    """The texts of a tool's output: one, or those of its parts; older versions put it in JSON."""
    if isinstance(output, str):
        match parsed(output) if output.startswith("{") else None:
            case {"output": str(text)}:
                yield text
            case _:
                yield output
    elif isinstance(output, dict):
        yield from _texts(output.get("content"))
    elif isinstance(output, list):
        yield from (
            part["text"]
            for part in output
            if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
