"""A thread as Markdown, in one file.

Texts of users and tools go into code blocks with fences longer than any in them. Texts of agents
are Markdown already and are quoted. So everything outside quotations is ours.
"""

import re
from collections.abc import Iterator
from typing import Final

from cli.render.blocks.block import Block, Form, Role
from cli.render.markdown_quote import quoted
from cli.render.reading import Reading
from cli.render.text import turn_line
from cli.terminal.text import one_line, plural

_TICKS: Final = re.compile(r"`+")
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~!&$])")


def markdown(reading: Reading) -> Iterator[str]:
    """The Markdown of a thread, in pieces."""
    yield f"# {escaped(reading.title)}\n\n"
    for fact in reading.facts():
        yield f"- {escaped(fact)}\n"
    for warning in reading.warnings():
        yield f"\n> {escaped(warning)}\n"
    for turn in reading.turns():
        yield f"\n## {escaped(turn_line(turn))}\n"
        for shown in turn.blocks:
            yield from _block(shown)


def escaped(text: str) -> str:
    """A line of text, escaped for Markdown."""
    return _SPECIAL.sub(r"\\\1", one_line(text))


def fenced(text: str, language: str = "") -> str:
    """A code block with this text, whatever backticks are in it."""
    longest = max((len(run) for run in _TICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}\n"


def inline(text: str) -> str:
    """A code span with this line, whatever backticks are in it."""
    longest = max((len(run) for run in _TICKS.findall(text)), default=0)
    ticks = "`" * (longest + 1)
    room = " " if text.startswith(("`", " ")) or text.endswith(("`", " ")) else ""
    return f"{ticks}{room}{text}{room}{ticks}" if text else ""


def _block(shown: Block) -> Iterator[str]:
    state = f" ({escaped(shown.state)})" if shown.state else ""
    if shown.command:
        yield f"\n**command**{state}\n\n{fenced(f'$ {shown.title}', 'sh')}"
    else:
        yield f"\n**{escaped(shown.title) or shown.role}**{state}\n"
    if shown.text:
        yield f"\n{_body(shown)}"
    for picture in shown.pictures:
        label = escaped(picture.label)
        yield f"\n![{label}]({picture.url})\n" if picture.url else f"\n\\[image: {label}\\]\n"


def _body(shown: Block) -> str:
    text = shown.text
    if shown.form is Form.MARKDOWN:
        said = quoted(text) or fenced(text, "markdown")
        if shown.role is Role.REASONING:
            return f"<details><summary>reasoning</summary>\n\n{said}\n</details>\n"
        return said
    if shown.form is Form.DIFF:
        return fenced(text, "diff")
    if shown.form is Form.OUTPUT:
        count = plural(text.count("\n") + 1, "line")
        return f"<details><summary>{count}</summary>\n\n{fenced(text)}\n</details>\n"
    return fenced(text, "text")
