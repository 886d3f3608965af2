"""The outcomes of reading the metadata of one rollout file."""

from typing import NamedTuple

from rollout.files.stamp import FileStamp
from rollout.jsonl.parse import BadLine
from rollout.jsonl.resume import ResumePoint
from rollout.metadata.model import ThreadMetadata, ToolMetadata
from rollout.metadata.version import EXTRACTOR_VERSION
from rollout.usage.model import NO_USAGE, FileUsage


class Extracted(NamedTuple):
    """What one file gave."""

    path: str
    resume: ResumePoint
    """A torn line is read again when it has ended."""
    metadata: ThreadMetadata
    tools: list[ToolMetadata] | None
    """None if this pass went on from an earlier one, as it does not see them again."""
    bad_lines: int
    first_bad: BadLine | None
    left_out: int = 0
    """Lines that are in no turn, as a second writer gave them ordinals that were taken."""
    left_out_at: int | None = None
    """Where the first of them is."""
    usage: FileUsage = NO_USAGE
    extractor: int = EXTRACTOR_VERSION

    @property
    def stamp(self) -> FileStamp:
        """Of the file when it was read."""
        return self.resume.stamp


class Unusable(NamedTuple):
    """A file that gives no thread, and why: a finding, not a failure."""

    path: str
    stamp: FileStamp
    reason: str
    offset: int = 0
    retry: bool = False
    """Whether the cause is outside the file, so that it may pass without a change of the file."""


class EarlierMetadata(NamedTuple):
    """What an earlier pass over the same file found, and how far it came."""

    metadata: ThreadMetadata
    resume: ResumePoint
    bad_lines: int = 0
    first_bad: BadLine | None = None
    left_out: int = 0
    left_out_at: int | None = None
    usage: FileUsage | None = None
    """None: nothing was used until there."""
