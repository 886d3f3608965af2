"""What was said: read by passing over lines, it is what rebuilding all turns gives."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import RolloutError
from rollout.schema.modes import PAGINATED
from rollout.search.extract import EarlierMessages, Spoken, _rebuilt, read_spoken
from rollout.search.messages import Message, digest_of, read_messages, sum_of
from tests.rollout.history.test_turns import quickly, rollouts, with_head
from tests.samples.histories import rollouts_by_id, spell
from tests.samples.rollouts import CORPUS, corpus_rollouts

Fields = dict[str, Any]


def nowhere(_rollout_id: str) -> Path | None:
    return None


def places(said: Spoken) -> list[tuple[int, int, str]]:
    return sorted(message[:3] for message in said.messages)


def going_on(said: Spoken) -> EarlierMessages:
    """What an index keeps of a reading."""
    keys = frozenset(message.key for message in said.messages if message.key)
    digest = digest_of(said.messages)
    return EarlierMessages(said.resume, said.mode, said.files, said.highest, keys, digest)


@pytest.mark.parametrize("path", corpus_rollouts())
def test_a_rollout_of_the_corpus_says_what_its_turns_show(path: str) -> None:
    find = rollouts_by_id(CORPUS).get
    try:
        whole = _rebuilt(CORPUS, path, find)
    except RolloutError as error:
        with pytest.raises(type(error)):
            read_spoken(CORPUS, path, find)
        return
    said = read_spoken(CORPUS, path, find)
    assert places(said) == places(whole)
    again = read_messages(CORPUS, said.files, [message[:2] for message in said.messages])
    assert [message[:3] for message in again] == [message[:3] for message in said.messages]


@quickly
@given(rollout=rollouts)
def test_messages_alone_tell_what_is_shown(
    tmp_path: Path, rollout: tuple[str, list[Fields]]
) -> None:
    (tmp_path / "r.jsonl").write_bytes(spell(rollout[1]))
    said = read_spoken(tmp_path, "r.jsonl", nowhere)
    assert places(said) == places(_rebuilt(tmp_path, "r.jsonl", nowhere))


@quickly
@given(rollout=rollouts, data=st.data())
def test_a_file_that_has_grown_says_the_same_read_in_parts(
    tmp_path: Path, rollout: tuple[str, list[Fields]], data: st.DataObject
) -> None:
    whole = spell(rollout[1])
    first = len(spell(rollout[1][:1]))
    file = tmp_path / "r.jsonl"
    file.write_bytes(whole[: data.draw(st.integers(first, len(whole)))])
    before = read_spoken(tmp_path, "r.jsonl", nowhere)
    with file.open("r+b") as grown:
        grown.write(whole)
    after = read_spoken(tmp_path, "r.jsonl", nowhere, going_on(before))
    kept = before.messages if after.added else []
    at_once = read_spoken(tmp_path, "r.jsonl", nowhere)
    assert sorted(message[:3] for message in [*kept, *after.messages]) == places(at_once)
    parts = (digest_of(kept), digest_of(after.messages))
    assert sum_of(*parts) == digest_of(reversed(at_once.messages))


def test_only_what_was_added_is_read_of_a_file_that_has_grown(tmp_path: Path) -> None:
    lines = with_head(PAGINATED, [])
    (tmp_path / "r.jsonl").write_bytes(spell(lines))
    before = read_spoken(tmp_path, "r.jsonl", nowhere)
    after = read_spoken(tmp_path, "r.jsonl", nowhere, going_on(before))
    assert after.added
    assert after.messages == []


def test_a_message_that_is_gone_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(b'{"type":"event_msg"}\n')
    assert list(read_messages(tmp_path, ["r.jsonl"], [(0, 0), (0, 7), (0, 900)])) == []
    assert Message(0, 0, "x").key == 0
