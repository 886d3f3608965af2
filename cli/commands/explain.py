"""``threadkeep explain``: why a thread is listed or not, here and in Codex's picker."""

from pathlib import Path

from cli import errors
from cli.arguments.locations import Locations
from cli.render.explanation import document
from cli.runtime.open_index import read_index
from cli.terminal import output
from cli.terminal.text import one_line
from state.explain.explain import explain
from state.explain.reasons import Reason


def run(locations: Locations, reference: str, cwd: Path | None, *, as_json: bool) -> int:
    """Explain one thread or file; ``cwd`` is the current folder if not given. Gives the exit
    status."""
    folder = str(cwd) if cwd else _here()
    found = read_index(
        locations,
        lambda index: explain(index, reference, cwd=folder, sqlite_home=locations.sqlite_home),
    )
    if as_json:
        output.data(document(found))
    else:
        output.line(one_line(found.verdict))
        for name, value in (("thread", found.thread_id), ("file", found.path)):
            if value:
                output.line(f"{name:<6} {one_line(value)}")
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
    place = "" if reason.path in (path, None) else one_line(reason.path or "")
    if reason.offset is not None:
        place += f" at byte {reason.offset:,}"
    evidence = one_line(f"{reason.evidence} ({place.strip()})" if place else reason.evidence)
    output.line(f"{mark:<6} {reason.where:<5} {reason.code}: {evidence}")
    if reason.mend:
        output.line(f"             do: {one_line(reason.mend)}")
