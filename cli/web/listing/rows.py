"""One thread of the list, as the template shows it."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from cli.render.labels import label, other_machines
from cli.render.threads import agent_name
from cli.terminal.text import age, amount, iso, local, one_line, one_line_marked
from cli.web.listing.address import Address
from cli.web.listing.find import Found
from cli.web.site import thread_url
from rollout.files.digest import blake2b
from rollout.schema.modes import MODES
from rollout.search.snippet import Snippet, snippet
from rollout.search.terms import Matcher, Term
from state.fulltext.changed_files import LastChange
from state.fulltext.hits import passages
from state.query.marks import NO_MARKS, Marks
from state.query.rows import Row
from state.query.thread_json import display_name

Pieces = Sequence[tuple[str, bool]]
"""A text in pieces, each with whether it is one of the words that are searched for."""
_WHO: Final = {"userMessage": "you", "agentMessage": "Codex"}
_USUAL_KINDS: Final = ("cli", "vscode")
"""What people start themselves; of others is said what started them."""


class Said(NamedTuple):
    """A place in a thread where the words are."""

    who: str
    pieces: Pieces


class Shown(NamedTuple):
    """A thread of the list."""

    id: str
    url: str
    title: Pieces
    look: str
    """``name`` if a person named it, ``stopgap`` if nobody has said anything in it, else empty."""
    kind: str
    """What started it, where that was not a person; or that its history cannot be read."""
    archived: bool
    marks: Marks
    project: str
    """As the filter has it; empty if it cannot be typed."""
    machine: str
    """Of a fleet: the machine whose copy is shown ..."""
    user: str
    others: str
    """... and the others that have one."""
    folder: str
    branch: str
    model: str
    tokens: str
    age: str
    at: str
    """The same time for machines ..."""
    when: str
    """... and exactly, for people."""
    said: Sequence[Said]
    matches: int
    """How many of its messages hold the words; 0 if none was searched."""
    changed: Pieces
    """What it did to the file that is searched for; nothing if none is."""
    version: str
    """Is another one when something of this has changed."""


class Look(NamedTuple):
    """What decides how threads are shown."""

    address: Address
    words: Sequence[str]
    """What is searched for in titles."""
    terms: Sequence[Term]
    """What is searched for in messages."""
    file: str
    """What is searched for in the paths of changed files."""
    projects: Mapping[str, str]
    """The names of the projects of folders."""
    marks: Mapping[str, Marks]
    now_ms: int
    machine: str | None = None
    """Of a fleet: the machine as which threads are shown."""


def shown(found: Found, look: Look) -> Shown:
    """A thread of the list, by its row."""
    row, hit = found.row, found.hit
    marks = look.marks.get(row["id"], NO_MARKS)
    project = look.projects.get(row["cwd"], "")
    at_ms = row[f"{look.address.sort}_at_ms"]
    title = highlighted(one_line(label(row)) or row["id"], look.words)
    return Shown(
        id=row["id"],
        url=thread_url(row["id"], machine=look.machine),
        title=title,
        look="name" if display_name(row) else "" if row["preview"] else "stopgap",
        kind=_kind(row),
        archived=bool(row["archived"]),
        marks=marks,
        project=project if project.isprintable() else "",
        machine=one_line(row.get("machine") or ""),
        user=one_line(row.get("user") or ""),
        others=", ".join(map(one_line, other_machines(row))),
        folder=one_line(row["cwd"]),
        branch=one_line(row["git_branch"] or ""),
        model=one_line(row["model"] or ""),
        tokens=amount(row["tokens_used"]) if row["tokens_used"] else "",
        age=age(at_ms, look.now_ms),
        at=iso(at_ms),
        when=local(at_ms),
        said=_said(found, title, look),
        matches=hit.matches if hit else 0,
        changed=_changed(found.change, look.file),
        version=version(row, marks),
    )


def version(row: Row, marks: Marks) -> str:
    """Is another one when something of a thread has changed."""
    of_file = (row["mtime_ns"], row["size_bytes"], row["name"], row["archived"])
    decisive = (*of_file, *marks, *row.get("machines", ()))
    return blake2b(repr(decisive).encode(), digest_size=6).hexdigest()


def highlighted(text: str, words: Sequence[str]) -> Pieces:
    """A line in pieces, each with whether it is one of ``words``."""
    terms = _terms(words)
    return list(_pieces(Snippet(text, list(Matcher(terms).spans(text)) if terms else [])))


def _terms(words: Sequence[str]) -> list[Term]:
    return [term for word in words if (term := Term.of(word))]


def _pieces(snippet: Snippet) -> Pieces:
    return [piece for piece in one_line_marked(*snippet) if piece[0]]


def _said(found: Found, title: Pieces, look: Look) -> list[Said]:
    """What was said that is searched for; of a thread that a title search found, what it begins
    with, if the title that is shown does not say why it was found."""
    if found.hit:
        where = passages(found.hit._replace(header=[]), look.terms)
        return [Said(_WHO.get(each.kind, each.kind), _pieces(each.snippet)) for each in where]
    terms = _terms(look.words)
    if not terms or found.change or any(marked for _, marked in title):
        return []
    return [Said("", _pieces(snippet(found.row["preview"] or "", Matcher(terms))))]


def _kind(row: Row) -> str:
    if row["history_mode"] not in MODES:
        return "unsupported history"
    if row["attached_thread_parent_id"]:
        return "side thread"
    if row["source_kind"].startswith("subAgent"):
        return one_line(f"subagent {agent_name(row)}")
    return "" if row["source_kind"] in _USUAL_KINDS else one_line(row["source_kind"])


def _changed(change: LastChange | None, file: str) -> Pieces:
    return [(f"{change.kind} ", False), *_pieces(change.snippet(file))] if change else []
