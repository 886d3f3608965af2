"""A line between the parts of the picker, with texts in it; a bar while the index is filled."""

from collections.abc import Sequence

from rich.text import Text
from textual.widget import Widget

from cli.browse.threads.counts import rule_text
from cli.terminal.cells import cut, settled


class Rule(Widget):
    """A line with a text in it at each end."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.left = self.right = ""
        self.selected = 0
        """How many threads are selected."""
        self.offered = ""
        """What may be typed, which is shown in place of the left text."""
        self.share: float | None = None
        """How much of the line is a bar."""

    def show(self, left: str | None = None, right: str | None = None) -> None:
        """Show other texts; None leaves one as it is."""
        self.left = self.left if left is None else left
        self.right = self.right if right is None else right
        self.refresh()

    def show_selected(self, count: int) -> None:
        """Show how many threads are selected."""
        self.selected = count
        self.refresh()

    def offer(self, tokens: Sequence[str]) -> None:
        """Show what may be typed, or the left text if that is nothing."""
        self.offered = " · ".join(map(settled, tokens))
        self.refresh()

    def set_share(self, share: float | None) -> None:
        """Show how much of a job is done; None for no job."""
        self.share = share
        self.refresh()

    def render(self) -> Text:
        selected = f"{self.selected:,} selected" if self.selected else ""
        left = " · ".join(filter(None, (selected, self.offered or self.left)))
        line = rule_text(left, self.right, self.size.width)
        text = Text(line, style="dim", no_wrap=True)
        text.stylize("not dim bold magenta", 2, 2 + len(selected))
        if self.share is not None:
            text = Text(line.replace("─", "━"), style="dim", no_wrap=True)
            text.stylize("not dim green", 0, round(len(line) * min(self.share, 1)))
        return text


class Heading(Widget):
    """What the preview is of: one line that divides it from the list above, or two beside it."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._title = self._facts = ""

    def show(self, title: str, facts: str) -> None:
        """Show a title and what else there is to say."""
        self._title, self._facts = title, facts
        self.refresh()

    def render(self) -> Text:
        width, height = self.size
        if height == 1:
            line = rule_text(self._title, self._facts, width)
            text = Text(line, style="dim", no_wrap=True)
            text.stylize("not dim bold", 2, 2 + len(self._title))
            return text
        text = Text(cut(self._title, width), style="bold", no_wrap=True)
        return text.append("\n").append(cut(self._facts, width), style="not bold dim")
