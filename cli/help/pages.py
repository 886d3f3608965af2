"""The pages of docs/, which are shown as topics of help. They are in the wheel, too."""

import re
from io import StringIO
from pathlib import Path
from typing import Final

from cli.errors import WrongUsage
from cli.help.table import HELP
from cli.terminal.drawing import console, markdown

_FOLDERS: Final = (Path(__file__).parents[1] / "docs", Path(__file__).parents[2] / "docs")
"""Where they are: as a wheel is installed, and in a checkout."""
TASKS: Final = ("find", "browsing", "spending", "space", "picker", "share", "trouble")
"""The pages about what somebody wants to do, which come first."""
_WIDEST: Final = 100
_PAGE_LINK: Final = re.compile(r"\[([^\]]+)\]\(([\w-]+)\.md(?:#[\w-]*)?\)")
_IMAGE: Final = re.compile(r"!\[[^\]]*\]\([^)\s]*\)\n*")
_OTHER_LINK: Final = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)\s]*\)")


def topics() -> dict[str, str]:
    """The topics with their titles; none if the pages are not installed."""
    return {_topic(name): _title(path) for name, path in _pages().items()}


def page(topic: str) -> str:
    """The page of a topic, as Markdown.

    Raises:
        WrongUsage: there is no such topic.
    """
    if topic not in map(_topic, pages := _pages()):
        raise WrongUsage(f"there is no topic {topic!r}", "threadkeep help lists them")
    return pages[topic.removesuffix(".md")].read_text("utf-8")


def rendered(text: str, columns: int) -> str:
    """A page for a terminal. Links to other pages become the commands that show them."""
    drawn = StringIO()
    text = _OTHER_LINK.sub(r"\1", _PAGE_LINK.sub(_command, _IMAGE.sub("", text)))
    console(drawn, min(columns, _WIDEST)).print(markdown()(text, "none"))
    return "".join(f"{line.rstrip()}\n" for line in drawn.getvalue().splitlines())


def _command(link: re.Match[str]) -> str:
    command = f"`threadkeep help {_topic(link[2])}`"
    if link[1].removesuffix(".md") == link[2]:
        return command
    return f"{link[1]} ({command})" if link[2] in TASKS else link[1]


def _topic(name: str) -> str:
    """What a page is called: by its name, with ``.md`` if a command has the same one."""
    return f"{name}.md" if name in HELP else name


def _pages() -> dict[str, Path]:
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), None)
    found = {path.stem: path for path in sorted(folder.glob("*.md"))} if folder else {}
    return {name: found[name] for name in [*TASKS, *found] if name in found}


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        return next(lines, "").removeprefix("#").strip()
