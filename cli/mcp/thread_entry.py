"""A thread as the tools that list threads tell of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, Field

from cli.mcp.answering import Answering
from cli.mcp.budget import shortened

if TYPE_CHECKING:
    from state.query.model import Query
    from state.query.rows import Row

_LONGEST_TITLE: Final = 200
_LOOKED_AT: Final = 600
"""Of so many characters secrets are taken out before they are cut: titles are often long."""
Thread = Annotated[
    str,
    Field(
        description="Its id, the first 4 characters of that or more, or its title; -1 is the one"
        " that was used last."
    ),
]
"""The parameter of a tool that names a thread."""


class ThreadEntry(BaseModel):
    """A thread."""

    id: str
    title: str = Field(description="Its name, or the beginning of its first message.")
    used_at: str = Field(description="When its last turn began, in UTC.")
    created_at: str = ""
    folder: str = ""
    branch: str = ""
    model: str = ""
    machine: str = Field("", description="Of a fleet: the machine whose copy this is.")
    user: str = Field("", description="Whose that is.")
    archived: bool = False
    pinned: bool = False
    status: str = Field("", description="todo, doing, waiting or done, if the user set one.")
    tags: list[str] = []
    note: str = Field("", description="What the user noted down.")

    @property
    def text(self) -> str:
        """The same for a model, in a line or two."""
        facts = (
            f"`{self.id}`",
            self.used_at,
            self.folder,
            f"on {self.branch}" if self.branch else "",
            f"machine {self.machine}" if self.machine else "",
            f"user {self.user}" if self.user else "",
            "archived" if self.archived else "",
            "pinned" if self.pinned else "",
            self.status,
            " ".join(f"#{tag}" for tag in self.tags),
            f"note: {self.note}" if self.note else "",
        )
        return f"* **{self.title}**\n  {' · '.join(filter(None, facts))}\n"


async def entries(
    answering: Answering, rows: "Sequence[Row]", query: "Query | None" = None
) -> list[ThreadEntry]:
    """The threads of some rows, as ``query`` has found them. Raises what
    :meth:`Answering.index` raises."""
    from cli.terminal.text import iso
    from state.query.marks import NO_MARKS, marks_steps
    from state.query.model import Query

    index = await answering.index()
    ids = [row["id"] for row in rows]
    found = await index.read(lambda: marks_steps(ids), query or Query())

    def clean(text: str) -> str:
        return _clean(answering, text)

    made = []
    for row in rows:
        marks = found.get(row["id"], NO_MARKS)
        made.append(
            ThreadEntry(
                id=row["id"],
                title=title_of(answering, row),
                used_at=iso(row["recency_at_ms"]),
                created_at=iso(row["created_at_ms"]),
                folder=clean(row["cwd"]),
                branch=clean(row["git_branch"] or ""),
                model=row["model"] or "",
                machine=clean(row.get("machine") or ""),
                user=clean(row.get("user") or ""),
                archived=bool(row["archived"]),
                pinned=marks.pinned,
                status=marks.status,
                tags=[*marks.tags],
                note=clean(marks.note),
            )
        )
    return made


def title_of(answering: Answering, row: "Row") -> str:
    """The name of a thread, or the beginning of its first message."""
    from cli.render.labels import label

    return _clean(answering, label(row))


def _clean(answering: Answering, text: str) -> str:
    from cli.terminal.text import one_line

    clean = answering.redaction.redacted_piece(text, 0, _LOOKED_AT)
    return shortened(one_line(clean), _LONGEST_TITLE)
