"""What a user can set for a thread or a folder."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from rollout.metadata.session_index import ThreadName
from state.userdata.folders import cwd_key

USER_SET_COLUMNS: Final = ("memory_mode", "git_sha", "git_branch", "git_origin_url")
"""Columns that users set for paginated threads, whose rollouts never say so again
(docs/rollout-format.md#lines-outside-turns): keys of facts, an empty value stands for null."""


NAME: Final = "name"


LATEST_MS: Final = 2**63 - 1
"""The latest time that a column holds."""


@dataclass(frozen=True, slots=True)
class UserValue:
    """One thing a user set for a thread; ``value`` None takes it back."""

    thread_id: str
    key: str
    value: str | None
    set_at_ms: int

    @property
    def subject(self) -> tuple[str, str]:
        """What it is about: of two facts with the same subject one counts."""
        return (self.thread_id, self.key)


@dataclass(frozen=True, slots=True)
class FolderAlias:
    """The folder ``old`` is where ``value`` is now; None takes it back."""

    alias: str
    value: str | None
    set_at_ms: int

    @property
    def subject(self) -> tuple[str, str]:
        """What it is about; no thread's, as no id is empty."""
        return ("", cwd_key(self.alias))


Setting = UserValue | FolderAlias


def newest_settings(settings: Iterable[Setting]) -> dict[tuple[str, str], Setting]:
    """The newest setting of each subject; the last one of those of one time."""
    found: dict[tuple[str, str], Setting] = {}
    for setting in settings:
        known = found.get(setting.subject)
        if known is None or setting.set_at_ms >= known.set_at_ms:
            found[setting.subject] = setting
    return found


def chosen_names(written: Mapping[str, ThreadName], facts: Iterable[UserValue]) -> dict[str, str]:
    """The name of each thread: of what files and a fact say the newer one, and the fact where
    they are of one time. Facts about other things count for nothing."""
    names = {thread_id: named.name for thread_id, named in written.items()}
    for fact in facts:
        if fact.key == NAME and fact.value is not None:
            rival = written.get(fact.thread_id)
            if rival is None or fact.set_at_ms >= rival.set_at_ms:
                names[fact.thread_id] = fact.value
    return names


def values_of_columns(facts: Iterable[UserValue]) -> dict[str, dict[str, str]]:
    """What :func:`state.sync.thread_rows.thread_row` takes, by thread."""
    found: dict[str, dict[str, str]] = {}
    for fact in facts:
        if fact.key in USER_SET_COLUMNS and fact.value is not None:
            found.setdefault(fact.thread_id, {})[fact.key] = fact.value
    return found
