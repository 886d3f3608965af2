"""How wide text is on a terminal, in cells, and how it is cut and wrapped to fit."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cli.terminal.text import one_line, one_line_marked

_UNSETTLED: Final = dict.fromkeys((0xFE0E, 0xFE0F, *range(0x1F3FB, 0x1F400)))
"""Variants and colours of emoji. Some terminals draw an emoji wider for them, some do not."""
_LEAST_KEPT: Final = 0.6
"""How much of the room a cut at the end of a word has to fill."""
_LEAST_AROUND: Final = 4
"""Half of the room for what is around a mark; less shows the start of the line."""
_BLOCKS: Final = " ▏▎▍▌▋▊▉█"


def settled(text: str) -> str:
    """``text`` on one line, safe for a terminal, and without what terminals disagree about the
    width of: joined emoji stand side by side."""
    text = one_line(text)
    return text if text.isascii() else text.translate(_UNSETTLED)


def steady(text: str) -> str:
    """``text`` without what terminals disagree about the width of, its blanks as they are."""
    return text if text.isascii() else text.translate(_UNSETTLED)


def settled_pieces(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[str, bool]]:
    """A snippet as :func:`settled`, in pieces, each with whether it is one of ``spans``; with ``…``
    where it is cut."""
    pieces = [(part.translate(_UNSETTLED), marked) for part, marked in one_line_marked(text, spans)]
    first, last = pieces[0][0], pieces[-1][0]
    if first.startswith("... "):
        pieces[0] = (f"…{first[4:]}", False)
    if last.endswith(" ..."):
        pieces[-1] = (f"{pieces[-1][0][:-4]}…", False)
    return pieces


def cells(text: str) -> int:
    """How many cells a line takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, room: int) -> str:
    """A line in at most ``room`` cells: what is longer ends at the end of a word, if one is near,
    and with ``…``."""
    if cells(text) <= room:
        return text
    kept = _start(text, room - 1)
    if text[len(kept)] != " ":
        word_end = kept.rfind(" ")
        if word_end > 0 and cells(kept[:word_end]) >= room * _LEAST_KEPT:
            kept = kept[:word_end]
    return f"{kept.rstrip(' ,;:')}…" if room > 0 else ""


def cut_folder(text: str, room: int) -> str:
    """A folder in at most ``room`` cells: what is longer begins with ``…``, and with a whole name
    if the last one fits. Its end tells it from others."""
    if cells(text) <= room:
        return text
    names = text.split("/")
    for place in range(1, len(names)):
        end = "/".join(["…", *names[place:]])
        if names[place] and cells(end) <= room:
            return end
    return f"…{_end(text, room - 1)}" if room > 0 else ""


def _start(text: str, room: int) -> str:
    """As much of the start as fits, with all accents of its last letter."""
    if text.isascii():
        return text[: max(room, 0)]
    taken = 0
    for place, character in enumerate(text):
        taken += cells(character)
        if taken > room:
            return text[:place]
    return text


def _end(text: str, room: int) -> str:
    """As much of the end as fits."""
    if room <= 0:
        return ""
    if text.isascii():
        return text[-room:]
    place = len(text)
    while place and cells(text[place - 1 :]) <= room:
        place -= 1
    while place < len(text) and not cells(text[place]):  # an accent without its letter
        place += 1
    return text[place:]


def around(pieces: Sequence[tuple[str, bool]], room: int) -> list[tuple[str, bool]]:
    """The pieces of a line, each with whether it is marked, in at most ``room`` cells: of a longer
    line what is around the first mark, with ``…`` where it is cut."""
    text = "".join(piece for piece, _ in pieces)
    if cells(text) <= room:
        return list(pieces)
    first = 0
    for piece, marked in pieces:
        if marked:
            break
        first += len(piece)
    else:
        first = 0
    begin = 0
    if cells(text[:first]) > room // 2 > _LEAST_AROUND:
        begin = first - len(_end(text[:first], room // 3))
        begin = min(begin, len(text) - len(_end(text, room - 1)))
        space = text.find(" ", begin, first)
        begin = begin if space < 0 else space + 1
    shown = cut(text[begin:], room - bool(begin))
    end = begin + len(shown) - shown.endswith("…")
    found: list[tuple[str, bool]] = [("…", False)] if begin else []
    place = 0
    for piece, marked in pieces:
        part = piece[max(begin - place, 0) : max(end - place, 0)]
        if part:
            found.append((part, marked))
        place += len(piece)
    return [*found, ("…", False)] if end < len(text) else found


def wrapped(text: str, room: int, indent: str = "") -> Iterator[str]:
    """The lines of a sentence, cut between words; all but the first begin with ``indent``. A word
    that is too long for a line has one of its own."""
    line = ""
    for word in text.split(" "):
        if line.strip() and cells(line) + 1 + cells(word) > room:
            yield line
            line = indent + word
        else:
            line = f"{line} {word}" if line else word
    yield line


def labelled(lines: Iterable[tuple[str, str]], label_width: int, room: int | None) -> Iterator[str]:
    """Lines with a label each; what is longer than ``room``, if there is a limit, goes on below the
    text."""
    for label, text in lines:
        pieces = [text] if room is None else wrapped(text, room - label_width - 1)
        for piece in pieces:
            yield f"{label:<{label_width}} {piece}"
            label = ""


def fitted(text: str, room: int | None) -> str:
    """Sentences in lines of at most ``room`` cells, those that go on indented more than they begin;
    None for any."""
    if room is None:
        return text
    lines: list[str] = []
    for part in text.split("\n"):
        sentence = part.lstrip(" ")
        indent = " " * (len(part) - len(sentence))
        lines += (indent + line for line in wrapped(sentence, room - len(indent), "  "))
    return "\n".join(lines)


def bar(part: float, whole: float, room: int, *, blocks: bool) -> str:
    """A bar of at most ``room`` cells, as long as ``part`` is of ``whole``; of number signs where
    the terminal has no ``blocks``."""
    if not whole or part <= 0:
        return ""
    share = min(part / whole, 1)
    if not blocks:
        return "#" * round(room * share)
    eighths = round(room * 8 * share)
    return (_BLOCKS[8] * (eighths // 8) + _BLOCKS[eighths % 8]).rstrip()
