"""What the list is to show, by what is typed into the search box."""

from dataclasses import dataclass, replace

from cli.filter.language import Known, parse
from rollout.search.terms import Term, terms_of
from state.errors import StateError
from state.query.model import LARGEST_PAGE, Query


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the list is to show."""

    query: Query
    """With the words that titles are to have."""
    text: str = ""
    """What was typed."""
    terms: tuple[Term, ...] = ()
    """What messages are to have."""
    unwanted: tuple[Term, ...] = ()
    """What they are not to have."""
    problem: str = ""
    """What cannot be understood of the text."""
    file: str = ""
    """A part of the path of a file that threads are to have changed."""

    @property
    def words(self) -> tuple[str, ...]:
        """What is highlighted in titles."""
        return self.query.words

    @property
    def among(self) -> Query:
        """The threads that are searched, whatever their titles hold."""
        return replace(self.query, words=(), limit=LARGEST_PAGE)

    @property
    def searches_messages(self) -> bool:
        """Whether messages decide what is shown."""
        return bool(self.terms or self.unwanted) and not self.file


def wanted(text: str, base: Query, now_s: float, known: Known | None = None) -> Wanted:
    """What a text asks for among the threads of ``base``."""
    found = parse(text, now_s, known)
    terms = typed_terms(found.words)
    unwanted = tuple(term for each in found.without for term in terms_of(each)[:1])
    titles = tuple(" ".join(term.pieces) for term in terms)
    without = tuple(" ".join(term.pieces) for term in unwanted)
    try:
        query = replace(base, **found.query | {"words": titles, "without": without})
    except StateError as problem:
        return Wanted(base, text, problem=str(problem))
    return Wanted(query, text.strip(), terms, unwanted, found.problem, found.file)


def typed_terms(words: str) -> tuple[Term, ...]:
    """The terms of words, each with any ending: while it is typed, the last letters are missing."""
    return tuple(replace(term, ends=False) for term in terms_of(words))
