"""A text with what could steer a terminal, and what is left of it in an output."""

import re
import unicodedata

STYLE = re.compile(r"\x1b\[[0-9;]*m")
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-9]|4[0-9]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")
HOSTILE = (
    "see \x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b31m \u202egnp.exe\u202c \u2066x\u2069"
    " bell\x07 back\x08\x08 nul\x00 tab\there\nline two\r\u2028three \ue000 é ünï 日本語"
)


def hostile_characters(text: str) -> set[str]:
    """Characters that change how a terminal shows a text."""
    plain = STYLE.sub("", text).replace("\r\n", "\n")
    return {
        character
        for character in plain
        if character != "\n" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl")
    }
