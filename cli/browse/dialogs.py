"""Dialogs: a line of text, a question, a choice."""

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option


class Entered(NamedTuple):
    """What was entered into a dialog."""

    text: str
    everywhere: bool = False
    """Whether it was ended by the key for all threads."""


class TextDialog(ModalScreen[Entered | None]):
    """Asks for one line of text. Gives None if it was closed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "close", show=False),
        Binding("tab", "complete", "complete", show=False, priority=True),
        Binding("ctrl+d", "everywhere", "everywhere", show=False, priority=True),
    ]

    def __init__(
        self,
        title: str,
        value: str = "",
        *,
        lines: Sequence[str] = (),
        known: Sequence[str] = (),
        everywhere: str = "",
        problem: Callable[[Entered], str] = lambda _: "",
    ) -> None:
        """``lines`` stand above the text; words of it are completed to ``known`` ones;
        ``everywhere`` is what Ctrl+D does, if anything; ``problem`` says what is wrong with what
        was entered, which keeps the dialog open."""
        super().__init__()
        self._title, self._value, self._lines = title, value, lines
        self._known, self._everywhere, self._problem = known, everywhere, problem

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = Text(self._title)
            keys = ["Enter", "Tab completes" if self._known else "", self._everywhere, "Esc closes"]
            box.border_subtitle = Text(" · ".join(filter(None, keys)))
            if self._lines:
                yield Static(Text("\n".join(self._lines), overflow="ellipsis"), markup=False)
            words = Words(self._known) if self._known else None
            yield Input(self._value, compact=True, suggester=words, select_on_focus=False)
            yield Static(classes="problem", markup=False)

    def on_input_submitted(self) -> None:
        self._end(Entered(self._input.value))

    def on_input_changed(self) -> None:
        self._tell("")

    def action_complete(self) -> None:
        """Take the completion that is shown behind the text."""
        self._input.action_end()
        self._input.action_cursor_right()

    def action_everywhere(self) -> None:
        """End with the key for all threads."""
        if self._everywhere:
            self._end(Entered(self._input.value, everywhere=True))

    @property
    def _input(self) -> Input:
        return self.query_one(Input)

    def _end(self, entered: Entered) -> None:
        if problem := self._problem(entered):
            self._tell(problem)
        else:
            self.dismiss(entered)

    def _tell(self, problem: str) -> None:
        self.query_one(".problem", Static).update(problem)


class Words(Suggester):
    """Completes the last word of a text, also behind a minus."""

    def __init__(self, known: Sequence[str]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._known = known

    async def get_suggestion(self, value: str) -> str | None:
        last = value.replace(",", " ").rpartition(" ")[2]
        begun = last.removeprefix("-").lower()
        found = next((word for word in self._known if begun and word.startswith(begun)), None)
        return found and value[: len(value) - len(last)] + last[: -len(begun)] + found


class Question(ModalScreen[bool]):
    """Asks for a yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,y", "dismiss(True)", "yes", show=False),
        Binding("escape,n,q", "dismiss(False)", "no", show=False),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_subtitle = Text("Enter or y: yes · Esc or n: no")
            yield Static(self._text, markup=False)


class Choice(ModalScreen[str | None]):
    """Asks for one of a few words; a letter goes to the next one that begins with it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "close", show=False),
    ]

    def __init__(self, title: str, words: Sequence[str], current: str = "") -> None:
        super().__init__()
        self._title, self._words, self._current = title, words, current

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = Text(self._title)
            box.border_subtitle = Text("Enter picks · Esc closes")
            options = OptionList(*(Option(word, id=word) for word in self._words), compact=True)
            if self._current in self._words:
                options.highlighted = self._words.index(self._current)
            yield options

    def on_key(self, event: Key) -> None:
        options = self.query_one(OptionList)
        at = options.highlighted or 0
        for place in (*range(at + 1, len(self._words)), *range(at + 1)):
            if event.character and self._words[place].startswith(event.character):
                options.highlighted = place
                return

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)
