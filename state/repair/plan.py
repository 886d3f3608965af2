"""What would mend the findings about an index: a plan, before anything is done."""

import hashlib
from dataclasses import dataclass, field
from typing import Final

import orjson

from state.checks.findings import NOTE, Finding

_REBUILD: Final = ("index_damaged", "schema_differs", "foreign_key_broken")
_CATCH_UP: Final = (
    "no_index",
    "old_schema",
    "index_incomplete",
    "not_indexed",
    "out_of_date",
    "file_gone",
    "names_out_of_date",
)
_FACTS: Final = ("fact_not_indexed", "fact_not_in_journal")
_TITLES: Final = "title_index_differs"
_SAID: Final = "search_index_differs"


@dataclass(slots=True)
class Plan:
    """What would mend the findings that were given to it."""

    rebuild: str | None = None
    """Why the index must be built anew; everything else is then needless."""
    threads: set[str] = field(default_factory=set)
    """Threads whose rows and files are read again."""
    paths: set[str] = field(default_factory=set)
    """Files that are read again."""
    titles: bool = False
    said: bool = False
    """Whether what was said in all threads is indexed anew."""
    facts: bool = False
    catch_up: set[str] = field(default_factory=set)
    """Kinds of findings that catching up with the files mends."""
    stays: int = 0
    """Findings that no command can mend: damage in the files themselves."""

    def add(self, finding: Finding) -> None:
        """Plan for a finding."""
        code = finding.kind.code
        if code in _REBUILD:
            self.rebuild = self.rebuild or finding.measured or finding.message
        elif code in _CATCH_UP:
            self.catch_up.add(code)
        elif code in _FACTS:
            self.facts = True
        elif code == _TITLES:
            self.titles = True
        elif code == _SAID:
            self.said = True
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
            self.said,
            self.facts,
            sorted(self.catch_up),
        ]

    @property
    def steps(self) -> list[str]:
        """What would be done, in words, in order."""
        if self.rebuild:
            return [f"build the index anew from the files ({self.rebuild})"]
        found = []
        if self.facts:
            found.append("set what users set both in the index and in facts.jsonl")
        if self.threads or self.paths:
            parts = ((len(self.threads), "thread"), (len(self.paths), "file"))
            whose = " and ".join(
                f"{count:,} {word}{'s' * (count != 1)}" for count, word in parts if count
            )
            found.append(f"read again what belongs to {whose}, and write their rows anew")
        if self.titles:
            found.append("build the title search anew")
        if self.said:
            found.append("index anew what was said in all threads")
        if self.catch_up:
            found.append("catch up with the files (threadkeep sync does that too)")
        return found

    @property
    def id(self) -> str:
        """Names the plan: the same findings give the same one."""
        value = [self.rebuild, *self._parts]
        return hashlib.blake2b(orjson.dumps(value), digest_size=4).hexdigest()
