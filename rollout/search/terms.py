"""The terms of a search, and where they stand in a text."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from rollout.search.normalize import (
    CASEFOLDED,
    ESCAPE_SEQUENCE,
    NORMALIZED,
    casefold,
    is_word,
    normalize,
    without_escapes,
)

_ENOUGH: Final = 8
"""A term of up to so many letters has all its trigrams; a longer one every second or third."""
_LOOSENED: Final = 4
"""Shorter words begin too many others."""
_BEFORE: Final = re.compile(r"^['`(\[{<¿¡]+(?=\w)")
_BEHIND: Final = ".,;:!?…'`。？！、，"
_PAIRS: Final = {")": "(", "]": "[", "}": "{", ">": "<"}
"""What stands around a word of a sentence and does not belong to it."""
_HAN_OR_KANA: Final = re.compile(
    "[\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_RUNS: Final = re.compile(f"{_HAN_OR_KANA.pattern}+|(?:(?!{_HAN_OR_KANA.pattern})\\w)+")
_VOICED: Final = re.compile(".[\u3099\u309a]*")
_PLURAL: Final = re.compile(r"((?<=[sxz])e|(?<=[cs]h)e|(?<=[^s]))s$")
_PLAIN: Final = re.compile(r'[^\x00-\x20"\\/\x7f]*')
"""What JSON has as it is."""
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
    def loosened(self) -> "tuple[Term, ...]":
        """The term with any ending, if it is a word of some length, without the *s* of a plural:
        ``cursors`` finds ``cursor``, ``keyset`` finds ``keysets``. Han and kana, which are written
        without blanks, are taken apart, two letters at a time."""
        word = self.pieces[0]
        if len(self.pieces) > 1 or not self.ends:
            return (self,)
        if _HAN_OR_KANA.search(word):
            runs = [match[0] for match in _RUNS.finditer(word)]
            parts = [part for run in runs for part in (_pairs(run) or [run])]
            return tuple(Term((part,), True, False) for part in dict.fromkeys(parts))
        if len(word) < _LOOSENED or not word.isalpha():
            return (self,)
        singular = _PLURAL.sub("", word)
        return (Term((singular if len(singular) >= _LOOSENED else word,), self.begins, False),)

    @property
    def pattern(self) -> str:
        """A regular expression for casefolded text; :meth:`fits` decides. It knows the words of
        ASCII alone, as those of other scripts take milliseconds to compile."""
        front = "(?<![0-9a-z_])" if self.begins and is_word(self.pieces[0][0]) else ""
        back = "(?![0-9a-z_])" if self.ends and is_word(self.pieces[-1][-1]) else ""
        return front + r"\s+".join(map(re.escape, self.pieces)) + back

    def fits(self, before: str, after: str) -> bool:
        """Whether it may stand between two letters, either of which may be missing."""
        if self.begins and is_word(self.pieces[0][0]) and is_word(before):
            return False
        last = self.pieces[-1][-1]
        # Hangul is compared by its parts, as some systems write it: 하 does not end within 한.
        if "\u1100" <= last <= "\u11a7":
            return not "\u1160" <= after <= "\u11ff"
        return not (self.ends and is_word(last) and is_word(after))

    @property
    def normalized(self) -> str:
        """What is in every normalized text that matches."""
        shown = re.sub(" +", " ", " ".join(self.pieces).translate(NORMALIZED))
        if self.begins and is_word(self.pieces[0][0]):
            shown = " " + shown
        if self.ends and is_word(self.pieces[-1][-1]):
            shown += " "
        return shown

    def trigrams(self) -> list[str]:
        """Trigrams of every normalized text that matches; none if the term is too short.

        They cover the term together, and overlap in a short one, which has few to exclude texts
        with (of 20,000 threads 2,804 have those that cover ``file``, and 984 all four).
        """
        shown = self.normalized
        if len(shown) < 3:
            return []
        step = min(-(-len(shown) // _ENOUGH), 3)
        starts = (*range(0, len(shown) - 3, step), len(shown) - 3)
        found = dict.fromkeys(shown[start : start + 3] for start in starts)
        return [piece for piece in found if piece.strip()]


def terms_of(query: str) -> list[Term]:
    """The terms of a query: words and ``"phrases"``, either with a ``*``
    behind it for any ending. None if none has a letter, a digit or a symbol: a search for
    punctuation would have to read everything."""
    matches = _QUERY.finditer(query)
    found = [_term(match[2] if match[1] is None else match[1].strip()) for match in matches]
    terms = list(dict.fromkeys(term for term in found if term is not None))
    return terms if any(normalize(piece).strip() for term in terms for piece in term.pieces) else []


def sentence_terms(text: str) -> list[Term]:
    """The terms of a query as people ask it, without the punctuation around its words."""
    return terms_of(_QUERY.sub(lambda match: _bare(match[0]), text))


def _bare(word: str) -> str:
    if word.startswith('"'):
        return word
    begun = _BEFORE.sub("", word)
    ended = begun.rstrip(_BEHIND)
    while ended and _PAIRS.get(ended[-1], ended) not in ended:  # not in f(x)
        ended = ended[:-1].rstrip(_BEHIND)
    return ended


def _pairs(run: str) -> list[str]:
    """Each two letters of a run of Han or kana, with their voicing; none of other runs."""
    if not _HAN_OR_KANA.match(run):
        return []
    letters = _VOICED.findall(run)
    return ["".join(letters[at : at + 2]) for at in range(len(letters) - 1)]


def _term(text: str) -> Term | None:
    start = text.rstrip("*")
    open_end = start != text and start != "" and not start[-1].isspace()
    return Term.of(start if open_end else text, begins=True, ends=not open_end)


class Matcher:
    """Finds some terms in texts."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self.terms = tuple(terms)
        self._patterns = [
            re.compile(term.pattern) if len(term.pieces) > 1 else None for term in terms
        ]
        """Of those with several pieces; others are found ten times as fast without."""
        self._needed = [max(term.pieces, key=len) for term in terms]
        self._plain = [max(_PLAIN.findall(piece), key=len).encode() for piece in self._needed]

    def found_in(self, casefolded: str) -> set[int]:
        """Which of the terms occur in a casefolded text."""
        return {
            number
            for number, needed in enumerate(self._needed)
            if needed in casefolded and self._next(number, casefolded, 0)
        }

    def _next(self, number: int, casefolded: str, at: int) -> tuple[int, int, int] | None:
        """Where a term is in a text from a letter on: its begin, its number and its end."""
        fits, pattern = self.terms[number].fits, self._patterns[number]
        if pattern is None:
            piece = self._needed[number]
            start, length = casefolded.find(piece, at), len(piece)
            while start >= 0:
                end = start + length
                if fits(casefolded[start - 1 : start], casefolded[end : end + 1]):
                    return start, number, end
                start = casefolded.find(piece, start + 1)
            return None
        while match := pattern.search(casefolded, at):
            start, end = match.span()
            if fits(casefolded[start - 1 : start], casefolded[end : end + 1]):
                return start, number, end
            at = start + 1
        return None

    def _places(self, casefolded: str) -> Iterator[tuple[int, int]]:
        """Where terms are, in order, without overlaps."""
        ahead = [self._next(number, casefolded, 0) for number in range(len(self.terms))]
        while found := min(filter(None, ahead), default=None):
            start, _, end = found
            yield start, end
            for number, place in enumerate(ahead):
                if place is not None and place[0] < end:
                    ahead[number] = self._next(number, casefolded, end)

    def may_be_in(self, line: bytes) -> bool:
        """Whether a text in a line of JSON may hold one of the terms, by a quick look."""
        # Letters that are casefolded to others, invisible ones and escape sequences.
        if not line.isascii() or b"\\u" in line or b"\x1b" in line:
            return True
        line = line.lower()
        for piece in self._plain:  # noqa: SIM110 - any() with a generator takes twice as long
            if piece in line:
                return True
        return False

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """The spans of terms in ``text`` as written, in order, without overlaps."""
        if "\x1b" in text:
            left, at = list[int](), 0
            for sequence in ESCAPE_SEQUENCE.finditer(text):
                left += range(at, sequence.start())
                at = sequence.end()
            left += range(at, len(text))
            for start, end in self.spans(without_escapes(text)):
                yield left[start], left[end - 1] + 1
            return
        casefolded = casefold(text)
        if text.isascii():
            yield from self._places(casefolded)
            return
        starts = [0, *accumulate(len(CASEFOLDED[ord(letter)]) for letter in text)]
        at = 0
        for first, end in self._places(casefolded):
            if first < starts[at]:
                continue  # another match within one letter
            while starts[at + 1] <= first:
                at += 1
            begin = at
            while starts[at] < end:
                at += 1
            yield begin, at
