"""The tree of the forks, side threads and subagents of a thread, to go to one of them."""

import time
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from cli.render.labels import label
from cli.render.threads import BRANCHES, TreeLine, tree_lines, tree_note
from cli.terminal.cells import settled
from cli.terminal.text import age
from state.errors import StateError
from state.query.rows import Row
from state.query.tree import Tree, tree_steps

if TYPE_CHECKING:
    from cli.browse.actions.acting import ActingApp


async def show_tree(app: "ActingApp", row: Row) -> None:
    """Show the tree of a thread, and open the reader on the thread that is chosen there."""
    try:
        tree = await app.index.database.query(tree_steps(row["id"]))
    except StateError as error:
        app.say(str(error))
        return
    if not tree.children and not tree.more:
        app.say("This thread has no forks or subagents, and is none.")
    elif (chosen := await app.push_screen_wait(TreeScreen(tree, row["id"]))) is not None:
        app.read(chosen)


class TreeScreen(ModalScreen[Row | None]):
    """Shows a tree, and gives the thread that Enter chooses; None if it was closed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,f3", "dismiss", "close", show=False)]
    CSS = """
    TreeScreen { align: center middle; }
    TreeScreen > OptionList {
        width: 90%; height: auto; max-height: 90%; text-wrap: nowrap; text-overflow: ellipsis;
        border: round $primary; padding: 0 1; background: $background;
    }
    """

    def __init__(self, tree: Tree, this: str) -> None:
        """``this`` is the thread that the tree was asked for."""
        super().__init__()
        self._lines = [*tree_lines(tree, BRANCHES)]
        self._this = this

    def compose(self) -> ComposeResult:
        now_ms = time.time_ns() // 1_000_000
        options = [
            Option(_text(line, self._this, now_ms), disabled=line.more or line.tree.row is None)
            for line in self._lines
        ]
        box = OptionList(*options, markup=False)
        box.border_title = "Forks and subagents"
        box.border_subtitle = "Enter reads · Esc closes"
        ids = [line.tree.thread_id for line in self._lines]
        box.highlighted = ids.index(self._this) if self._this in ids else None
        yield box

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._lines[event.option_index].tree.row)


def _text(line: TreeLine, this: str, now_ms: int) -> Text:
    """A line of the tree."""
    tree = line.tree
    if line.more:
        return Text(f"     {line.branches}… {tree.more:,} more", "dim")
    is_this = tree.thread_id == this
    row = tree.row
    ago = age(row["recency_at_ms"], now_ms) if row else ""
    text = Text(f"{ago:>4} {line.branches}", "dim")
    text.append(settled(label(row)) if row else "(not in the index)", "bold" if is_this else "")
    if note := tree_note(tree, is_this=is_this):
        text.append(f"  {settled(note)}", "dim")
    return text
