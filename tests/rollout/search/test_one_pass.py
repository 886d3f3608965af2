"""One pass over a file finds what two find, or leaves the messages to the second."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.metadata.extract import extract_file
from rollout.metadata.model import complete_metadata
from rollout.metadata.outcomes import Extracted
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.search import one_pass
from rollout.search.documents import Documents, Thread, header_of, read_many
from tests.samples.histories import spell
from tests.samples.rollouts import (
    CORPUS,
    agent,
    content,
    corpus_rollouts,
    event,
    item,
    meta,
    response,
    text_part,
    tokens,
    user,
    write_rollout,
)
from tests.samples.strategies import rollout_bytes
from tests.samples.turn_lines import MODES, quickly, rollouts, with_head
from tests.support.each import each
from tests.support.effort import examples

SPOKEN = [user("ask"), agent("tell"), tokens(1), response("tell")]
LONG = "x" * 2**19


def in_one_pass(home: Path, path: str, name: str = "") -> Documents | None:
    """What one pass gives, which is what two passes give."""
    [(outcome, documents)] = one_pass.read_all(str(home), [(path, None, name)])
    assert outcome == extract_file(home, path)
    if documents is not None:
        assert isinstance(outcome, Extracted)
        shown = complete_metadata(outcome.metadata)
        preview = shown.preview or shown.fallback_preview
        header = header_of(name or shown.rollout_name, shown.title, preview)
        thread = Thread(0, path, outcome.stamp, header)
        assert [documents] == read_many(str(home), [(thread, None)])
    return documents


def test_files_of_the_corpus_give_the_same_in_one_pass() -> None:
    read = []
    each(corpus_rollouts(), lambda path: read.append(in_one_pass(CORPUS, path)))
    assert sum(documents is None for documents in read) < len(read) / 10


@examples(200)
@given(data=rollout_bytes())
def test_any_file_gives_the_same_in_one_pass(tmp_path: Path, data: bytes) -> None:
    in_one_pass(tmp_path, write_rollout(tmp_path, data))


@quickly
@given(rollout=rollouts, seed=st.booleans())
def test_any_history_gives_the_same_in_one_pass(
    tmp_path: Path, rollout: tuple[str, list[dict[str, Any]]], seed: bool
) -> None:
    data = spell(rollout[1])
    in_one_pass(tmp_path, write_rollout(tmp_path, data if seed else data[:-1]), "a name")


@pytest.mark.parametrize("mode", MODES)
def test_usual_files_need_no_second_pass(tmp_path: Path, mode: str) -> None:
    lines = SPOKEN if mode == LEGACY else [item("UserMessage", text_part("ask"))]
    path = write_rollout(tmp_path, spell(with_head(mode, lines)))
    documents = in_one_pass(tmp_path, path, "a name")
    assert documents is not None
    assert documents.read is not None
    assert documents.read.resume.guard
    assert documents.header == "a name"


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([*SPOKEN], id="no session_meta"),
        pytest.param([user("first"), meta(), *SPOKEN], id="a late session_meta"),
        pytest.param([meta(history_mode="future"), *SPOKEN], id="of the future"),
        pytest.param([meta(), response("tell")], id="no turn"),
        pytest.param([meta(), *SPOKEN, b"5" * 2**19], id="a long line that is no object"),
        pytest.param([meta(), *SPOKEN, agent(LONG), b" " + LONG.encode()], id="long lines"),
    ],
)
def test_what_is_in_doubt_is_left_to_two_passes(tmp_path: Path, lines: list[Any]) -> None:
    assert in_one_pass(tmp_path, write_rollout(tmp_path, content(*lines))) is None


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"timestamp":"2026-10-15T07:00:08.296Z","type":"world_state",}', id="bad"),
        pytest.param(b'{"timestamp":"2026-10-15T07:00:08.296Z","type":"world_state"} ', id="blank"),
        pytest.param(agent(LONG), id="long"),
        pytest.param(event("task_complete", turn_id="t", last_agent_message=LONG), id="long end"),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_odd_lines_count_the_same_in_one_pass(tmp_path: Path, mode: str, line: Any) -> None:
    lines = [*with_head(mode, [*SPOKEN]), line, *SPOKEN]
    assert in_one_pass(tmp_path, write_rollout(tmp_path, content(*lines))) is not None


def test_a_last_line_that_may_grow_is_left_to_two_passes(tmp_path: Path) -> None:
    whole = spell(with_head(PAGINATED, [item("UserMessage", text_part("ask"))]))
    assert in_one_pass(tmp_path, write_rollout(tmp_path, whole)) is not None
    assert in_one_pass(tmp_path, write_rollout(tmp_path, whole[:-1])) is None
