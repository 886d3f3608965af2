"""What was said: read by passing over lines, it is what rebuilding all turns gives."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import RolloutError
from rollout.schema.modes import PAGINATED
from rollout.search.extract import (
    EarlierMessages,
    ThreadMessages,
    read_thread_messages,
    rebuilt_messages,
)
from rollout.search.messages import Location, digest_of, read_messages, sum_of
from tests.samples.histories import rollouts_by_id, spell
from tests.samples.rollouts import CORPUS, corpus_rollouts
from tests.samples.turn_lines import quickly, rollouts, with_head
from tests.support.each import each

Fields = dict[str, Any]


def nowhere(_rollout_id: str) -> Path | None:
    return None


def places(said: ThreadMessages) -> list[tuple[Any, ...]]:
    return sorted(message[:-1] for message in said.messages)


def going_on(said: ThreadMessages) -> EarlierMessages:
    """What an index keeps of a reading."""
    keys = frozenset(message.key for message in said.messages if message.key)
    digest = digest_of(said.messages)
    return EarlierMessages(said.resume, said.mode, said.files, said.state, keys, digest)


def test_rollouts_of_the_corpus_say_what_their_turns_show() -> None:
    find = rollouts_by_id(CORPUS).get

    def says_what_is_shown(path: str) -> None:
        try:
            whole = rebuilt_messages(CORPUS, path, find)
        except RolloutError as error:
            with pytest.raises(type(error)):
                read_thread_messages(CORPUS, path, find)
            return
        said = read_thread_messages(CORPUS, path, find)
        assert places(said) == places(whole)
        locations = [
            Location(
                *message[:2], *(("", "") if message.key else (message.turn_id, message.item_id))
            )
            for message in said.messages
        ]
        again = read_messages(CORPUS, said.files, locations, bool)
        assert [message[:-1] for message in again] == [message[:-1] for message in said.messages]

    each(corpus_rollouts(), says_what_is_shown)


@quickly
@given(rollout=rollouts)
def test_messages_alone_tell_what_is_shown(
    tmp_path: Path, rollout: tuple[str, list[Fields]]
) -> None:
    (tmp_path / "r.jsonl").write_bytes(spell(rollout[1]))
    said = read_thread_messages(tmp_path, "r.jsonl", nowhere)
    assert places(said) == places(rebuilt_messages(tmp_path, "r.jsonl", nowhere))


@quickly
@given(rollout=rollouts, data=st.data())
def test_a_file_that_has_grown_says_the_same_read_in_parts(
    tmp_path: Path, rollout: tuple[str, list[Fields]], data: st.DataObject
) -> None:
    whole = spell(rollout[1])
    first = len(spell(rollout[1][:1]))
    file = tmp_path / "r.jsonl"
    file.write_bytes(whole[: data.draw(st.integers(first, len(whole)))])
    before = read_thread_messages(tmp_path, "r.jsonl", nowhere)
    with file.open("r+b") as grown:
        grown.write(whole)
    after = read_thread_messages(tmp_path, "r.jsonl", nowhere, going_on(before))
    kept = before.messages if after.added else []
    at_once = read_thread_messages(tmp_path, "r.jsonl", nowhere)
    assert sorted(message[:-1] for message in [*kept, *after.messages]) == places(at_once)
    parts = (digest_of(kept), digest_of(after.messages))
    assert sum_of(*parts) == digest_of(reversed(at_once.messages))


def test_only_what_was_added_is_read_of_a_file_that_has_grown(tmp_path: Path) -> None:
    lines = with_head(PAGINATED, [])
    (tmp_path / "r.jsonl").write_bytes(spell(lines))
    before = read_thread_messages(tmp_path, "r.jsonl", nowhere)
    after = read_thread_messages(tmp_path, "r.jsonl", nowhere, going_on(before))
    assert after.added
    assert after.messages == []


def test_a_message_that_is_gone_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(b'{"type":"event_msg"}\n')
    locations = [Location(0, at) for at in (0, 7, 900)]
    assert list(read_messages(tmp_path, ["r.jsonl"], locations, bool)) == []
