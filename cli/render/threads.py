"""Threads as rows of a table, and as a tree, for people.

The help of ``list`` names the columns: what reads rows is imported by the functions.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import typer

from cli.terminal import output
from cli.terminal.cells import cells, cut, cut_folder, settled
from cli.terminal.table import Cell, Column, table
from cli.terminal.text import age, amount, money

if TYPE_CHECKING:
    from state.prices.spending import Spending
    from state.query.marks import Marks
    from state.query.rows import Row
    from state.query.tree import Tree

SHOWN: Final = ("age", "thread", "folder", "branch", "model", "tokens", "id")
"""The columns of a list, as far as there is room."""


def _cut_machine(text: str, room: int) -> str:
    """A machine in at most so many cells; how many others have a copy is kept."""
    name, space, others = text.rpartition(" ")
    kept = f"{space}{others}"
    if not others.startswith("+") or cells(kept) + 2 > room:
        return cut(text, room)
    return cut(name, room - cells(kept)) + kept


_AGES: Final = {"created_at": "created", "updated_at": "changed", "recency_at": "age"}
_COLUMNS: Final = {
    "age": Column("age", worth=9),
    "thread": Column("thread", grows=True),
    "id": Column("id", worth=8),
    "folder": Column("folder", 10, 26, worth=7, drops_same=True, cut=cut_folder),
    "project": Column("project", 10, 20, worth=6, drops_same=True, cut=cut_folder),
    "branch": Column("branch", 10, 20, worth=6, drops_same=True),
    "model": Column("model", 12, 16, worth=5, drops_same=True),
    "tokens": Column("tokens", worth=4, right=True),
    "cost": Column("cost", worth=3, right=True),
    "used": Column("used", worth=2, right=True),
    "size": Column("size", worth=2, right=True),
    "source": Column("source", 8, 16, worth=1),
    "tags": Column("tags", 8, 24, worth=1),
    "status": Column("status", worth=1),
    "note": Column("note", 10, 40, worth=1),
    "machine": Column("machine", 8, 20, worth=7, drops_same=True, cut=_cut_machine),
    "user": Column("user", 6, 16, worth=6, drops_same=True),
}
OF_FLEET: Final = ("machine", "user")
"""The columns that only threads of a fleet have."""
SHOWN_OF_FLEET: Final = (*SHOWN[:3], *OF_FLEET, *SHOWN[3:])
"""The columns of a fleet's list."""
COLUMNS: Final = tuple(_COLUMNS)


def columns_of(columns: str | None, *, in_fleet: bool) -> tuple[str, ...]:
    """The columns that the value of ``--columns`` names. Raises typer.BadParameter if there are no
    such ones."""
    chosen = tuple(name.strip() for name in (columns or "").split(",") if name.strip())
    unknown = [name for name in chosen if name not in COLUMNS]
    if unknown:
        raise typer.BadParameter(
            f"--columns: unknown column {unknown[0]}\nchoose from {', '.join(COLUMNS)}"
        )
    for name in OF_FLEET:
        if name in chosen and not in_fleet:
            raise typer.BadParameter(
                f"--columns: {name} is a column of the threads of a fleet\nadd --fleet"
            )
    return chosen


class ThreadTable(NamedTuple):
    """A table of threads: which columns, and what they show beside the rows."""

    columns: Sequence[str] = SHOWN
    keep_all: bool = False
    """Whether all columns are shown, as they were asked for."""
    sort_key: str = "recency_at"
    """Which time the age is of."""
    short_ids: Mapping[str, str] = MappingProxyType({})
    """Unique prefixes of ids; other ids are shown whole."""
    emphasis: str = ""
    """The style of all titles; by default names are bold."""
    spending: "Mapping[str, Spending]" = MappingProxyType({})
    projects: Mapping[str, str] = MappingProxyType({})
    """The names of the projects of folders."""
    marks: "Mapping[str, Marks]" = MappingProxyType({})
    """What users have put on the threads, by id."""

    def lines(self, rows: "Sequence[Row]", room: int | None = None) -> Iterator[str]:
        """The lines of the table, for a terminal of ``room`` cells; by default for this one."""
        columns = [_COLUMNS[name] for name in self.columns]
        if "age" in self.columns:
            columns[self.columns.index("age")] = Column(_AGES[self.sort_key], worth=9)
        home, now_ms = os.path.expanduser("~"), time.time_ns() // 1_000_000
        cells = [[self._cell(name, row, home, now_ms) for name in self.columns] for row in rows]
        return table(columns, cells, room=room, keep_all=self.keep_all)

    def _cell(self, name: str, row: "Row", home: str, now_ms: int) -> Cell:
        from cli.render.labels import folder

        match name:
            case "age":
                return Cell(age(row[f"{self.sort_key}_ms"], now_ms))
            case "thread":
                shown = title(row)
                shown = shown._replace(style=self.emphasis or shown.style)
                return self._marked(shown, self.marks.get(row["id"]))
            case "id":
                return Cell(self.short_ids.get(row["id"], row["id"]), "cyan")
            case "folder":
                return Cell(folder(row["cwd"], home))
            case "project":
                return Cell(folder(self.projects.get(row["cwd"], ""), home))
            case "branch":
                return Cell(settled(row["git_branch"] or ""))
            case "model":
                return Cell(settled(row["model"] or ""))
            case "source":
                return Cell(settled(row["source_kind"]))
            case "tokens":
                return Cell(amount(row["tokens_used"]) if row["tokens_used"] else "")
            case "size":
                return Cell(f"{amount(row['size_bytes'])}B")
            case "machine":
                return Cell(settled(machines(row)))
            case "user":
                return Cell(settled(row["user"]))
        if name in OF_MARKS:
            return Cell(settled(mark_text(name, self.marks.get(row["id"]))))
        spent = self.spending.get(row["id"])
        if name == "used":
            return Cell(amount(spent.tokens) if spent and spent.tokens else "")
        return Cell(money(spent.cost, spent.unpriced_tokens) if spent else money(None))

    def _marked(self, shown: Cell, marks: "Marks | None") -> Cell:
        """A title with a star if the thread is pinned, and with its tags."""
        if marks is None:
            return shown
        tags = () if "tags" in self.columns else marks.tags
        text = f"{PIN} {shown.text}" if marks.pinned else shown.text
        tail = "".join(f" #{settled(tag)}" for tag in tags)
        return shown._replace(text=text, tail=tail)


PIN: Final = "★"
"""Stands before the title of a pinned thread."""
OF_MARKS: "Final[dict[str, Callable[[Marks | None], str]]]" = {
    "tags": lambda marks: ",".join(marks.tags) if marks else "",
    "status": lambda marks: marks.status if marks else "",
    "note": lambda marks: marks.note if marks else "",
}
"""The columns of what users have put on threads."""


def mark_text(name: str, marks: "Marks | None") -> str:
    """What the column ``name``, of tags, status and note, has of a thread's marks."""
    return OF_MARKS[name](marks)


def machines(row: "Row") -> str:
    """The machine of a thread of a fleet, and how many others have a copy."""
    others = len(row["machines"]) - 1
    return f"{row['machine']} +{others}" if others > 0 else str(row["machine"])


def title(row: "Row") -> Cell:
    """What a table shows for a thread: bold if it is a name, dim if it is a stopgap."""
    from cli.render.labels import label
    from state.query.thread_json import display_name

    known = row["history_mode"] in ("legacy", "paginated")
    text = settled(label(row)) if known else f"[unsupported history] {settled(label(row))}"
    return Cell(text, "bold" if display_name(row) else "" if row["preview"] else "italic dim")


class TreeLine(NamedTuple):
    """A line of a tree."""

    branches: str
    """What is drawn before the thread."""
    tree: "Tree"
    more: bool = False
    """Whether the line stands for those below the thread that are left out."""
    level: int = 0


BRANCHES: Final = ("├─ ", "│  ", "└─ ", "   ")
_PLAIN_BRANCHES: Final = ("|- ", "|  ", "`- ", "   ")


def tree_lines(tree: "Tree", branches: Sequence[str] = ()) -> Iterator[TreeLine]:
    """The lines of a tree, each thread before those below it; drawn by the characters that the
    terminal has, unless others are named."""
    usual = branches or (BRANCHES if output.has_blocks() else _PLAIN_BRANCHES)
    fork, pass_by, end, blank = usual
    waiting = [(TreeLine("", tree), "")]
    while waiting:
        line, stem = waiting.pop()
        yield line
        if line.more:
            continue
        children, level = line.tree.children, line.level + 1
        if line.tree.more:
            waiting.append((TreeLine(f"{stem}{end}", line.tree, True, level), ""))
        last = len(children) - (not line.tree.more)
        for place, child in reversed([*enumerate(children)]):
            own, below = (end, blank) if place == last else (fork, pass_by)
            waiting.append((TreeLine(f"{stem}{own}", child, False, level), f"{stem}{below}"))


def tree_table(tree: "Tree", this: str, short_ids: Mapping[str, str]) -> Iterator[str]:
    """A tree as a table, with the thread ``this`` marked."""
    now_ms = time.time_ns() // 1_000_000
    columns = [
        Column("age", worth=9),
        Column("thread", grows=True),
        Column("", 8, 36, worth=7),
        Column("id", worth=8),
    ]
    rows: list[list[Cell]] = []
    for line in tree_lines(tree):
        id_, row = line.tree.thread_id, line.tree.row
        if line.more:
            more = Cell(f"{line.branches}… {line.tree.more:,} more", "dim")
            rows.append([Cell(""), more, Cell(""), Cell("")])
            continue
        shown = title(row) if row else Cell("(not in the index)", "italic dim")
        style = "bold" if id_ == this else shown.style
        rows.append(
            [
                Cell(age(row["recency_at_ms"], now_ms) if row else ""),
                Cell(line.branches + shown.text, style),
                Cell(settled(tree_note(line.tree, is_this=id_ == this)), style and "bold"),
                Cell(short_ids.get(id_, id_), "cyan"),
            ]
        )
    return table(columns, rows)


def tree_note(tree: "Tree", *, is_this: bool = False) -> str:
    """What a tree says of a thread beside its title."""
    row, kind = tree.row, {"side": "side thread"}.get(tree.kind, tree.kind)
    if kind == "subagent":
        kind = f"subagent {agent(tree)}".strip()
    if tree.turn is not None:
        kind += f" after turn {tree.turn}"
    archived = "archived" if row and row["archived"] else ""
    return ", ".join(filter(None, ("this one" if is_this else "", kind, archived)))


def agent(tree: "Tree") -> str:
    """What a subagent is called: its nickname and role, or what it is for."""
    return agent_name(tree.row) if tree.row and tree.kind == "subagent" else ""


def agent_name(row: "Row") -> str:
    """The same of the row of a subagent."""
    named = " ".join(filter(None, (row["agent_nickname"], row["agent_role"])))
    kind = row["source_kind"]
    return named or {"subAgentReview": "review", "subAgentCompact": "compaction"}.get(kind, "")
