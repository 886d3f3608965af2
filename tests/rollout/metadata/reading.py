"""Reading rollouts in several ways: all lines or those that are needed, at once or in parts."""

from dataclasses import replace
from pathlib import Path

from rollout.jsonl.parse import BadLine
from rollout.jsonl.reader import LineReader
from rollout.metadata.extract import extract_file
from rollout.metadata.model import ThreadMetadata
from rollout.metadata.outcomes import EarlierMetadata, Extracted, Unusable
from rollout.metadata.reducer import MetadataReducer
from rollout.usage.model import FileUsage
from tests.samples.rollouts import RolloutLine, extracted, reduce_lines, write_rollout
from tests.support.effort import examples

CASES = examples(200)


def metadata_of(*lines: RolloutLine) -> ThreadMetadata:
    return reduce_lines(*lines).metadata


def skipped(home: Path, data: bytes, buffer_bytes: int = 2**18) -> Extracted | Unusable:
    """What the extractor gives, which parses only what it must."""
    path = write_rollout(home, data)
    return extract_file(home, path, None, LineReader(buffer_bytes))


def agree(found: Extracted | Unusable, reducer: MetadataReducer) -> None:
    """Assert that skipping and parsing everything tell the same."""
    if isinstance(found, Unusable):
        assert not reducer.usable_lines or not reducer.metadata.id
    else:
        metadata = found.metadata
        torn = found.resume.end < found.stamp.size
        if reducer.bad_lines or torn:  # a line that is passed over is not looked at to its end
            metadata = replace(metadata, next_ordinal=reducer.metadata.next_ordinal)
        else:
            assert (found.left_out, found.left_out_at) == (reducer.left_out, reducer.left_out_at)
        assert metadata == reducer.metadata
        assert found.usage == reducer.usage.usage()
        assert found.tools == (reducer.tools or [])


TOOLS = [{"name": "look", "description": "d", "inputSchema": {}}]


def earlier_of(found: Extracted) -> EarlierMetadata:
    """What a row keeps of a pass; the metadata is copied because a reducer changes them."""
    return EarlierMetadata(
        replace(found.metadata),
        found.resume,
        found.bad_lines,
        found.first_bad,
        usage=found.usage,
    )


def go_on(home: Path, found: Extracted, reader: LineReader | None = None) -> Extracted:
    return extracted(home, found.path, earlier_of(found), reader)


Told = tuple[ThreadMetadata, int, BadLine | None, int, FileUsage]


def told(found: Extracted) -> Told:
    """All that must not depend on how often the file was looked at."""
    return found.metadata, found.bad_lines, found.first_bad, found.resume.end, found.usage
