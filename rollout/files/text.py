"""Text that can be stored everywhere, and shown in a line: not all that JSON, names of files and
arguments give can."""

import os
import re
import unicodedata
from typing import Final

# Escape sequences: with parameters, complete or cut off; texts such as titles, up to their end; and
# short ones. Their 8-bit forms also come from letters decoded in the wrong encoding, so one of them
# begins a text only if that has an end.
ESCAPE_SEQUENCE: Final = (
    r"(?:\x1b\[|\x9b)(?:[0-?]*[ -/]*[@-~]|[0-?]*)"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|[\x9d\x90\x98\x9e\x9f][^\x07\x1b\x90\x98\x9c-\x9f\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b(?:[78=>DEHMNOZc]|[#%(-/][0-~]| [FGLMN])?"
)
# Control, format (these can change the writing direction), surrogate, private, unassigned. Joiners
# in emoji are format characters too; without them an emoji falls apart.
UNPRINTED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
# Accents and variants, and the modifiers that give emoji their colour.
_PUT_ON: Final = frozenset({"Mn", "Mc", "Me", "Sk"})


def storable_text(text: str) -> str:
    """``text`` without lone surrogates, which SQLite, pydantic and files in UTF-8 do not take."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def is_storable(text: str) -> bool:
    """Whether ``text`` has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable_path(path: str) -> str:
    """A path or an argument for people: bytes that are not UTF-8 become question marks."""
    return os.fsencode(path).decode(errors="replace")


def one_line(text: str) -> str:
    """``text`` on one line, safe for a terminal: without escape sequences, control characters and
    runs of blanks."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    return " ".join(printed(re.sub(ESCAPE_SEQUENCE, "", text)).split())


def shortened(text: str, most: int) -> str:
    """A line in at most so many characters, with … where it is cut, which is never between a letter
    and its accent."""
    if len(text) <= most:
        return text
    end = most - 1
    while end and unicodedata.category(text[end]) in _PUT_ON:
        end -= 1
    return f"{text[: end or most - 1].rstrip()}…"


def printed(text: str) -> str:
    """``text`` without what a terminal does not print, each kind of white space as a blank."""
    return "".join(
        " " if character.isspace() else character
        for character in text
        if character.isspace() or unicodedata.category(character) not in UNPRINTED
    )
