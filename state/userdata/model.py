"""What a user can set for a thread or a folder."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from rollout.metadata.session_index import ThreadName
from state.userdata.folders import cwd_key

USER_SET_COLUMNS: Final = ("memory_mode", "git_sha", "git_branch", "git_origin_url")
"""Columns that users set for paginated threads, whose rollouts never have them again
(docs/rollout-format.md#lines-outside-turns): keys of values; an empty value stands for null."""
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
        """What it is about: of two settings of one subject, one counts."""
        return (self.thread_id, self.key)


@dataclass(frozen=True, slots=True)
class FolderAlias:
    """The folder ``old`` is where ``value`` is now; None takes it back."""

    alias: str
    value: str | None
    set_at_ms: int

    @property
    def subject(self) -> tuple[str, str]:
        """What it is about; never a thread's subject, as no id is empty."""
        return ("", cwd_key(self.alias))


Setting = UserValue | FolderAlias


def newest_settings(settings: Iterable[Setting]) -> dict[tuple[str, str], Setting]:
    """The newest setting of each subject; of settings with the same time the last one."""
    found: dict[tuple[str, str], Setting] = {}
    for setting in settings:
        known = found.get(setting.subject)
        if known is None or setting.set_at_ms >= known.set_at_ms:
            found[setting.subject] = setting
    return found


def chosen_names(written: Mapping[str, ThreadName], values: Iterable[UserValue]) -> dict[str, str]:
    """The name of each thread: the newer one of those that files have and users set; of two with
    the same time, the user's. Values of other keys are ignored."""
    names = {thread_id: named.name for thread_id, named in written.items()}
    for given in values:
        if given.key == NAME and given.value is not None:
            rival = written.get(given.thread_id)
            if rival is None or given.set_at_ms >= rival.set_at_ms:
                names[given.thread_id] = given.value
    return names


def values_of_columns(values: Iterable[UserValue]) -> dict[str, dict[str, str]]:
    """The values of :data:`USER_SET_COLUMNS`, by thread and column."""
    found: dict[str, dict[str, str]] = {}
    for given in values:
        if given.key in USER_SET_COLUMNS and given.value is not None:
            found.setdefault(given.thread_id, {})[given.key] = given.value
    return found
