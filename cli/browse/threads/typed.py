"""What is typed into the search box: words to find, and words that are not wanted."""

from dataclasses import dataclass, field, replace

from cli.browse.words.filter import Known, parse
from rollout.search.terms import Term, terms_of
from state.errors import StateError
from state.query.model import Query


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the list is to show."""

    query: Query
    """With the words that titles are to have."""
    terms: tuple[Term, ...] = ()
    """What messages are to have."""
    problem: str = ""
    without: tuple[str, ...] = field(default=())
    file: str = ""
    """A part of the path of a file that threads are to have changed."""

    @property
    def words(self) -> tuple[str, ...]:
        return self.query.words


def wanted(text: str, base: Query, now_s: float, known: Known | None = None) -> Wanted:
    """What a text asks for among the threads of ``base``."""
    found = parse(text, now_s, known)
    words = tuple(word for word in found.words.replace('"', " ").split())
    titles = tuple(word.rstrip("*") or word for word in words)
    without = tuple(text for each in found.without if (text := each.strip('"').rstrip("*")))
    try:
        query = replace(base, **found.query | {"words": titles, "without": without})
    except StateError as problem:
        return Wanted(base, problem=str(problem))
    terms = [_open(term) for term in terms_of(found.words)]
    return Wanted(query, tuple(terms), found.problem, found.without, found.file)


def _open(term: Term) -> Term:
    """The same with any ending: while it is typed, the last letters are missing."""
    return replace(term, ends=False)
