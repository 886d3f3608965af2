"""The terms of a search, and where they stand in a text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from rollout.search.normalize import (
    CASEFOLDED,
    ESCAPE_SEQUENCE,
    IS_WORD,
    NORMALIZED,
    WORD,
    casefold,
    normalize,
    without_escapes,
)

_ENOUGH: Final = 8
"""So many letters a trigram each, or a step more."""


_OPEN_SYLLABLE: Final = re.compile("[\u1100-\u11a7]\\Z")


_REST_OF_SYLLABLE: Final = "[\u1160-\u11ff]"
"""Hangul is compared by its parts, as some systems write it: 하 does not end within 한."""


_QUERY: Final = re.compile(r'"([^"]*)(?:"|$)|([^\s"]+)')


@dataclass(frozen=True, slots=True)
class Term:
    """One thing to look for: ``pieces`` with any blanks between them."""

    pieces: tuple[str, ...]
    """Casefolded; none is empty."""
    begins: bool
    """Whether it begins where a word does ..."""
    ends: bool
    """... and ends where one does."""

    @classmethod
    def of(cls, text: str, *, begins: bool = False, ends: bool = False) -> "Term | None":
        """The term for a text; None if it is blank."""
        pieces = tuple(casefold(text).split())
        return cls(pieces, begins, ends) if pieces else None

    @property
    def pattern(self) -> str:
        """A regular expression for folded text."""
        middle = r"\s+".join(map(re.escape, self.pieces))
        front = rf"(?<!{WORD})" if self.begins and IS_WORD.match(self.pieces[0]) else ""
        back = rf"(?!{WORD})" if self.ends and IS_WORD.match(self.pieces[-1][-1]) else ""
        if _OPEN_SYLLABLE.search(self.pieces[-1]):
            back = f"(?!{_REST_OF_SYLLABLE})"
        return front + middle + back

    def trigrams(self) -> list[str]:
        """Trigrams that the letters of every text have that matches; none if that tells nothing.

        They cover the term together, and overlap in a short one, which has few to exclude texts
        with (of 20,000 threads 2,804 have those that cover ``file``, and 984 all four).
        """
        shown = re.sub(" +", " ", " ".join(self.pieces).translate(NORMALIZED))
        if self.begins and IS_WORD.match(self.pieces[0]):
            shown = " " + shown
        if self.ends and IS_WORD.match(self.pieces[-1][-1]):
            shown += " "
        if len(shown) < 3:
            return []
        step = min(-(-len(shown) // _ENOUGH), 3)
        starts = (*range(0, len(shown) - 3, step), len(shown) - 3)
        found = dict.fromkeys(shown[start : start + 3] for start in starts)
        return [piece for piece in found if piece.strip()]


def terms_of(query: str) -> list[Term]:
    """The terms of a query: words and ``"phrases"``, both of which may go on where a ``*`` stands
    behind them. None if none of them has a letter, a digit or a symbol: all there is would have
    to be read for punctuation."""
    matches = _QUERY.finditer(query)
    found = [_term(match[2] if match[1] is None else match[1].strip()) for match in matches]
    terms = list(dict.fromkeys(term for term in found if term is not None))
    return terms if any(normalize(piece).strip() for term in terms for piece in term.pieces) else []


def _term(text: str) -> Term | None:
    start = text.rstrip("*")
    open_end = start != text and start != "" and not start[-1].isspace()
    return Term.of(start if open_end else text, begins=True, ends=not open_end)


class Matcher:
    """Looks for some terms in texts."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self.terms = tuple(terms)
        self._each = [re.compile(term.pattern) for term in terms]
        self._any = re.compile("|".join(f"(?:{term.pattern})" for term in terms))
        self._needed = [max(term.pieces, key=len) for term in terms]

    def found_in(self, casefolded: str) -> set[int]:
        """Which of the terms occur in a folded text."""
        return {
            number
            for number, pattern in enumerate(self._each)
            if self._needed[number] in casefolded and pattern.search(casefolded)
        }

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where terms are in ``text``, as it was written, in order and apart."""
        if "\x1b" in text:
            left, place = list[int](), 0
            for sequence in ESCAPE_SEQUENCE.finditer(text):
                left += range(place, sequence.start())
                place = sequence.end()
            left += range(place, len(text))
            for start, end in self.spans(without_escapes(text)):
                yield left[start], left[end - 1] + 1
            return
        casefolded = casefold(text)
        if text.isascii():
            yield from (match.span() for match in self._any.finditer(casefolded))
            return
        starts = [0, *accumulate(len(CASEFOLDED[ord(letter)]) for letter in text)]
        place = 0
        for match in self._any.finditer(casefolded):
            if match.start() < starts[place]:
                continue  # a second one in what one letter stands for
            while starts[place + 1] <= match.start():
                place += 1
            begin = place
            while starts[place] < match.end():
                place += 1
            yield begin, place
