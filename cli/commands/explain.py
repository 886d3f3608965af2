"""``threadkeep explain``: why a thread is listed or not, here and in Codex's picker."""

from pathlib import Path
from typing import Any

from cli import errors
from cli.arguments.places import Places
from cli.runtime.open_index import read_index
from cli.terminal import output
from state.explain.explain import Explanation, explain
from state.explain.reasons import Reason


def run(places: Places, reference: str, cwd: Path | None, *, as_json: bool) -> int:
    """Explain one thread or file; ``cwd`` is the current folder if not given. Gives the exit
    status."""
    folder = str(cwd) if cwd else _here()
    found = read_index(
        places,
        lambda index: explain(index, reference, cwd=folder, sqlite_home=places.sqlite_home),
    )
    if as_json:
        output.data(document(found))
    else:
        output.line(output.one_line(found.verdict))
        for name, value in (("thread", found.thread_id), ("file", found.path)):
            if value:
                output.line(f"{name:<6} {output.one_line(value)}")
        for reason in found.reasons:
            _tell(reason, found.path)
    return errors.OK


def _here() -> str | None:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        output.say("The current folder has been removed: every folder counts.")
        return None


def _tell(reason: Reason, path: str | None) -> None:
    mark = "hides" if reason.hides else "note"
    place = "" if reason.path in (path, None) else output.one_line(reason.path or "")
    if reason.offset is not None:
        place += f" at byte {reason.offset:,}"
    evidence = output.one_line(f"{reason.evidence} ({place.strip()})" if place else reason.evidence)
    output.line(f"{mark:<6} {reason.where:<5} {reason.code}: {evidence}")
    if reason.mend:
        output.line(f"             do: {output.one_line(reason.mend)}")


def document(found: Explanation) -> dict[str, Any]:
    """An explanation as JSON."""
    return {
        "version": 1,
        "verdict": found.verdict,
        "threadId": found.thread_id,
        "path": found.path,
        "listed": found.listed,
        "listedInCodex": found.listed_in_codex,
        "reasons": [
            {
                "code": reason.code,
                "where": reason.where,
                "hides": reason.hides,
                "evidence": reason.evidence,
                "path": reason.path,
                "offset": reason.offset,
                "mend": reason.mend,
            }
            for reason in found.reasons
        ],
    }
