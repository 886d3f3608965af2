"""What is around the turns of a thread: title and facts, the line of messages, the keys."""

from typing import Final

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input, Static

from cli.browse.actions.acting import ActingApp, ThreadScreen
from cli.browse.actions.sentences import sentence
from cli.browse.reader.outline_view import OutlineView
from cli.browse.reader.pieces import TOOLS
from cli.browse.reader.view import TurnsView
from cli.browse.reader.work import Trouble
from cli.browse.words.keys import OwnKeys, line_of
from cli.render.labels import label, machine_of
from cli.render.threads import PIN
from cli.terminal.cells import cells, cut, cut_folder, settled, wrapped
from cli.terminal.text import amount, local, plural
from cli.turns.heads import KnownTurns
from cli.turns.search import Found
from cli.turns.source import TurnSource
from state.query.marks import Marks
from state.query.rows import Row
from state.turns.cache import Closed

_WIDE: Final = 110
"""From so many columns on the outline is shown at first."""
_MOST_SAID: Final = 3
"""Lines of what is said, at most."""
SAID: Final = {"off": "hidden", "short": "short", "full": "in full"}
"""What is said of the ways in which tool calls are shown."""


class ReaderFrame(ThreadScreen):
    """Shows the turns of a thread, and tells about it."""

    DEFAULT_CSS = """
    ReaderFrame {
        & #reader-title { height: 1; padding: 0 1; text-style: bold; }
        & #reader-facts { height: 1; padding: 0 1; text-style: dim; }
        & #reader-marks { height: auto; padding: 0 1; text-style: dim; }
        & #reader-warnings { height: auto; max-height: 3; padding: 0 1; color: ansi_yellow; }
        & #reader-main { height: 1fr; }
        & #reader-empty { width: 1fr; height: 1fr; padding: 1 3; text-style: dim; }
        & #reader-search { height: 1; border: none; padding: 0 1; background: ansi_default; }
        & #reader-status { height: auto; padding: 0 1; }
        & #reader-keys { height: 1; padding: 0 1; text-style: dim; }
    }
    """

    def __init__(self, source: TurnSource) -> None:
        super().__init__()
        self._source = source
        self._known: KnownTurns | None = None
        self._sought = ""
        """What was searched for ..."""
        self._found = Found()
        """... and where it was found."""
        self._said = ""
        self._waiting = ""
        """What is being waited for, until Esc ends that."""
        self._trouble = ""
        self.turns = TurnsView(source, id="reader-turns")
        self.outline = OutlineView(source, id="reader-outline")
        self._title = _line("title")
        self._facts = _line("facts")
        self._marks = _line("marks")
        self._warnings = _line("warnings")
        self._empty = _line("empty")
        self._status = _line("status")
        self._keys = _line("keys")
        self._searched = Input(placeholder="Find in this thread", id="reader-search", compact=True)

    @property
    def row(self) -> Row:
        """The row of the thread."""
        return self._source.row

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._facts
        yield self._marks
        yield self._warnings
        with Horizontal(id="reader-main"):
            yield self.turns
            yield self._empty
            yield self.outline
        yield self._status
        yield self._searched
        yield self._keys

    def on_mount(self) -> None:
        for hidden in (self._searched, self._marks, self._warnings, self._empty):
            hidden.display = False
        self.outline.display = self.app.size.width >= _WIDE
        self._show_header()
        self.turns.focus()

    def say(self, text: str) -> None:
        """Show a line of text until something is done."""
        self._said = settled(text)
        self._show_status()

    async def renew(self) -> None:
        await self._source.find_again()
        await self._source.look_up()
        self._show_header()

    @property
    def _own_keys(self) -> OwnKeys:
        return self.app.own_keys if isinstance(self.app, ActingApp) else {}

    def _fail(self, error: Trouble) -> None:
        """Say what cannot be read, as long as that is so."""
        if isinstance(error, Closed):
            return  # nobody reads on
        self._trouble = settled(str(error) if isinstance(error, OSError) else sentence(error))
        if self._known is None:
            self.turns.display = False
            self._empty.display = True
            self._empty.update(self._trouble)
        self._show_status()

    def _wait(self, what: str, part: float = 0.0) -> None:
        self._waiting = f"{what} … {part:.0%} (Esc stops)" if what else ""
        self._show_status()

    def _show_header(self) -> None:
        width = self.app.size.width - 2
        row = self.row
        self._title.update(Text(cut(settled(label(row)) or row["id"], width), no_wrap=True))
        turns = self._known and not self._known.partial and len(self._known.heads)
        facts = [
            settled(machine_of(row)),
            f"on {settled(row['git_branch'])}" if row["git_branch"] else "",
            settled(" ".join(filter(None, (row["model"], row["reasoning_effort"])))),
            f"{amount(row['tokens_used'])} tokens" if row["tokens_used"] else "",
            plural(turns, "turn") if turns else "",
            local(row["created_at_ms"]),
            "archived" if row["archived"] else "",
        ]
        others = " · ".join(filter(None, facts))
        folder = cut_folder(settled(row["cwd"]), max(width - len(others) - 3, width // 4))
        line = cut(" · ".join(filter(None, (folder, others))), width)
        self._facts.update(Text(line, no_wrap=True))
        first, *more = wrapped(_marks_text(self._source.marks), width)
        lines = [first, " ".join(more)] if more else [first]
        self._marks.display = bool(first)
        self._marks.update(Text("\n".join(cut(line, width) for line in lines), no_wrap=True))

    def _show_status(self) -> None:
        left = self._waiting or self._said or self._trouble
        parts = []
        if self._sought:
            parts.append(self._matches())
        if self.turns.tools != TOOLS[0]:
            parts.append(f"tools {SAID[self.turns.tools]}")
        head = self.turns.current
        if head is not None and self._known is not None:
            count = len(self._known.heads)
            if self._known.partial:
                parts.append("the beginning is being read")
            elif head.number:
                parts.append(f"turn {head.number:,} of {count:,}")
            parts.append("end" if self.turns.at_end else self._percent())
        right = " · ".join(parts)
        width = self.app.size.width - 2
        style = "bold" if left else ""
        lines = [*wrapped(left, width)]
        if len(lines) > _MOST_SAID:
            lines[_MOST_SAID - 1 :] = [" ".join(lines[_MOST_SAID - 1 :])]  # which is cut
        if cells(lines[-1]) + len(right) + 2 > width:
            lines.append("")
        *above, last = (cut(line, width) for line in lines)
        text = Text("\n".join([*above, last]), style, no_wrap=True)
        text.append(" " * max(width - cells(last) - len(right), 0))
        text.append(right, "not bold")
        self._status.update(text)
        self._keys.update(line_of("reader", self._own_keys, width, fleet=self.is_of_fleet))

    @property
    def is_of_fleet(self) -> bool:
        """Whether the thread is one of a fleet."""
        return isinstance(self.app, ActingApp) and self.app.here.fleet is not None

    def _percent(self) -> str:
        most = self.turns.max_scroll_y
        return f"{self.turns.scroll_offset.y / most:.0%}" if most else "end"

    def _matches(self) -> str:
        found = self._found
        count = f"{len(found.hits):,}{'' if found.done and not found.full else '+'}"
        hit = self.turns.current_hit
        if not found.hits:
            return f"“{self._sought}”: " + ("no match" if found.done else "searching")
        at = found.hits.index(hit) + 1 if hit in found.hits else 0
        return f"“{self._sought}”: {at:,}/{count}"

    @on(TurnsView.Moved)
    def _moved_there(self) -> None:
        self.outline.follow(self.turns.place)
        self._show_status()

    @on(TurnsView.Failed)
    def _view_failed(self, event: TurnsView.Failed) -> None:
        self._fail(event.error)

    @on(OutlineView.Chosen)
    def _chosen(self, event: OutlineView.Chosen) -> None:
        self._said = ""
        self.turns.to_turn(event.place)

    def on_resize(self, event: events.Resize) -> None:
        if self.is_mounted:
            self._show_header()
            self._show_status()


def _line(name: str) -> Static:
    return Static(id=f"reader-{name}", markup=False)


def _marks_text(marks: Marks) -> str:
    """The marks of a thread, on one line."""
    found = (
        f"{PIN} pinned" if marks.pinned else "",
        marks.status,
        " ".join(f"#{settled(tag)}" for tag in marks.tags),
        settled(marks.note),
    )
    return " · ".join(filter(None, found))
