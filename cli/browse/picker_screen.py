"""What the picker is made of: the search box, the list, the preview, and lines around them."""

from pathlib import Path

from textual import events
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from cli.browse.in_order import OrderedApp
from cli.browse.preview_view import PreviewView
from cli.browse.rule import Heading, Rule
from cli.browse.threads.counts import Finding, filling, nothing, summary
from cli.browse.threads.lines import PROMPT
from cli.browse.threads.list_view import ThreadListView
from cli.browse.threads.scope import Scope
from cli.browse.words.filter_box import FilterBox
from cli.browse.words.keys import typed_actions
from cli.terminal.cells import settled
from state.jobs.progress import JobProgress


class SearchBox(FilterBox):
    """The search box. While it is empty, Space and ? do what they do in the list."""

    async def _on_key(self, event: events.Key) -> None:
        own = self.app.own_keys if isinstance(self.app, OrderedApp) else {}
        action = typed_actions(own).get(event.character or "")
        typed = self.app.run_typed if isinstance(self.app, OrderedApp) else self.app.run_action
        if action and not self.value and await typed(action):
            event.prevent_default()
            event.stop()
        else:
            await super()._on_key(event)

    def take(self, text: str) -> None:
        """Take a letter that was typed elsewhere, and the focus; none takes the last one away."""
        self.screen.set_focus(self)  # at once: the next letter is for it
        if text:
            self.insert_text_at_cursor(text)
        else:
            self.action_delete_left()


class PickerScreen(Screen[None]):
    """The list and what belongs to it."""

    class Mounted(Message):
        """Its widgets are there."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.box = SearchBox(placeholder=PROMPT, id="search", compact=True, select_on_focus=False)
        self.rule = Rule(id="rule")
        self.threads = ThreadListView(id="list")
        self.threads.typed = self.box.take
        self.heading = Heading(id="heading")
        self.preview = PreviewView(id="preview")
        self.message = Static(id="message", markup=False)
        self.keys = Static(id="keys", markup=False)
        self._behind = ""
        """How far the index is, or why it is not in step with the files."""

    def compose(self) -> ComposeResult:
        with Horizontal(id="prompt"):
            yield Static("❯", id="prompt-sign", markup=False)
            yield self.box
        yield self.rule
        with Container(id="main"):
            yield self.threads
            with Vertical(id="preview-box"):
                yield self.heading
                yield self.preview
        yield self.message
        yield self.keys

    def on_mount(self) -> None:
        self.post_message(self.Mounted())

    def say(self, text: str) -> None:
        """Show a text below the list; an empty one takes it away."""
        self.message.update("\n".join(map(settled, text.split("\n"))))
        self.message.set_class(bool(text), "-shown")

    def show_finding(self, finding: Finding, scope: Scope, home: Path) -> None:
        """Say what was found, or why nothing was."""
        self.rule.show(summary(finding), self._behind or scope.text)
        name, text = scope.name if scope.only else "", settled(self.box.value)
        self.threads.empty = nothing(finding, text, name, home) if finding.done else []
        if not finding.threads:
            self.threads.refresh()

    def show_progress(self, counts: JobProgress | None, why: str, scope: Scope) -> None:
        """Show how far the index is, or ``why`` it is not in step with the files."""
        share = counts.done / counts.total if counts and counts.total else 0
        self.rule.set_share(None if counts is None else share)
        self._behind = why if counts is None else filling(counts)
        self.rule.show(right=self._behind or scope.text)
