"""The table of keys, and the user's own."""

import asyncio
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.widgets import Input

from cli.browse.app import BrowseApp
from cli.browse.reader.screen import ReaderScreen
from cli.browse.words.help import HelpScreen, help_text
from cli.browse.words.keys import (
    ACTIONS,
    OwnKeys,
    Place,
    actions_of,
    bindings_of,
    keymap_of,
    line_of,
    shown,
)
from cli.browse.words.own_keys import keys_file, own_keys
from cli.errors import InvalidKeys, outcome
from tests import ROOT


class _Pressed(App[None]):
    """Writes down which actions of the picker keys call."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("picker")]

    def __init__(self, own: OwnKeys) -> None:
        super().__init__()
        self.called: list[str] = []
        self.own = own
        self.set_keymap(keymap_of(own))

    def compose(self) -> ComposeResult:
        yield Input()

    async def run_action(self, action: Any, *around: Any, **more: Any) -> bool:
        names = {each.name.replace("-", "_") for each in actions_of("picker")}
        if action not in names or len(self.screen_stack) > 1:  # as the picker's check_action
            return await super().run_action(action, *around, **more)
        self.called.append(action)
        return True


def _pressed(own: OwnKeys, *keys: str) -> tuple[list[str], str]:
    """The actions that keys call while a box has the focus, and what is typed into it."""

    async def press() -> tuple[list[str], str]:
        app = _Pressed(own)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press(*keys)
            return app.called, app.query_one(Input).value

    return asyncio.run(press())


def _read(tmp_path: Path, text: str) -> OwnKeys:
    path = tmp_path / "keys.toml"
    path.write_text(text, "utf-8")
    return own_keys(path)


@pytest.mark.parametrize("place", get_args(Place))
def test_each_key_of_a_place_has_one_action(place: Place) -> None:
    every = [key for action in actions_of(place) for key in action.keys]
    assert len(every) == len({*every})
    assert len(ACTIONS) == len({action.id for action in ACTIONS})


@pytest.mark.parametrize(("place", "class_"), [("picker", BrowseApp), ("reader", ReaderScreen)])
def test_each_action_of_the_table_is_there(place: Place, class_: type) -> None:
    names = [binding.action for binding in bindings_of(place)]
    assert [name for name in names if not callable(getattr(class_, f"action_{name}", None))] == []


def test_each_key_of_the_table_can_be_set_by_the_user(tmp_path: Path) -> None:
    for place in get_args(Place):
        lines = [f"{action.name} = {[*action.keys]}" for action in actions_of(place)]
        own = _read(tmp_path, f"[{place}]\n" + "\n".join(lines))
        assert own == {action.id: action.keys for action in actions_of(place)}


def test_keys_go_before_those_that_edit_the_text_of_a_box() -> None:
    names = ["ctrl+a", "ctrl+f", "ctrl+k", "enter", "tab", "escape", "ctrl+c"]
    called, typed = _pressed({}, "x", "space", "?", *names)
    assert called == ["archive", "fork", "up", "open", "scope", "back", "interrupt"]
    assert typed == "x ?"


def test_a_user_s_keys_replace_those_of_the_table(tmp_path: Path) -> None:
    own = _read(
        tmp_path,
        '[picker]\ntag = "F8"\nrename = ["Ctrl+N", "alt+r"]\npin = []\n'
        'note = "f2"\n[reader]\nfind = ["/", ","]\nnext-match = "shift+n"\nprevious-match = "p"\n',
    )
    assert own == {
        "picker.tag": ("f8",),
        "picker.rename": ("ctrl+n", "alt+r"),
        "picker.pin": (),
        "picker.note": ("f2",),
        "reader.find": ("/", ","),
        "reader.next-match": ("N",),
        "reader.previous-match": ("p",),
    }
    called, _ = _pressed(own, "f8", "ctrl+t", "ctrl+n", "alt+r", "ctrl+p", "f2", "f5")
    assert called == ["tag", "rename", "rename", "note", "status"]
    assert keymap_of(own)["reader.find"] == "/,comma"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[picker]\n\nrenam = "f2"', "line 3: [picker] has no action renam; did you mean rename?"),
        ('[picker]\nxyz = "f2"', "line 2: [picker] has no action xyz"),
        ('[reader]\ntools = "cmd+t"', "line 2: no key is called 'cmd+t'"),
        ('[reader]\ntools = ["t", "ctrl+1"]', "line 2: no key is called 'ctrl+1'"),
        ('[reader]\ntools = ""', "line 2: no key is called ''"),
        ("[reader]\ntools = 3", 'line 2: tools needs a key, as in tools = "f8", or a list of keys'),
        (
            '[picker]\ntag = "ctrl+p"',
            "line 2: Ctrl+P is the key of pin in [picker]: give tag or pin another one",
        ),
        (
            '[picker]\ntag = "f8"\nnote = "f8"',
            "line 2: F8 is the key of note in [picker]: give tag or note another one",
        ),
        (
            '[picker]\ntag = "ctrl+i"',
            "line 2: Tab is the key of scope in [picker]: give tag or scope another one",
        ),
        ('# mine\n[list]\ntag = "f8"', "line 2: list is neither [picker] nor [reader]"),
        ('tag = "f8"', "line 1: tag is neither [picker] nor [reader]"),
        ('[picker]\ntag = "f8', "line 2: "),
        ('[picker]\ntag = "f8"\ntag = "f9"', "line 3: "),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_line(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(InvalidKeys) as caught:
        _read(tmp_path, text)
    path = tmp_path / "keys.toml"
    assert str(caught.value).startswith(f"the key file {path} cannot be used: {problem}")
    found = outcome(caught.value)
    assert (found.status, found.kind) == (2, "invalid_keys")
    assert "threadkeep help browsing" in found.hint


def test_a_file_that_cannot_be_read_is_an_error_and_none_is_no_keys(tmp_path: Path) -> None:
    assert own_keys(tmp_path / "none") == {}
    with pytest.raises(InvalidKeys, match="it is a folder"):
        own_keys(tmp_path)
    (tmp_path / "latin").write_bytes(b"# \xe9")
    with pytest.raises(InvalidKeys, match="utf-8"):
        own_keys(tmp_path / "latin")


def test_the_file_is_in_the_folder_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert keys_file() == Path("/home/me/.config/threadkeep/keys.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/mine")
    assert keys_file() == Path("/etc/mine/threadkeep/keys.toml")


def test_keys_are_written_as_people_write_them() -> None:
    keys = ["ctrl+t", "pageup", "J", "?", "f1", "ctrl+home", "alt+r", "space", "+", "ctrl+shift+up"]
    wanted = "Ctrl+T PgUp J ? F1 Ctrl+Home Alt+R Space + Ctrl+Shift+Up"
    assert " ".join(map(shown, keys)) == wanted


@pytest.mark.parametrize("place", get_args(Place))
def test_the_line_of_keys_fits_and_has_the_important_ones(place: Place) -> None:
    for width in (20, 40, 80, 200):
        line = line_of(place, {}, width).plain
        assert cell_len(line) <= width
    assert "keys" in line_of(place, {}, 30).plain
    assert "Esc" in line_of(place, {}, 30).plain
    own = {"picker.keys": ("f12",), "picker.open": (), "reader.keys": ("f12",)}
    assert "F12 keys" in line_of(place, own, 80).plain
    assert "Enter" not in line_of(place, own, 80).plain


def test_the_line_of_keys_says_what_enter_does_just_now() -> None:
    assert line_of("picker", {}, 80).plain.startswith("Enter read  ")
    assert line_of("picker", {}, 80, {"open": "pick"}).plain.startswith("Enter pick  ")


@pytest.mark.parametrize("place", get_args(Place))
def test_the_screen_of_keys_has_all_of_them(place: Place) -> None:
    own = {f"{place}.back": ("f12",), f"{place}.up": ()}
    text = help_text(place, own).plain
    for action in actions_of(place):
        keys = ", ".join(map(shown, own.get(action.id, action.keys)))
        assert (f"  {keys}  " in text and action.help in text) == bool(keys), action
    assert max(map(cell_len, text.splitlines())) <= 70


def test_the_screen_of_keys_scrolls_and_closes() -> None:
    async def look() -> None:
        app = _Pressed({})
        app.animation_level = "none"  # each scroll would take a second
        async with app.run_test(size=(80, 24)) as pilot:
            for key in ("escape", "q", "question_mark", "f1"):
                screen = HelpScreen("picker", {})
                await app.push_screen(screen)
                await pilot.pause()
                box = screen.query_one("VerticalScroll")
                assert app.screen.region.contains_region(box.region)
                assert box.max_scroll_y > 0
                await pilot.press("end")
                await pilot.pause()
                assert box.scroll_target_y == box.max_scroll_y
                await pilot.press(key)
                assert app.screen is not screen

    asyncio.run(look())


@pytest.mark.parametrize("place", get_args(Place))
def test_the_page_of_docs_has_all_keys(place: Place) -> None:
    page = (ROOT / "docs" / "browsing.md").read_text("utf-8")
    for action in actions_of(place):
        keys = ", ".join(f"`{shown(key)}`" for key in action.keys)
        assert f"\n| {keys} | `{action.name}` | {action.help} |\n" in page


def test_the_file_of_the_page_of_docs_can_be_used(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "browsing.md").read_text("utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    assert _read(tmp_path, example)["picker.archive"] == ("ctrl+x", "delete")
