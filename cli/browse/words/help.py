"""The screen of all keys and filters."""

from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from cli.browse.words.keys import OwnKeys, Place, actions_of, is_refused_by_fleet, keys_of, shown
from cli.filter.language import WORDS


class HelpScreen(ModalScreen[None]):
    """Shows what keys do in a place, and what may be typed there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q,enter", "dismiss", "back", show=False)
    ]
    CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll {
        width: 76; max-width: 100%; height: auto; max-height: 100%;
        border: round $primary; padding: 0 1;
    }
    """

    def __init__(self, place: Place, own: OwnKeys, *, fleet: bool = False) -> None:
        super().__init__()
        self._text = help_text(place, own, fleet=fleet)

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_title = "Keys"
            box.border_subtitle = "Esc closes"
            yield Static(self._text, markup=False)


def help_text(place: Place, own: OwnKeys, *, fleet: bool = False) -> Text:
    """All keys of a place, in groups; for the picker, the filters, too. In a ``fleet`` without what
    it refuses."""
    sections: dict[str, list[tuple[str, str]]] = {}
    if place == "picker":
        lines = [(word.example, word.help) for word in WORDS]
        sections["Typed into the box"] = [*_WORDS, *lines]
    for action in actions_of(place):
        if fleet and is_refused_by_fleet(action):
            continue
        if own_ones := keys_of(action, own):
            line = ", ".join(map(shown, own_ones)), action.help
            sections.setdefault(action.group, []).append(line)
    width = max(len(keys) for lines in sections.values() for keys, _ in lines) + 2
    text = Text()
    for title, lines in sections.items():
        text.append(f"{chr(10) * bool(text)}{title}\n", "bold")
        for keys, help_ in lines:
            text.append(f"  {keys:<{width}}", "cyan").append(f"{help_}\n")
    text.right_crop(1)
    return text


_WORDS: Final = [
    ("two words", "Have all of them in title or messages"),
    ('"a phrase" begin*', "Have this phrase, a word that begins so"),
    ("-word", "Do not have it"),
]
