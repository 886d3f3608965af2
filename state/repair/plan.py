"""The plan of a repair, made from findings before anything is changed."""

import hashlib
from dataclasses import dataclass, field
from typing import Final

import orjson

from state.checks.findings import NOTE, Finding

_REBUILD: Final = ("index_damaged", "schema_differs", "foreign_key_broken")
_CATCH_UP: Final = (
    *("no_index", "old_schema", "index_incomplete", "not_indexed", "out_of_date"),
    *("file_gone", "names_out_of_date", "copies_not_compared"),
)
_USER_DATA: Final = ("user_data_not_indexed", "user_data_not_in_journal")
_TITLES: Final = "title_index_differs"
_FULLTEXT: Final = "search_index_differs"


@dataclass(slots=True)
class Plan:
    """What would repair the findings that were added to it."""

    rebuild: str | None = None
    """Why the index must be rebuilt, which makes all else needless."""
    threads: set[str] = field(default_factory=set)
    """Threads whose rows and files are read again."""
    paths: set[str] = field(default_factory=set)
    """Files that are read again."""
    titles: bool = False
    fulltext: bool = False
    """Whether the full-text index is rebuilt."""
    user_data: bool = False
    catch_up: set[str] = field(default_factory=set)
    """Codes of findings that a sync repairs."""
    stays: int = 0
    """Findings that no command repairs: damage in the files themselves."""

    def add(self, finding: Finding) -> None:
        """Plan for a finding."""
        code = finding.kind.code
        if code in _REBUILD:
            self.rebuild = self.rebuild or finding.measured or finding.message
        elif code in _CATCH_UP:
            self.catch_up.add(code)
        elif code in _USER_DATA:
            self.user_data = True
        elif code == _TITLES:
            self.titles = True
        elif code == _FULLTEXT:
            self.fulltext = True
        elif finding.kind.mend is None:
            self.stays += finding.kind.severity != NOTE
        else:
            self.threads.update(filter(None, [finding.thread_id]))
            self.paths.update(filter(None, [finding.path]))
            if not (finding.thread_id or finding.path):
                self.rebuild = self.rebuild or finding.message

    def __bool__(self) -> bool:
        return bool(self.rebuild or self._parts != Plan()._parts)

    @property
    def _parts(self) -> list[object]:
        return [
            sorted(self.threads),
            sorted(self.paths),
            self.titles,
            self.fulltext,
            self.user_data,
            sorted(self.catch_up),
        ]

    @property
    def steps(self) -> list[str]:
        """The steps in order, in words."""
        if self.rebuild:
            return [f"rebuild the index from the files ({self.rebuild})"]
        found = []
        if self.user_data:
            found.append("write the newest user data to both the index and facts.jsonl")
        if self.threads or self.paths:
            parts = ((len(self.threads), "thread"), (len(self.paths), "file"))
            whose = " and ".join(
                f"{count:,} {word}{'s' * (count != 1)}" for count, word in parts if count
            )
            found.append(f"read {whose} again, and rewrite their rows")
        if self.titles:
            found.append("rebuild the title index")
        if self.fulltext:
            found.append("rebuild the full-text index")
        if self.catch_up:
            found.append("bring the index up to date with the files, as threadkeep sync does")
        return found

    @property
    def id(self) -> str:
        """An id of the plan, the same for the same findings."""
        value = [self.rebuild, *self._parts]
        return hashlib.blake2b(orjson.dumps(value), digest_size=4).hexdigest()
