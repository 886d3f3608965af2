"""``threadkeep help``."""

from typing import Annotated, Any

import typer

from cli import __version__, errors
from cli.arguments.options import PagerOption
from cli.terminal import output
from cli.terminal.pager import sink


def command(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND|TOPIC", help="What to show. [default: what there is]"),
    ] = None,
    pager: PagerOption = True,
) -> int:
    """Show the help of a command, or the page of a topic; without words, list both. `threadkeep
    help man` prints the man page."""
    root = context.find_root()
    text = _help(root, words or [])
    with sink(paged=pager) as put:
        put(text)
    return errors.OK


def _help(root: Any, words: list[str]) -> str:
    from cli.help import pages
    from cli.help.layout import everything, topic_list
    from cli.help.man import man_page
    from cli.help.table import ENTRIES
    from cli.help.usage import similar

    if not words:
        return f"{everything(root)}\n\n{topic_list(root, pages.topics())}\n"
    name = " ".join(words)
    if name in ENTRIES:
        found = root
        for word in words:
            inner = found.command.commands[word]
            found = inner.make_context(word, [], parent=found, resilient_parsing=True)
        return f"{found.get_help()}\n"
    if words == ["man"]:
        return man_page(root, __version__)
    topics = pages.topics()
    if name not in topics:
        close = similar(name, [*ENTRIES, *topics])
        hint = f"did you mean {close}? " if close else ""
        raise errors.WrongUsage(
            f"there is no command or topic {name!r}", f"{hint}threadkeep help lists them"
        )
    page = pages.page(name)
    return pages.rendered(page, output.width()) if output.on_terminal() else page
