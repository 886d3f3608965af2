"""Texts as searches compare them, and terms to look for in them.

A *casefolded* text has no case, no accents in any script, base letters for letters with strokes,
the usual forms for compatibility forms, and nothing invisible: format characters, such as soft
hyphens, and escape sequences of terminals. A *normalized* text, which the trigram index holds, also
has blanks for punctuation, so that a term has the same trigrams whatever stands beside it, and
blanks around each character of scripts without blanks and around symbols, so that one or two of
them make a trigram. A normalized text contains each normalized term that it matches: the index
gives candidates, and :class:`Matcher` decides.
"""

import re
import unicodedata
from contextlib import suppress
from functools import cache
from typing import Final

_SPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u318f\u31a0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Scripts that are written without blanks, and Hangul: Thai to Burmese, Khmer, kana, Han."""
_SIGNS: Final = (
    "\u07a6-\u07b0\u0900-\u0963\u0981-\u09e3\u0a01-\u0a75\u0a81-\u0ae3\u0afa-\u0b63\u0b82-\u0bd7"
    "\u0c00-\u0c63\u0c81-\u0c83\u0cbe-\u0d4d\u0d57-\u0d63\u0d81-\u0df3\u0f3e-\u0f84\u0f8d-\u0fbc"
    "\u1712-\u1734\u1752-\u1773"
    "\u1885-\u1886\u1920-\u1938\u1a19-\u1a1b\u1a55-\u1a74\u1b00-\u1b44\u1b80-\u1bf3\u1c24-\u1c36"
    "\u1ce1-\u1cf7\u2d7f\ua802-\ua827\ua82c\ua880-\ua8c5\ua8ff-\ua92a\ua947-\ua953\ua980-\ua9c0"
    "\ua9e5-\uaa4d\uaa7b-\uaa7d\uaaeb-\uaaef\uaaf5-\uaaf6\uabe3-\uabea\uabec-\uabed"
)
"""Vowel signs and the like, with letters between them: parts of words that ``\\w`` lacks."""
_ACCENTS: Final = frozenset({1, 7, *range(10, 37), 107, 122, *range(200, 241)})
"""Combining classes of accents, points and tone marks: what people leave out. Not of vowel signs
(0, 84, 91, 103, 118, 129, 130, 132), of marks that join consonants (9), of the voicing of kana (8).
"""
_VARIANTS: Final = re.compile("[\u034f\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_WITH: Final = re.compile(r"((?:LATIN|CYRILLIC) SMALL LETTER .+?) WITH .+")
_BASES: Final = {
    "æ": "ae",
    "œ": "oe",
    "ð": "d",
    "þ": "th",
    "ı": "i",
    "ȷ": "j",
    "ʉ": "u",
    "ɵ": "o",
    "ө": "о",
    "\u0671": "\u0627",  # alef with wasla
    "\u0640": "",  # the stroke that makes Arabic words longer
}
"""Letters whose base letters do not follow from their names."""
ESCAPE_SEQUENCE: Final = re.compile(
    r"\x1b(?:\[(?:[0-?]*[ -/]*[@-~]|[0-?]*)|[\]PX^_][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|[78=>DEHMNOZc]|[#%(-/][0-~]| [FGLMN])?"
)
"""An escape sequence: with parameters, with a text to its end, or a short one."""


class _Casefolded(dict[int, str]):
    def __missing__(self, code: int) -> str:
        letter = chr(code)
        if unicodedata.category(letter) == "Cf":
            letter = ""
        else:
            bare = _without_accents(unicodedata.normalize("NFKD", letter))
            letter = "".join(map(_base, _without_accents(bare.casefold())))
        self[code] = letter
        return letter


def _without_accents(text: str) -> str:
    return "".join(
        each
        for each in text
        if unicodedata.combining(each) not in _ACCENTS
        and unicodedata.category(each) != "Me"
        and not _VARIANTS.match(each)
    )


def _base(letter: str) -> str:
    """The letter without its stroke or hook: what its name says before ``WITH``."""
    if letter in _BASES:
        return _BASES[letter]
    described = _WITH.fullmatch(unicodedata.name(letter, ""))
    if described:
        with suppress(KeyError):
            return unicodedata.lookup(described[1])
    return letter


@cache
def is_word(letter: str) -> bool:
    """Whether a letter, which may be missing, is part of words."""
    if letter.isascii():
        return letter.isalnum() or letter == "_"
    # Compiled when it is needed: so many ranges take longer than most searches.
    return re.match(rf"[^\W{_SPACED}]|[{_SIGNS}]", letter) is not None


class _Normalized(dict[int, str]):
    def __missing__(self, code: int) -> str:
        letter = chr(code)
        if is_word(letter):
            shown = letter
        elif code > 0x7F and (
            unicodedata.category(letter)[0] in "LMNS" or re.match(f"[{_SPACED}]", letter)
        ):
            shown = f" {letter} "
        else:
            shown = " "
        self[code] = shown
        return shown


CASEFOLDED: Final = _Casefolded()
NORMALIZED: Final = _Normalized()
_ASCII: Final = bytes(ord(NORMALIZED[code]) for code in range(128)).ljust(256)


def without_escapes(text: str) -> str:
    """``text`` without escape sequences of terminals and their parameters."""
    return ESCAPE_SEQUENCE.sub("", text) if "\x1b" in text else text


def casefold(text: str) -> str:
    """``text`` without case, accents and invisible characters. Each letter is mapped by itself;
    only escape sequences of terminals depend on what surrounds them."""
    text = without_escapes(text)
    return text.lower() if text.isascii() else text.translate(CASEFOLDED)


def normalize(casefolded: str) -> str:
    """A casefolded text as the index holds it, with a blank at both ends."""
    if casefolded.isascii():
        text = casefolded.encode().translate(_ASCII).decode()
    else:
        text = casefolded.translate(NORMALIZED)
    return f" {' '.join(text.split())} "
